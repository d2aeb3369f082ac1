"""Calibrated predictions: a cohort's mean, and as much of a prediction as proved right there.

Raw predictions identify subjects and still err more than the cohort's mean does: they lie in the
units and around the mean of the training data, and differ between subjects by too much or too
little. A calibration brings them to the units and the mean of a cohort in which the target was
measured, edge by edge: ``mean_measured + slope * (predicted - mean_predicted)``.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from kraken_bids.models.calibration.edge_slopes import FoldSums, sum_folds
from kraken_bids.models.calibration.increments import Increments, sum_increments
from kraken_bids.scores.metrics import EdgeArray

Edges = NDArray[np.float32]

N_FOLDS = 10
"""Of cross-validation; fewer where there are not so many families."""
MAX_WEIGHED = 20_000
"""Edges, evenly spread, on which it is weighed how much of the slopes is kept."""
MIN_FOLDS = 5
"""Fewer families than this cannot be held out in turn."""


@dataclass(frozen=True, eq=False)
class Calibration:
    """What brings predictions of one target from one source to a cohort's units and mean."""

    mean_measured: Edges
    """[n_edges], of the subjects it was fitted on."""
    mean_predicted: Edges
    """[n_edges], of the same subjects' raw predictions."""
    slope: Edges
    """[n_edges]; 0 where nothing of a prediction proved right."""
    n_fitted: int
    """Rows it was fitted on."""
    kept: float
    """Share of the slopes that cross-validation has left, 0 to 1; 0: everybody gets the mean."""
    correlation: float
    """Mean over edges of the correlation of predicted and measured values over subjects: what the
    slope of every edge was shrunk to, in units of the edge's own spread."""

    def take(self, edges: slice) -> Self:
        """Keep some edges."""
        own = (self.mean_measured[edges], self.mean_predicted[edges], self.slope[edges])
        return type(self)(*own, self.n_fitted, self.kept, self.correlation)

    def apply(self, predicted: NDArray[np.floating]) -> Edges:
        """Calibrate raw predictions ``[..., n_edges]``; NaN stays NaN."""
        return np.asarray(
            self.mean_measured + self.slope * (predicted - self.mean_predicted), np.float32
        )


@dataclass(frozen=True, eq=False)
class HeldOut:
    """Predictions calibrated without the own fold; those that are taken are computed then.

    As an array of ``[n_subjects, n_edges]`` they would take as much memory as what they are made
    of.
    """

    predicted: NDArray[np.floating]
    folds: NDArray[np.intp]
    without: Sequence[Calibration]

    def __getitem__(self, key: Any) -> Edges:
        """Take some rows, or some edges of some rows."""
        rows, edges = key if isinstance(key, tuple) else (key, slice(None))
        folds, predicted = self.folds[rows], self.predicted[rows][:, edges]
        found = np.empty(predicted.shape, np.float32)
        for fold in np.unique(folds):
            own = folds == fold
            found[own] = self.without[fold].take(edges).apply(predicted[own])
        return found

    def __array__(self, dtype: Any = None, copy: Any = None) -> NDArray[Any]:
        """All of them."""
        return np.asarray(self[:], dtype)


@dataclass(frozen=True, eq=False)
class CrossFit:
    """A calibration, and those fitted without each fold of the same subjects."""

    calibration: Calibration
    """Fitted on everyone."""
    folds: NDArray[np.intp]
    """[n_subjects]: fold of each."""
    without: tuple[Calibration, ...]
    """Fitted without each fold, with everything that is chosen by data chosen without it."""
    held_out: EdgeArray = field(repr=False)
    """[n_subjects, n_edges]: everyone's prediction, calibrated without the own fold."""
    increments: Increments | None = field(default=None, repr=False)
    """What predictions added to the mean, by which the share that is kept was chosen."""

    @property
    def mean_held_out(self) -> Edges:
        """Mean measured connectome without each fold ``[n_folds, n_edges]``."""
        return np.stack([one.mean_measured for one in self.without])


def fit_calibration(
    measured: NDArray[np.floating], predicted: NDArray[np.floating], *, folds: NDArray[np.intp]
) -> CrossFit:
    """Fit a calibration on subjects who have both, and one without each fold of them.

    The slope of an edge is that of least squares over subjects, shrunk in two steps. First towards
    what all edges have in common, by empirical Bayes: correlations of single edges scatter around
    their mean by chance and truly, and only the true part is kept. Then, all edges alike, towards
    0, by what the predictions add to the mean in subjects who were held out, less its standard
    error; so that where nothing can be predicted the mean is.

    Parameters
    ----------
    measured : ndarray of shape (n_subjects, n_edges)
        Finite.
    predicted : ndarray of shape (n_subjects, n_edges)
        Raw, of the same subjects.
    folds : ndarray of shape (n_subjects,)
        Fold of each (:func:`~kraken_bids.models.splits.deal_folds`); subjects of one family, and
        sessions of one subject, in one fold.
    """
    sums = sum_folds(measured, predicted, folds)
    part = slice(None, None, max(1, -(-measured.shape[1] // MAX_WEIGHED)))
    increments = sum_increments(measured[:, part], predicted[:, part], sums.take(part), folds)
    everyone = finish_slopes(sums, (), increments.choose_share())
    without = tuple(
        finish_slopes(sums, {fold}, increments.choose_share(fold)) for fold in range(len(sums.n))
    )
    held_out = HeldOut(predicted, folds, without)
    return CrossFit(everyone, folds, without, held_out=held_out, increments=increments)


def finish_slopes(sums: FoldSums, without: Collection[int], kept: float) -> Calibration:
    """Make a calibration of everyone but some folds, with a share of its slopes."""
    fit = sums.fit_slopes(without)
    center_x, center_y = sums.center
    return Calibration(
        (center_y + fit.mean_measured).astype(np.float32),
        (center_x + fit.mean_predicted).astype(np.float32),
        (kept * fit.slope).astype(np.float32),
        fit.n,
        kept,
        fit.correlation,
    )
