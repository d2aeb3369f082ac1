"""Training on labelled volumes: networks that tell states apart."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import cross_entropy

from kraken_bids.models.new_heads import start_network
from kraken_bids.models.step_training import (
    StepResult,
    StepSettings,
    StepState,
    StepTraining,
    train_steps,
)
from kraken_bids.models.volumes.architecture import VolumeArchitecture
from kraken_bids.models.volumes.network import VolumeNetwork, build_network

Labelled = tuple[Tensor, Tensor]
Watch = Callable[[StepTraining[VolumeNetwork, Labelled], StepResult], bool]
HEAD = "output."
"""Names of the weights that belong to states begin so."""


def make_decoder(
    architecture: VolumeArchitecture, *, seed: int, pretrained: VolumeNetwork | None = None
) -> VolumeNetwork:
    """Make a network with a new head, and all other weights of a pretrained one if there is one.

    Parameters
    ----------
    architecture : VolumeArchitecture
        Apart from its states that of the pretrained network.
    seed : int
        Of initial weights.
    """
    return start_network(
        lambda: build_network(architecture), seed=seed, head=HEAD, pretrained=pretrained
    )


def train_decoder(  # noqa: PLR0913 - what is learned, how, and where from
    network: VolumeNetwork,
    read: Callable[[Sequence[int]], NDArray[np.float32]],
    labels: NDArray[np.intp],
    settings: StepSettings,
    *,
    batch_size: int,
    state: StepState | None = None,
    watch: Watch | None = None,
) -> None:
    """Train a network on labelled volumes by softmax cross-entropy, in place.

    Parameters
    ----------
    read : callable
        Gives volumes [n, x, y, z] by their numbers.
    labels : int array of shape (n_volumes,)
        Number of the state of each.
    batch_size : int
        Volumes of a step, drawn with replacement.
    state : StepState, optional
        Of an interrupted training, to go on from.
    watch : callable, optional
        As of :func:`~kraken_bids.models.step_training.train_steps`.

    Raises
    ------
    ConnectomeError
        If most steps are not finite.

    Notes
    -----
    The release divides the outputs of its 3D network by their sum in place of a softmax; here
    both networks learn by the softmax that they decode with.
    """
    targets = torch.from_numpy(labels)

    def draw(rng: np.random.Generator, _: int) -> Labelled:
        chosen = rng.integers(0, len(labels), batch_size)
        return torch.from_numpy(read(chosen.tolist())), targets[chosen]

    train_steps(network, draw, _compute_loss, settings, state=state, watch=watch)


def _compute_loss(network: VolumeNetwork, batch: Labelled) -> Tensor:
    volumes, targets = batch
    place = network.output.weight.device
    return cross_entropy(network(volumes.to(place)).float(), targets.to(place))
