"""How well predicted connectomes match observed ones: observed in rows, predicted in columns."""

import numpy as np
from numpy.typing import NDArray

from kraken_bids.exceptions import ConnectomeError

Matrix = NDArray[np.float64]


def compute_metrics(
    observed: NDArray[np.floating],
    predicted: NDArray[np.floating],
    *,
    mean: NDArray[np.floating] | None = None,
) -> dict[str, float]:
    """Compute all metrics of one source and target, by name.

    Parameters
    ----------
    observed, predicted : ndarray of shape (n_subjects, n_edges)
        The same subjects in the same order.
    mean : ndarray of shape (n_edges,), optional
        Mean connectome for ``avgcorr_resid`` (the observed mean).
    """
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
    return _unit_rows(observed) @ _unit_rows(predicted).T


def top_n_accuracy(correlations: NDArray[np.floating], n: int) -> float:
    """Share of observed subjects whose own prediction is among their ``n`` best matches."""
    return float(np.mean(np.diag(rank_cells(correlations)) < n))


def average_rank(correlations: NDArray[np.floating]) -> float:
    """Mean rank percentile of the own prediction: 1 is perfect, about 0.5 is chance."""
    return float(np.mean(1 - np.diag(rank_cells(correlations)) / correlations.shape[0]))


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
    units = _unit_rows(observed - center) * _unit_rows(predicted - center)
    return float(units.sum(axis=1).mean())


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
    x = observed.astype(np.float64)
    total = float(x.var(axis=0).sum())
    return 1 - float((x - predicted).var(axis=0).sum()) / total if total > 0 else float("nan")


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


def _unit_rows(values: NDArray[np.floating]) -> Matrix:
    x = values.astype(np.float64)
    x = x - x.mean(axis=1, keepdims=True)
    norms = np.linalg.norm(x, axis=1, keepdims=True)
    return np.asarray(x / np.where(norms > 0, norms, 1.0), np.float64)
