"""What a decoding rests on: integrated gradients of a class's logit, per volume and region."""

from copy import deepcopy
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from kraken_bids.models.new_heads import start_network
from kraken_bids.models.series.network import SeriesNetwork
from kraken_bids.models.series.sequences import Indices, LabelledSeries, Sequences, join_sequences

Floats = NDArray[np.float64]
BATCH = 64
"""Trials explained at once."""
TOLERANCE = 1e-3
"""Largest gap between the sum of a trial's relevance and the change of its logit, as a share of
the change (of 1 where it is less)."""
FEWEST_NODES, MOST_NODES = 16, 1024
HEADS = ("decoder.decoding_head.", "decoder.pooler_layer.")
"""Names of the weights behind the last layer begin so."""


@dataclass(frozen=True)
class Relevance:
    """Relevance of some trials for one class each."""

    values: tuple[Floats, ...]
    """[n_volumes, n_regions] of each trial."""
    gaps: Floats
    """Completeness: how far the sum of each misses the change of the logit; see TOLERANCE."""


def explain_trials(network: SeriesNetwork, trials: LabelledSeries) -> Relevance:
    """Integrate gradients along the path from no signal (all regions 0) to each trial.

    Volumes change along the path, times and the summary token do not. The points of the path are
    Gauss-Legendre nodes, denser near its start, where the normalised embedding turns fastest;
    their number is doubled until the sum of every trial's relevance is what the trial changes of
    its logit, within :data:`TOLERANCE`, or there are :data:`MOST_NODES`.

    Parameters
    ----------
    trials : LabelledSeries
        Z-scored: 0 is the mean of the run. The logit of each trial's label is explained.

    Source: Sundararajan, Taly & Yan 2017.
    """
    # float32 does not reach the tolerance where a logit changes little
    precise = deepcopy(network).double().eval().requires_grad_(requires_grad=False)
    found: list[Floats] = []
    gaps: list[float] = []
    for first in range(0, len(trials.values), BATCH):
        rows = slice(first, first + BATCH)
        sequences = join_sequences(trials.values[rows], trials.repetition_times[rows])
        relevance, own = _explain(precise, sequences, trials.labels[rows])
        found += np.split(relevance, sequences.starts[1:])
        gaps += own.tolist()
    return Relevance(tuple(found), np.array(gaps))


def randomise_weights(network: SeriesNetwork, *, seed: int, whole: bool) -> SeriesNetwork:
    """Copy a network, with new initial weights in its heads alone or everywhere.

    Source: Adebayo et al. 2018, whose check this is: a picture of what was learned changes.
    """
    fresh = start_network(
        lambda: SeriesNetwork(network.architecture),
        seed=seed, head=HEADS, pretrained=None if whole else network,
    )  # fmt: skip
    return fresh.to(next(network.parameters()).device)


def _explain(
    network: SeriesNetwork, sequences: Sequences, classes: Indices
) -> tuple[Floats, Floats]:
    """Relevance of each volume and region, and the gap of each sequence."""
    signal = torch.from_numpy(sequences.values).to(next(network.parameters()))
    with torch.inference_mode():
        change = _pick(network, sequences, signal, classes) - _pick(
            network, sequences, torch.zeros_like(signal), classes
        )
    changes = change.cpu().numpy()
    n_nodes = FEWEST_NODES
    while True:
        relevance = (
            _integrate(network, sequences, signal, classes, n_nodes=n_nodes) * signal
        ).cpu()
        sums = np.add.reduceat(relevance.numpy().sum(axis=1), sequences.starts)
        gaps = np.abs(sums - changes) / np.maximum(np.abs(changes), 1)
        if gaps.max() <= TOLERANCE or n_nodes >= MOST_NODES:
            return relevance.numpy(), gaps
        n_nodes *= 2


def _integrate(
    network: SeriesNetwork,
    sequences: Sequences,
    signal: Tensor,
    classes: Indices,
    *,
    n_nodes: int,
) -> Tensor:
    """Mean gradient along the path ``alpha * signal``, with ``alpha`` the square of a node."""
    nodes, weights = np.polynomial.legendre.leggauss(n_nodes)
    total = torch.zeros_like(signal)
    for u, weight in zip((nodes + 1) / 2, weights / 2, strict=True):
        volumes = (u**2 * signal).requires_grad_()
        # cuDNN differentiates recurrent layers in training mode alone
        with torch.backends.cudnn.flags(enabled=False):
            logits = _pick(network, sequences, volumes, classes).sum()
            (gradient,) = torch.autograd.grad(logits, volumes)
        total += 2 * u * weight * gradient
    return total


def _pick(
    network: SeriesNetwork, sequences: Sequences, volumes: Tensor, classes: Indices
) -> Tensor:
    """Logit of the class of each sequence."""
    logits = network.classify(sequences, volumes)
    return logits[torch.arange(len(classes)), torch.from_numpy(classes)]
