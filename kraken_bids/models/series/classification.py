"""Training on trials: labelled volumes in, a network that tells classes apart out."""

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import cross_entropy

from kraken_bids.models.new_heads import start_network
from kraken_bids.models.series.architecture import SeriesArchitecture
from kraken_bids.models.series.network import SeriesNetwork
from kraken_bids.models.series.sequences import Indices, LabelledSeries, Sequences, join_sequences
from kraken_bids.models.step_training import StepResult, StepSettings, StepTraining, train_steps

Labelled = tuple[Sequences, Indices]
Watch = Callable[[StepTraining[SeriesNetwork, Labelled], StepResult], bool]
HEAD = "decoder.decoding_head."
"""Names of the weights that belong to classes begin so."""


def make_classifier(
    architecture: SeriesArchitecture, *, seed: int, pretrained: SeriesNetwork | None = None
) -> SeriesNetwork:
    """Make a network with a new head, and all other weights of a pretrained one if there is one.

    Parameters
    ----------
    architecture : SeriesArchitecture
        With its number of classes; else that of the pretrained network.
    seed : int
        Of initial weights.
    """
    return start_network(
        lambda: SeriesNetwork(architecture), seed=seed, head=HEAD, pretrained=pretrained
    )


def train_classifier(
    network: SeriesNetwork,
    trials: LabelledSeries,
    settings: StepSettings,
    *,
    batch_size: int,
    longest: int,
    watch: Watch | None = None,
) -> None:
    """Train a network on trials by cross-entropy, in place.

    Parameters
    ----------
    batch_size : int
        Sequences of a step, drawn with replacement.
    longest : int
        Volumes; a longer trial is cut into equal parts, as :class:`.model.SeriesModel` cuts it.
    watch : callable, optional
        As of :func:`~kraken_bids.models.step_training.train_steps`.

    Raises
    ------
    ConnectomeError
        If a value is not finite, or most steps are not.
    """
    parts = [(one, k) for k, own in enumerate(trials.values) for one in cut_trial(own, longest)]

    def draw(rng: np.random.Generator, _: int) -> Labelled:
        chosen = [parts[row] for row in rng.integers(0, len(parts), batch_size)]
        owners = np.array([k for _, k in chosen], np.intp)
        times = [trials.repetition_times[k] for k in owners]
        return join_sequences([one for one, _ in chosen], times), trials.labels[owners]

    train_steps(network, draw, _compute_loss, settings, watch=watch)


def cut_trial(values: NDArray[np.floating], longest: int) -> list[NDArray[np.floating]]:
    """Cut a trial into equal parts of at most ``longest`` volumes."""
    return np.array_split(values, -(-len(values) // longest))


def _compute_loss(network: SeriesNetwork, batch: Labelled) -> Tensor:
    sequences, labels = batch
    logits = network.classify(sequences)
    return cross_entropy(logits.float(), torch.from_numpy(labels).to(logits.device))
