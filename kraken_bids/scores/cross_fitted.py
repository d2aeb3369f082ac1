"""Predictions that were fitted on other folds of the same subjects, compared with the measured.

Whoever is in the fold of a prediction is missing from the mean that it starts from. Where nothing
is predicted beyond this mean, everyone's own prediction would therefore be the one that fits
worst. So what predictions add to their mean is compared, each around the mean without the fold of
the subject that it is compared with.
"""

import numpy as np
from numpy.typing import NDArray

from kraken_bids.scores.component_metrics import Sides, correlate_around
from kraken_bids.scores.inner_products import (
    Center,
    Rows,
    center_products,
    leave_out_means,
    multiply_left_out,
)
from kraken_bids.scores.metrics import Matrix
from kraken_bids.scores.resampling import Kinship
from kraken_bids.scores.significance import Comparison, list_cells


def compare_cross_fitted(
    measured: tuple[Center, Rows],
    weights: Matrix,
    folds: NDArray[np.intp],
    *,
    kinship: Kinship | None = None,
) -> Comparison:
    """Compare everyone's measured connectome with what everyone's prediction adds to a mean.

    Row i and column j of the cells are of the measured connectome of i, and the mean without the
    fold of i plus what the prediction of j adds to the mean without the fold of j. The diagonal is
    of the predictions as they are. Without a mean, that of the fold is taken from either side.

    Parameters
    ----------
    weights : ndarray of shape (n_subjects, n_subjects)
        Of everyone's measured connectome in everyone's prediction; rows add up to 1, and are 0
        within the own fold.
    folds : ndarray of shape (n_subjects,)
    """
    center, rows = measured
    kinship = kinship or Kinship.none(len(weights))
    means = leave_out_means(folds)
    added = weights - means
    # sums over everyone are made once, and those of a fold by the sums of the folds
    by_added, by_means = rows.gram @ added.T, multiply_left_out(rows.gram, folds)
    means_by_added = multiply_left_out(by_added.T, folds).T
    own, steps = _mix_each(rows, means, by_means), _mix_each(rows, added, by_added)
    squares, by_own = np.diag(rows.gram), np.diag(by_means)
    apart = (rows.sums - own[0], squares - 2 * by_own + own[1], rows.by_center - own[2])
    cross = by_added - means_by_added
    around = (center.n_edges, center.total, center.square)
    demeaned = correlate_around(around, cross, apart, steps).demeaned
    plain, of_means = _correlate_whole(
        measured, own, steps, by_own=by_own, by_added=by_added, means_by_added=means_by_added
    )
    by_weights = by_added + by_means
    return Comparison(
        list_cells(plain, demeaned, kinship),
        center_products(rows.gram),
        center_products(weights @ by_weights),
        center_products(by_weights),
        np.asarray(np.maximum(apart[1][:, None] + steps[1] - 2 * cross, 0)),
        np.asarray(apart[1]),
        of_means,
        kinship,
    )


def _mix_each(rows: Rows, weights: Matrix, products: Matrix) -> Sides:
    """Sum of edges, of squares and product with the center of weighted sums, each by itself.

    Parameters
    ----------
    weights : ndarray of shape (n_subjects, n_subjects)
    products : ndarray of shape (n_subjects, n_subjects)
        ``rows.gram @ weights.T``
    """
    squares = np.einsum("ij,ji->i", weights, products)
    return weights @ rows.sums, squares, weights @ rows.by_center


def _correlate_whole(
    measured: tuple[Center, Rows],
    own: Sides,
    steps: Sides,
    *,
    by_own: Matrix,
    by_added: Matrix,
    means_by_added: Matrix,
) -> tuple[Matrix, Matrix]:
    """Correlate everyone with the own mean and what is added to the mean of everyone else.

    Parameters
    ----------
    own, steps : tuple of ndarray of shape (n_subjects,)
        Of each one's mean, and of what is added to it: :func:`_mix_each`.
    by_own : ndarray of shape (n_subjects,)
        Inner product of everyone with the own mean.
    by_added, means_by_added : ndarray of shape (n_subjects, n_subjects)
        Inner products of everyone, and of everyone's mean, with what is added to each one's mean.

    Returns
    -------
    whole : ndarray of shape (n_subjects, n_subjects)
    of_means : ndarray of shape (n_subjects,)
        Of everyone with the own mean alone.
    """
    center, rows = measured
    n_edges = center.n_edges
    x_sums, y_sums = center.total + rows.sums, center.total + own[0]
    x_squares = center.square + 2 * rows.by_center + np.diag(rows.gram)
    y_squares = center.square + 2 * own[2] + own[1]
    products = center.square + own[2] + rows.by_center + by_own
    x_left = x_squares - x_sums**2 / n_edges
    of_means = _divide(
        products - x_sums * y_sums / n_edges, x_left, y_squares - y_sums**2 / n_edges
    )
    sums = y_sums[:, None] + steps[0]
    squares = y_squares[:, None] + 2 * (steps[2] + means_by_added) + steps[1]
    covariances = products[:, None] + steps[2] + by_added - x_sums[:, None] * sums / n_edges
    return _divide(covariances, x_left[:, None], squares - sums**2 / n_edges), of_means


def _divide(covariances: Matrix, *squares: Matrix) -> Matrix:
    """Correlations; 0 where a side does not vary."""
    left = squares[0] * squares[1]
    return np.asarray(covariances / np.sqrt(np.where(left > 0, left, np.inf)))
