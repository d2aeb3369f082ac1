"""Networks with a new head on the weights of a pretrained one."""

from collections.abc import Callable
from typing import TypeVar

import torch
from torch import nn

Network = TypeVar("Network", bound=nn.Module)


def start_network(
    build: Callable[[], Network],
    *,
    seed: int,
    head: str | tuple[str, ...] = "",
    pretrained: nn.Module | None = None,
) -> Network:
    """Make a network with random weights, but for those of a pretrained one that are no head's.

    Parameters
    ----------
    build : callable
        Makes the network, with weights from torch's generator.
    seed : int
        Of that generator, which is put back afterwards.
    head : str or tuple of str
        How the names of the head's weights begin (all do).
    pretrained : nn.Module, optional
        Of the same shape, its head apart.
    """
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        network = build()
    if pretrained is not None:
        given = {
            name: values.cpu()
            for name, values in pretrained.state_dict().items()
            if not name.startswith(head)
        }
        missing, unexpected = network.load_state_dict(given, strict=False)
        assert not unexpected
        assert all(name.startswith(head) for name in missing)
    return network
