"""Metrics of predictions that are scores of principal components, in two spaces.

*Transform space*: the scores themselves. *Edge space*: the connectomes that scores stand for.
Components are orthonormal, so correlations between connectomes follow from scores, sums and
lengths, and no connectome has to be built; what an observed one has beyond the components counts
as it does in edges.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kraken_bids.scores.metrics import rank_own, row_correlations

Matrix = NDArray[np.float64]
Indices = NDArray[np.intp]
Sides = tuple[Matrix, Matrix, Matrix]

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
    """Everyone observed (rows) against everyone predicted (columns), of one or more sources."""

    plain: Matrix
    """``[..., n_subjects, n_subjects]``."""
    demeaned: Matrix
    """The same, the mean connectome of the training subjects taken from both sides before."""
    ranked: NDArray[np.bool_] | None = None
    """As of :func:`~kraken_bids.scores.metrics.find_ranked`: whom each is compared with."""

    def summarise(self) -> dict[str, Matrix]:
        """Every metric of :data:`METRICS`, ``[...]``."""
        ranks = rank_own(self.plain, self.ranked)
        return {
            "avgrank": np.mean(1 - ranks / self._count_ranked(), axis=-1),
            "top1acc": np.mean(ranks <= 0, axis=-1),
            "avgcorr": np.diagonal(self.plain, axis1=-2, axis2=-1).mean(axis=-1),
            "avgcorr_resid": np.diagonal(self.demeaned, axis1=-2, axis2=-1).mean(axis=-1),
        }

    def summarise_shuffled(self) -> dict[str, Matrix]:
        """Mean of every metric over all ways of dealing the predictions out to the subjects."""
        several = self.plain.shape[:-2]
        guessed = float(np.mean(1 / self._count_ranked()))
        return {
            "avgrank": np.full(several, (1 + guessed) / 2),
            "top1acc": np.full(several, guessed),
            "avgcorr": self._average_ranked(self.plain),
            "avgcorr_resid": self._average_ranked(self.demeaned),
        }

    def _count_ranked(self) -> Matrix | int:
        """Predictions that each is ranked among ``[n_subjects]``, or one number for all."""
        n = self.plain.shape[-1]
        return n if self.ranked is None else np.asarray(self.ranked.sum(axis=-1), np.float64)

    def _average_ranked(self, cells: Matrix) -> Matrix:
        """Mean over subjects of the mean over those whom each is compared with ``[...]``."""
        if self.ranked is None:
            return np.asarray(cells.mean(axis=(-2, -1)))
        means = (cells * self.ranked).sum(axis=-1) / self._count_ranked()
        return np.asarray(means.mean(axis=-1))


def correlate_edges(
    frame: EdgeFrame, observed: ObservedEdges, predicted: Matrix
) -> PairCorrelations:
    """Correlate observed connectomes with those that predicted scores stand for.

    Parameters
    ----------
    predicted : ndarray of shape (..., n_subjects, n_components)
        Predicted scores, unscaled.

    Returns
    -------
    PairCorrelations
        What :func:`~kraken_bids.scores.metrics.row_correlations` gives for the edges.
    """
    along = predicted @ frame.by_center
    sums, squares = predicted @ frame.sums, (predicted**2).sum(axis=-1)
    products = observed.scores @ predicted.swapaxes(-1, -2)
    center = (frame.n_edges, frame.center_sum, frame.center_square)
    x = (observed.sums, observed.squares, observed.by_center)
    return correlate_around(center, products, x, (sums, squares, along))


def correlate_around(
    center: tuple[int, float, float], products: Matrix, x: Sides, y: Sides
) -> PairCorrelations:
    """Correlate connectomes of which only their differences from a center were multiplied.

    Parameters
    ----------
    center : tuple of int and two floats
        Number of edges, sum of the center's, sum of their squares.
    products : ndarray of shape (..., n_subjects, n_subjects)
        Inner products of the differences of both sides.
    x, y : tuple of three ndarrays of shape (..., n_subjects)
        Of the differences: sum of edges, sum of their squares, inner product with the center.
    """
    n_edges, total, square = center
    demeaned = _correlate(products, x[:2], y[:2], n_edges)
    whole = [
        (total + sums, square + 2 * by_center + squares) for sums, squares, by_center in (x, y)
    ]
    plain = products + (square + y[2][..., None, :] + x[2][:, None])
    return PairCorrelations(_correlate(plain, whole[0], whole[1], n_edges), demeaned)


def correlate_scores(observed: Matrix, predicted: Matrix, mean: Matrix) -> PairCorrelations:
    """Correlate scores as they are.

    Parameters
    ----------
    observed : ndarray of shape (n_subjects, n_components)
    predicted : ndarray of shape (..., n_subjects, n_components)
    mean : ndarray of shape (n_components,)
        Mean scores of the training subjects.
    """

    def correlate(x: Matrix, y: Matrix) -> Matrix:
        sides = [(side.sum(axis=-1), (side**2).sum(axis=-1)) for side in (x, y)]
        return _correlate(x @ y.swapaxes(-1, -2), sides[0], sides[1], x.shape[-1])

    plain = correlate(observed, predicted)
    if not mean.any():  # as of principal components
        return PairCorrelations(plain, plain)
    return PairCorrelations(plain, correlate(observed - mean, predicted - mean))


def correlate_rows(
    observed: NDArray[np.floating], predicted: NDArray[np.floating], mean: NDArray[np.floating]
) -> PairCorrelations:
    """Correlate edges as they are, a block of edges at a time.

    Parameters
    ----------
    observed, predicted : ndarray of shape (n_subjects, n_edges)
    mean : ndarray of shape (n_edges,)
        Mean connectome of the training subjects.
    """
    return PairCorrelations(
        row_correlations(observed, predicted), row_correlations(observed - mean, predicted - mean)
    )


def _correlate(
    products: Matrix, x: tuple[Matrix, Matrix], y: tuple[Matrix, Matrix], n_values: int
) -> Matrix:
    """Correlations of inner products, sums and squares; 0 where one side does not vary."""
    lengths = []
    for sums, squares in (x, y):
        left = squares - sums**2 / n_values
        lengths.append(np.sqrt(np.where(left > FLAT * squares, left, np.inf)))
    covariances = products - x[0][:, None] * (y[0] / n_values)[..., None, :]
    return np.asarray(covariances / lengths[0][:, None] / lengths[1][..., None, :])
