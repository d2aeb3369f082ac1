"""How well predicted connectomes match observed ones: observed in rows, predicted in columns."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kraken_bids.exceptions import ConnectomeError

Matrix = NDArray[np.float64]

BLOCK = 4096
"""Edges that are in memory in float64 at once."""


def compute_metrics(
    observed: NDArray[np.floating],
    predicted: NDArray[np.floating],
    *,
    mean: NDArray[np.floating] | None = None,
    correlations: Matrix | None = None,
) -> dict[str, float]:
    """Compute all metrics of one source and target, by name.

    Parameters
    ----------
    observed, predicted : ndarray of shape (n_subjects, n_edges)
        The same subjects in the same order.
    mean : ndarray of shape (n_edges,), optional
        Mean connectome for ``avgcorr_resid`` (the observed mean).
    correlations : ndarray of shape (n_subjects, n_subjects), optional
        What :func:`row_correlations` gives for these; computed here by default.
    """
    if correlations is None:
        correlations = row_correlations(observed, predicted)
    return {
        "top1acc": top_n_accuracy(correlations, 1),
        "top2acc": top_n_accuracy(correlations, 2),
        "avgrank": average_rank(correlations),
        "avgcorr": average_correlation(correlations),
        "avgcorr_resid": average_correlation_residual(observed, predicted, mean=mean),
        "explainedvar": explained_variance(observed, predicted),
    }


def row_correlations(observed: NDArray[np.floating], predicted: NDArray[np.floating]) -> Matrix:
    """Pearson correlation of every observed row with every predicted row.

    Parameters
    ----------
    observed, predicted : ndarray of shape (n_subjects, n_edges)

    Returns
    -------
    ndarray of shape (n_subjects, n_subjects)
        Observed subjects in rows. A row without variance gives 0.

    Raises
    ------
    ConnectomeError
        If the shapes differ.
    """
    if observed.shape != predicted.shape or observed.ndim != 2:
        raise ConnectomeError(
            "expected observed and predicted connectomes of one shape [n_subjects, n_edges]; "
            f"found {observed.shape} and {predicted.shape}."
        )
    total = np.zeros((len(observed), len(predicted)))
    x_squares, y_squares = np.zeros(len(observed)), np.zeros(len(predicted))
    for x, y in _centered_blocks(observed, predicted):
        total += x @ y.T
        x_squares += (x * x).sum(axis=1)
        y_squares += (y * y).sum(axis=1)
    return np.asarray(total / np.outer(_norms(x_squares), _norms(y_squares)))


def own_correlations(
    observed: NDArray[np.floating],
    predicted: NDArray[np.floating],
    *,
    observed_mean: NDArray[np.floating] | float = 0.0,
    predicted_mean: NDArray[np.floating] | float = 0.0,
) -> Matrix:
    """Pearson correlation of every observed row with the predicted row of the same subject.

    Parameters
    ----------
    observed, predicted : ndarray of shape (n_subjects, n_edges)
    observed_mean, predicted_mean : ndarray of shape (n_edges,) or float
        Subtracted from the rows before.

    Returns
    -------
    ndarray of shape (n_subjects,)
        A row without variance gives 0.
    """
    pairs = zip(observed, predicted, strict=True)
    return np.array([_unit(x, observed_mean) @ _unit(y, predicted_mean) for x, y in pairs])


def top_n_accuracy(correlations: NDArray[np.floating], n: int) -> float:
    """Share of observed subjects whose own prediction is among their ``n`` best matches."""
    return float(np.mean(rank_own(correlations) < n))


def average_rank(correlations: NDArray[np.floating]) -> float:
    """Mean rank percentile of the own prediction: 1 is perfect, about 0.5 is chance."""
    return float(np.mean(1 - rank_own(correlations) / correlations.shape[0]))


def average_correlation(correlations: NDArray[np.floating]) -> float:
    """Mean correlation of subjects with their own prediction."""
    return float(np.mean(np.diag(correlations)))


def average_correlation_residual(
    observed: NDArray[np.floating],
    predicted: NDArray[np.floating],
    *,
    mean: NDArray[np.floating] | None = None,
) -> float:
    """Mean correlation of subjects with their own prediction, a mean connectome taken from both.

    Parameters
    ----------
    observed, predicted : ndarray of shape (n_subjects, n_edges)
    mean : ndarray of shape (n_edges,), optional
        The training mean; the observed mean by default.
    """
    center = observed.mean(axis=0) if mean is None else mean
    own = own_correlations(observed, predicted, observed_mean=center, predicted_mean=center)
    return float(own.mean())


def explained_variance(observed: NDArray[np.floating], predicted: NDArray[np.floating]) -> float:
    """Share of the variance over subjects that is predicted, all edges together; may be negative.

    ``1 - sum(var(X - Y)) / sum(var(X))`` with the variance of each edge over subjects, so a
    difference that is the same for everyone does not count; NaN when the observed subjects do not
    vary.

    Source
    ------
    The reference release, ``explained_variance_ratio``; scikit-learn's
    ``explained_variance_score(multioutput="variance_weighted")``.
    """
    total = error = 0.0
    for part in _blocks(observed.shape[1]):
        x = observed[:, part].astype(np.float64)
        total += float(x.var(axis=0).sum())
        error += float((x - predicted[:, part]).var(axis=0).sum())
    return 1 - error / total if total > 0 else float("nan")


def rank_own(correlations: NDArray[np.floating]) -> Matrix:
    """Zero-based rank of every row's own cell, the diagonal's, within its row.

    Parameters
    ----------
    correlations : ndarray of shape (n_subjects, n_subjects)

    Returns
    -------
    ndarray of shape (n_subjects,)
        The diagonal of :func:`rank_cells`, without sorting anything.
    """
    own = np.diag(correlations)[:, None]
    above = (correlations > own).sum(axis=1)
    alike = (correlations == own).sum(axis=1)
    return np.asarray(above + (alike - 1) / 2, np.float64)


def rank_cells(correlations: NDArray[np.floating]) -> Matrix:
    """Zero-based rank of every cell within its row, the highest first; ties share the middle.

    Ties must not count as hits: predictions that are all alike would otherwise identify everyone.

    Parameters
    ----------
    correlations : ndarray of shape (n_subjects, n_subjects)
    """
    n = correlations.shape[1]
    order = np.sort(correlations, axis=1)
    ranks = np.empty(correlations.shape)
    for row, values in enumerate(correlations):
        below = np.searchsorted(order[row], values, side="left")
        up_to = np.searchsorted(order[row], values, side="right")
        ranks[row] = ((n - up_to) + (n - 1 - below)) / 2
    return ranks


def _centered_blocks(*rows: NDArray[np.floating]) -> Iterator[tuple[Matrix, ...]]:
    """Blocks of edges in float64, each row less its own mean over all edges."""
    means = [values.mean(axis=1, dtype=np.float64, keepdims=True) for values in rows]
    for part in _blocks(rows[0].shape[1]):
        yield tuple(values[:, part] - mean for values, mean in zip(rows, means, strict=True))


def _blocks(n_edges: int) -> Iterator[slice]:
    """Slices of edges, so that no copy of a whole cohort is made."""
    return (slice(start, start + BLOCK) for start in range(0, n_edges, BLOCK))


def _unit(row: NDArray[np.floating], mean: NDArray[np.floating] | float) -> Matrix:
    """Row less a mean connectome, centered and of unit length."""
    x = row - np.asarray(mean, np.float64)
    x = x - x.mean()
    return np.asarray(x / _norms(x @ x))


def _norms(squares: Any) -> Any:
    """Lengths of rows by their sums of squares; 1 for a row without variance."""
    return np.where(squares > 0, np.sqrt(squares), 1.0)
