"""Is the planted relation between structure and function there? Checked without the model."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]


def compare_similarities(function: FloatArray, structure: FloatArray) -> float:
    """Measure whether people who are alike in function resemble each other in structure (Mantel).

    Parameters
    ----------
    function, structure : ndarray [n_subjects, n_edges]
        Connectomes of the same people in the same order; edge counts may differ.

    Returns
    -------
    float
        Correlation, over all pairs of people, between the similarity of their functional and of
        their structural connectomes, each taken after removing the mean over people.
    """
    pairs = np.triu_indices(len(function), 1)
    alike = [np.corrcoef(edges - edges.mean(axis=0))[pairs] for edges in (function, structure)]
    return float(np.corrcoef(alike[0], alike[1])[0, 1])


def identify_across(
    train: Mapping[str, FloatArray], test: Mapping[str, FloatArray], *, n_components: int = 20
) -> tuple[float, float]:
    """Translate linearly from one modality to another and look for each person among all.

    Principal components of ``source`` and ``target``, ridge regression between them, then the
    correlation of every observed with every predicted connectome.

    Parameters
    ----------
    train, test : mapping with keys ``source`` and ``target``
        Connectomes [n_subjects, n_edges] of the same people under both keys. Their own mean is
        removed from each of the four arrays (mean-shift adaptation).
    n_components : int
        Principal components kept on each side.

    Returns
    -------
    top1, average_rank : float
        Share of the test people who are found first, and the mean rank (1 perfect, 0.5 chance).
    """
    centred = {key: edges - edges.mean(axis=0) for key, edges in train.items()}
    axes = {key: _principal_axes(edges, n_components) for key, edges in centred.items()}
    scores = {key: centred[key] @ axes[key].T for key in centred}
    gram = scores["source"].T @ scores["source"]
    ridge = 0.1 * np.trace(gram) / n_components * np.eye(n_components)
    weights = np.linalg.solve(gram + ridge, scores["source"].T @ scores["target"])
    source, target = test["source"] - test["source"].mean(axis=0), test["target"]
    predicted = source @ axes["source"].T @ weights @ axes["target"]
    return score_identification(target - target.mean(axis=0), predicted)


def score_identification(observed: FloatArray, predicted: FloatArray) -> tuple[float, float]:
    """Top-1 share and average rank of the right person; both arrays [n_subjects, n_edges]."""
    n = len(observed)
    correlation = np.corrcoef(observed, predicted)[:n, n:]
    rank = (correlation > np.diag(correlation)[:, None]).sum(axis=1)
    return float((rank == 0).mean()), float((1 - rank / n).mean())


def _principal_axes(edges: FloatArray, n_components: int) -> FloatArray:
    """First principal axes [n_components, n_edges] of centred rows, from the small Gram matrix."""
    values, vectors = np.linalg.eigh(edges @ edges.T)
    largest = np.argsort(values)[::-1][:n_components]
    return np.asarray((vectors[:, largest] / np.sqrt(values[largest])).T @ edges)
