"""The baseline: hard communities of a correlation matrix by the Leiden algorithm."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kraken_bids.exceptions import SettingsError

Floats = NDArray[np.floating]
Labels = NDArray[np.intp]
MAX_ROUNDS, MAX_REPEATS = 20, 20
"""Of a consensus, which mostly takes two or three rounds; partitions of one round."""


def find_leiden(
    weights: Floats, *, gamma: float = 1.0, sign: str = "signed", seed: int = 0, n_starts: int = 10
) -> Labels:
    """Find the communities of largest modularity among several starts.

    Parameters
    ----------
    weights : ndarray of shape (n_regions, n_regions)
        Symmetric; the diagonal does not count.
    gamma : float
        Resolution.
    sign : str
        ``positive``: negative weights are set to 0. ``signed``: they are a layer of their own,
        whose modularity counts against the partition with the weight of Rubinov and Sporns' Q*.
    n_starts : int
        Runs of the algorithm.

    Returns
    -------
    ndarray of shape (n_regions,)
        Numbers of communities, from 0, the largest first.

    Raises
    ------
    SettingsError
        If leidenalg is not installed.

    Source: Traag, Waltman and van Eck 2019, doi:10.1038/s41598-019-41695-z; leidenalg's
    ``RBConfigurationVertexPartition``, whose quality is not divided by the sum of the weights, so
    that the layers are weighted here by what divides them.
    """
    leidenalg = import_leiden()
    layers, scales = _make_layers(np.asarray(weights, np.float64), sign)
    found = []
    for number in range(n_starts):
        partitions = [
            leidenalg.RBConfigurationVertexPartition(
                layer, weights="weight", resolution_parameter=gamma
            )
            for layer in layers
        ]
        optimiser = leidenalg.Optimiser()
        optimiser.set_rng_seed(seed + number)
        optimiser.optimise_partition_multiplex(partitions, layer_weights=scales, n_iterations=-1)
        labels = np.asarray(partitions[0].membership, np.intp)
        found.append((score_partition(weights, labels, gamma=gamma, sign=sign), labels))
    return sort_labels(max(found, key=lambda one: one[0])[1])


def score_partition(
    weights: Floats, labels: Labels, *, gamma: float = 1.0, sign: str = "signed"
) -> float:
    """Modularity of hard communities; each pair of different regions counts.

    Parameters
    ----------
    weights : ndarray of shape (n_regions, n_regions)
    labels : ndarray of shape (n_regions,)
        A region of a negative label is in no community.
    gamma, sign
        As of :func:`find_leiden`.
    """
    square = np.array(weights, np.float64)
    np.fill_diagonal(square, 0)
    together = (labels[:, None] == labels) & (labels >= 0)[:, None]
    np.fill_diagonal(together, val=False)
    positive = square.clip(min=0)
    total = positive.sum()
    value = _count_excess(positive, together, gamma) / total if total else 0.0
    if sign == "signed":
        negative = (-square).clip(min=0)
        value -= _count_excess(negative, together, gamma) / (total + negative.sum())
    return float(value)


def find_consensus(partitions: Sequence[Labels], *, seed: int = 0) -> Labels:
    """Join partitions into the one that they share.

    The share of partitions in which two regions are together, less what is expected of
    communities of their sizes dealt out at random, is partitioned again until all agree.

    Source: Lancichinetti and Fortunato 2012, doi:10.1038/srep00336.
    """
    current = [np.asarray(one) for one in partitions]
    for number in range(MAX_ROUNDS):
        together = np.mean([one[:, None] == one for one in current], axis=0)
        sizes = [np.bincount(one) / len(one) for one in current]
        expected = float(np.mean([(own**2).sum() for own in sizes]))
        shared = (together - expected).clip(min=0)
        if not shared.any():
            return np.zeros(len(together), np.intp)
        current = [
            find_leiden(shared, sign="positive", seed=seed + 100 * number + k, n_starts=1)
            for k in range(min(len(partitions), MAX_REPEATS))
        ]
        if all((one == current[0]).all() for one in current):
            break
    return current[0]


def sort_labels(labels: Labels) -> Labels:
    """Sort communities by size, the largest first; of equal ones, that with the first region."""
    names, first, sizes = np.unique(labels, return_index=True, return_counts=True)
    order = np.lexsort((first, -sizes))
    place = np.empty(len(names), np.intp)
    place[order] = np.arange(len(names))
    return np.asarray(place[np.searchsorted(names, labels)], np.intp)


def import_leiden() -> Any:
    """Import leidenalg.

    Raises
    ------
    SettingsError
        If it is not installed.
    """
    try:
        import leidenalg
    except ImportError as error:
        raise SettingsError(
            "expected leidenalg for the Leiden baseline; it is not installed: pip install "
            "'kraken-bids[communities]', or leave it out with --baseline none."
        ) from error
    return leidenalg


def _make_layers(square: NDArray[np.float64], sign: str) -> tuple[list[Any], list[float]]:
    import igraph

    rows, columns = np.triu_indices(len(square), 1)
    values = square[rows, columns]
    if not np.isfinite(values).all():
        raise ValueError("weights that are not finite")
    parts = [(values.clip(min=0), 1.0)]
    if sign == "signed" and (values < 0).any():
        parts.append(((-values).clip(min=0), -1.0))
    positive = float(parts[0][0].sum())
    layers, scales = [], []
    for own, direction in parts:
        chosen = own > 0
        graph = igraph.Graph(
            n=len(square), edges=np.column_stack([rows, columns])[chosen].tolist()
        )
        graph.es["weight"] = own[chosen].tolist()
        layers.append(graph)
        total = positive if direction > 0 else positive + float(own.sum())
        scales.append(direction / total if total else 0.0)
    return layers, scales


def _count_excess(
    weights: NDArray[np.float64], together: NDArray[np.bool_], gamma: float
) -> float:
    """Weights within communities, less what strengths make one expect."""
    total = weights.sum()
    if not total:
        return 0.0
    strengths = weights.sum(axis=0)
    expected = gamma * np.outer(strengths, strengths) / total
    return float((weights - expected)[together].sum())
