"""Fusion in models that translate latents between groups of flavors (SC to FC …)."""

from collections.abc import Iterable, Mapping
from functools import partial

import numpy as np
from numpy.typing import NDArray

from kraken_bids.flavors import Flavor
from kraken_bids.model.engine.devices import CPU
from kraken_bids.model.engine.edge_layers import in_blocks, pad_rows
from kraken_bids.model.engine.network import Network
from kraken_bids.model.fusion import Selector, fuse


def fuse_for(
    network: Network,
    target: Flavor,
    latents: Mapping[Flavor, NDArray[np.floating]],
    selector: Selector | str = "fusion",
    *,
    renormalize: bool = False,
    exclude: Iterable[Flavor] = (),
) -> NDArray[np.float32]:
    """Fused latents as the decoder of one flavor takes them.

    Most models have one latent space, where this is :func:`kraken_bids.model.fusion.fuse`. Where
    latents are translated between groups, each input's are translated to the group of ``target``
    before the mean is taken.

    Parameters
    ----------
    network : Network
        Its weights as arrays of numpy.
    target : Flavor
        What will be predicted.
    latents : mapping of Flavor to ndarray of shape (n_subjects, n_latent)
    selector, renormalize, exclude
        As of :func:`kraken_bids.model.fusion.fuse`.

    Returns
    -------
    ndarray of shape (n_subjects, n_latent)

    Source: what ``run_model.py`` of the reference release computes for such models.
    """
    if network.architecture.group_paths:
        latents = {
            flavor: _translate(network, rows, flavor, target) for flavor, rows in latents.items()
        }
    return fuse(latents, selector, renormalize=renormalize, exclude=exclude)


def _translate(
    network: Network, rows: NDArray[np.floating], source: Flavor, target: Flavor
) -> NDArray[np.float32]:
    carry = partial(network.translate, source=source.name, target=target.name)
    translated: NDArray[np.float32] = in_blocks(carry, pad_rows(rows, CPU))
    return translated[: len(rows)]
