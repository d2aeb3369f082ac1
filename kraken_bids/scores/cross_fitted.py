"""Predictions that were fitted on other folds of the same people, compared with the measured.

Whoever is in the fold of a prediction is missing from the mean that it starts from. Where nothing
is predicted beyond this mean, everyone's own prediction would therefore be the one that fits
worst. So what predictions add to their mean is compared, each around the mean without the fold of
the person that it is compared with.
"""

import numpy as np
from numpy.typing import NDArray

from kraken_bids.scores.component_metrics import correlate_around
from kraken_bids.scores.inner_products import Center, Rows, center_products, leave_out_means
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
    n = len(weights)
    kinship = kinship or Kinship.none(n)
    means = leave_out_means(folds)
    added = weights - means
    apart, steps = rows.mix(np.eye(n) - means), rows.mix(added)
    cross = (np.eye(n) - means) @ rows.gram @ added.T
    x, y = ((side.sums, np.diag(side.gram), side.by_center) for side in (apart, steps))
    around = (center.n_edges, center.total, center.square)
    demeaned = correlate_around(around, cross, x, y).demeaned
    plain = _correlate_whole(measured, means, added)
    return Comparison(
        list_cells(plain, demeaned, kinship),
        center_products(rows.gram),
        center_products(rows.mix(weights).gram),
        center_products(rows.gram @ weights.T),
        np.asarray(np.maximum(x[1][:, None] + y[1] - 2 * cross, 0)),
        np.asarray(x[1]),
        np.diag(_correlate_whole(measured, means, np.zeros((n, n)))),
        kinship,
    )


def _correlate_whole(measured: tuple[Center, Rows], means: Matrix, added: Matrix) -> Matrix:
    """Correlate everyone with the own mean and what is added to the mean of everyone else.

    Parameters
    ----------
    means, added : ndarray of shape (n_subjects, n_subjects)
        Weights of everyone in each one's mean, and in what is added to it; the latter add up to 0.
    """
    center, rows = measured
    own, steps, by_people = rows.mix(means), rows.mix(added), rows.gram @ added.T
    by_steps = steps.by_center + by_people  # with the measured
    mean_squares = center.square + 2 * own.by_center + np.diag(own.gram)
    x_squares = center.square + 2 * rows.by_center + np.diag(rows.gram)
    by_mean = center.square + own.by_center + rows.by_center + np.diag(rows.gram @ means.T)
    y_squares = mean_squares[:, None] + 2 * (steps.by_center + means @ by_people)
    y_squares = y_squares + np.diag(steps.gram)
    x_sums = (center.total + rows.sums)[:, None]
    y_sums = (center.total + own.sums)[:, None] + steps.sums
    covariances = by_mean[:, None] + by_steps - x_sums * y_sums / center.n_edges
    x_left = x_squares[:, None] - x_sums**2 / center.n_edges
    left = x_left * (y_squares - y_sums**2 / center.n_edges)
    return np.asarray(covariances / np.sqrt(np.where(left > 0, left, np.inf)))
