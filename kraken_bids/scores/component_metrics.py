"""Metrics of predictions that are scores of principal components, in two spaces.

*Transform space*: the scores themselves. *Edge space*: the connectomes that scores stand for.
Components are orthonormal, so correlations between connectomes follow from scores, sums and
lengths, and no connectome has to be built; what an observed one has beyond the components counts
as it does in edges.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kraken_bids.scores.metrics import (
    average_correlation,
    average_rank,
    row_correlations,
    top_n_accuracy,
)

Matrix = NDArray[np.float64]
Indices = NDArray[np.intp]

METRICS = ("avgrank", "top1acc", "avgcorr", "avgcorr_resid")
"""What is followed: names as in ``kraken-tools evaluate``."""
FLAT = 1e-14
"""Share of a sum of squares that is rounding."""


@dataclass(frozen=True)
class EdgeFrame:
    """How edges follow from scores: ``center + scores @ components``."""

    n_edges: int
    center_sum: float
    """Sum of the mean connectome's edges."""
    center_square: float
    """Sum of their squares."""
    sums: Matrix
    """Sum of each component's edges ``[n_components]``."""
    by_center: Matrix
    """Inner product of each component with the mean connectome ``[n_components]``."""


@dataclass(frozen=True)
class ObservedEdges:
    """What is kept of observed connectomes, all of it less the mean connectome."""

    scores: Matrix
    """``[n_subjects, n_components]``."""
    sums: Matrix
    """Sum of each one's edges ``[n_subjects]``."""
    squares: Matrix
    """Sum of their squares ``[n_subjects]``."""
    by_center: Matrix
    """Inner product with the mean connectome ``[n_subjects]``."""

    def take(self, rows: Indices) -> "ObservedEdges":
        """Keep some of the subjects."""
        return ObservedEdges(
            self.scores[rows], self.sums[rows], self.squares[rows], self.by_center[rows]
        )


def make_frame(center: NDArray[np.floating], components: NDArray[np.floating]) -> EdgeFrame:
    """Sum up a mean connectome ``[n_edges]`` and components ``[n_components, n_edges]``."""
    middle = center.astype(np.float64)
    return EdgeFrame(
        n_edges=len(middle),
        center_sum=float(middle.sum()),
        center_square=float(middle @ middle),
        sums=components.sum(axis=1, dtype=np.float64),
        by_center=np.array([row.astype(np.float64) @ middle for row in components]),
    )


@dataclass(frozen=True)
class PairCorrelations:
    """Everyone observed (rows) against everyone predicted (columns)."""

    plain: Matrix
    """``[n_subjects, n_subjects]``."""
    demeaned: Matrix
    """The same, the mean connectome of the training subjects taken from both sides before."""

    def summarise(self) -> dict[str, float]:
        """Every metric of :data:`METRICS`."""
        return {
            "avgrank": average_rank(self.plain),
            "top1acc": top_n_accuracy(self.plain, 1),
            "avgcorr": average_correlation(self.plain),
            "avgcorr_resid": average_correlation(self.demeaned),
        }

    def summarise_shuffled(self) -> dict[str, float]:
        """Mean of every metric over all ways of dealing the predictions out to the subjects."""
        n = len(self.plain)
        return {
            "avgrank": (n + 1) / (2 * n),
            "top1acc": 1 / n,
            "avgcorr": float(self.plain.mean()),
            "avgcorr_resid": float(self.demeaned.mean()),
        }


def correlate_edges(
    frame: EdgeFrame, observed: ObservedEdges, predicted: Matrix
) -> PairCorrelations:
    """Correlate observed connectomes with those that predicted scores stand for.

    Parameters
    ----------
    frame : EdgeFrame
    observed : ObservedEdges
    predicted : ndarray of shape (n_subjects, n_components)
        Predicted scores, unscaled.

    Returns
    -------
    PairCorrelations
        What :func:`~kraken_bids.scores.metrics.row_correlations` gives for the edges.
    """
    along = predicted @ frame.by_center
    sums, squares = predicted @ frame.sums, (predicted**2).sum(axis=1)
    products = observed.scores @ predicted.T
    demeaned = _correlate(
        products, (observed.sums, observed.squares), (sums, squares), frame.n_edges
    )
    x_squares = frame.center_square + 2 * observed.by_center + observed.squares
    plain = _correlate(
        products + (frame.center_square + along + observed.by_center[:, None]),
        (frame.center_sum + observed.sums, x_squares),
        (frame.center_sum + sums, frame.center_square + 2 * along + squares),
        frame.n_edges,
    )
    return PairCorrelations(plain, demeaned)


def correlate_rows(
    observed: NDArray[np.floating], predicted: NDArray[np.floating], mean: NDArray[np.floating]
) -> PairCorrelations:
    """Correlate rows as they are: scores, or edges.

    Parameters
    ----------
    observed, predicted : ndarray of shape (n_subjects, n_values)
    mean : ndarray of shape (n_values,)
        Mean row of the training subjects.
    """
    return PairCorrelations(
        row_correlations(observed, predicted), row_correlations(observed - mean, predicted - mean)
    )


def _correlate(
    products: Matrix, x: tuple[Matrix, Matrix], y: tuple[Matrix, Matrix], n_edges: int
) -> Matrix:
    """Correlations of inner products, sums and squares; 0 where one side does not vary."""
    lengths = []
    for sums, squares in (x, y):
        left = squares - sums**2 / n_edges
        lengths.append(np.sqrt(np.where(left > FLAT * squares, left, np.inf)))
    covariances = products - np.outer(x[0], y[0]) / n_edges
    return np.asarray(covariances / np.outer(*lengths))
