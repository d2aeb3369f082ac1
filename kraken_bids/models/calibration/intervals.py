"""Conformal prediction intervals of calibrated edges: jackknife-minmax over folds.

Source: Barber, Candès, Ramdas, Tibshirani, *Predictive inference with the jackknife+*, Annals of
Statistics 49(1), 2021: their jackknife-minmax with folds in place of single subjects. It holds the
CV+ interval, and needs one prediction per fold where that needs one per subject.
"""

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from kraken_bids.models.calibration.calibration import (
    Calibration,
    CrossFit,
    Edges,
    finish_slopes,
)
from kraken_bids.models.calibration.difficulty import Difficulty, Vector, fit_difficulty
from kraken_bids.models.calibration.edge_slopes import sum_folds
from kraken_bids.models.splits import group_families
from kraken_bids.scores.metrics import EdgeArray, list_blocks

MAX_JUDGED = 5_000
"""Edges, evenly spread, on which reached coverage is measured."""


@dataclass(frozen=True, eq=False)
class Intervals:
    """What intervals around calibrated predictions take."""

    coverage: float
    """Share of measured edges that they promise to hold."""
    error: Edges
    """Error that held-out subjects' rarely exceeded [n_edges], at usual difficulty."""
    difficulty: tuple[Difficulty, ...]
    """Fitted without each fold."""

    def judge(self, features: Vector, folds: NDArray[np.intp] | None = None) -> Vector:
        """Difficulty of subjects by their features: the largest that any fold says.

        Parameters
        ----------
        features : ndarray of shape (n_subjects, n_features)
        folds : ndarray of shape (n_subjects,), optional
            Of subjects who were fitted on: what is said without their own.
        """
        every = np.stack([one.judge(features) for one in self.difficulty])
        if folds is None:
            return np.asarray(every.max(axis=0))
        return np.asarray(every[folds, np.arange(len(folds))])


def count_needed(coverage: float) -> int:
    """Count the subjects below whom no interval of a coverage is finite."""
    share = Fraction(str(coverage))
    return math.ceil(share / (1 - share))


def bound_errors(
    errors: NDArray[np.floating], coverage: float, people: Sequence[object] | None = None
) -> Edges:
    """Error of each edge that a new subject's exceeds with no more than the promised chance.

    Parameters
    ----------
    errors : ndarray of shape (n_subjects, n_edges)
        Absolute, of subjects who were held out.
    people : sequence of length n_subjects, optional
        Whose session each row is, somebody else's each by default. A subject counts as one: each
        session as its share of that.

    Source
    ------
    Lee, Barber and Willett, Distribution-free inference with hierarchical data, arXiv:2306.06342.
    """
    n, n_edges = errors.shape
    whose = group_families(people, n)[1]
    counts = np.bincount(whose, minlength=1)
    # whole numbers, so that nothing is rounded: a person is so many, however many sessions
    one = math.lcm(*counts[counts > 0].tolist())
    wanted = math.ceil((len(counts) + 1) * one * Fraction(str(coverage)))
    if not n or wanted > len(counts) * one:
        return np.full(n_edges, np.inf, np.float32)
    rows = np.ascontiguousarray(errors.T)
    if one == 1:
        return np.asarray(np.partition(rows, wanted - 1, axis=1)[:, wanted - 1], np.float32)
    order = np.argsort(rows, axis=1)
    reached = np.cumsum((one // counts[whose])[order], axis=1) >= wanted
    place = order[np.arange(n_edges), reached.argmax(axis=1)]
    return np.asarray(rows[np.arange(n_edges), place], np.float32)


def fit_intervals(
    measured: Edges,
    fitted: CrossFit,
    features: Vector,
    *,
    coverage: float,
    people: Sequence[object] | None = None,
) -> Intervals:
    """Fit intervals on the errors that calibrated predictions make in held-out subjects.

    Parameters
    ----------
    measured : ndarray of shape (n_subjects, n_edges)
    features : ndarray of shape (n_subjects, n_features)
        What may predict the size of subjects' errors.
    people : sequence of length n_subjects, optional
        As of :func:`bound_errors`.
    """
    sizes = _size_errors(measured, fitted.held_out)
    folds, n_folds = fitted.folds, len(fitted.without)
    difficulty = tuple(
        fit_difficulty(sizes[folds != fold], features[folds != fold]) for fold in range(n_folds)
    )
    every = Intervals(coverage, np.empty(0, np.float32), difficulty)
    usual = every.judge(features, folds).astype(np.float32)[:, None]
    bounds = np.empty(measured.shape[1], np.float32)
    for part in list_blocks(measured):
        errors = np.abs(measured[:, part] - fitted.held_out[:, part])
        bounds[part] = bound_errors(errors / usual, coverage, people)
    return Intervals(coverage, bounds, difficulty)


def span_predictions(
    predicted: NDArray[np.floating], without: Collection[Calibration]
) -> tuple[Edges, Edges]:
    """Lowest and highest of what calibrations without each fold make of predictions."""
    low = high = None
    for one in without:
        own = one.apply(predicted)
        low = own if low is None else np.minimum(low, own)
        high = own if high is None else np.maximum(high, own)
    assert low is not None
    assert high is not None
    return low, high


def measure_coverage(
    measured: Edges,
    predicted: Edges,
    fitted: CrossFit,
    features: Vector,
    *,
    coverage: float,
    people: Sequence[object] | None = None,
) -> tuple[NDArray[np.bool_], slice]:
    """Tell which measured edges lie in intervals that were fitted without the subject's fold.

    Everything is fitted anew on the subjects of the other folds, in as many folds as they are; but
    the share of the increments that is kept is that of the calibration without the own fold.

    Returns
    -------
    covered : ndarray of shape (n_subjects, n_judged)
    judged : slice
        Of the edges: at most :data:`MAX_JUDGED`, evenly spread.
    """
    judged = slice(None, None, max(1, -(-measured.shape[1] // MAX_JUDGED)))
    y, x = (np.ascontiguousarray(rows[:, judged]) for rows in (measured, predicted))
    sums, folds, n_folds = sum_folds(y, x, fitted.folds), fitted.folds, len(fitted.without)
    whose = group_families(people, len(y))[1]
    covered = np.empty(y.shape, bool)
    for own in range(n_folds):
        rows, kept = folds == own, fitted.without[own].kept
        others = [other for other in range(n_folds) if other != own]
        inner = [finish_slopes(sums, {own, other}, kept) for other in others]
        held_out = np.empty_like(y)
        for other, calibration in zip(others, inner, strict=True):
            held_out[folds == other] = calibration.apply(x[folds == other])
        rest, rest_folds = ~rows, np.searchsorted(others, folds[~rows])
        within = CrossFit(inner[0], rest_folds, tuple(inner), held_out=held_out[rest])
        intervals = fit_intervals(
            *(y[rest], within, features[rest]), coverage=coverage, people=whose[rest].tolist()
        )
        low, high = span_predictions(x[rows], inner)
        reach = intervals.judge(features[rows])[:, None] * intervals.error
        covered[rows] = (y[rows] >= low - reach) & (y[rows] <= high + reach)
    return covered, judged


def _size_errors(measured: Edges, predicted: EdgeArray) -> Vector:
    """Root mean square error of each subject, in units of each edge's own."""
    total = np.zeros(len(measured))
    for part in list_blocks(measured):
        squares = (measured[:, part] - predicted[:, part]).astype(np.float64) ** 2
        mean = squares.mean(axis=0)
        total += (squares / np.where(mean > 0, mean, 1.0)).sum(axis=1)
    smallest = np.finfo(np.float64).tiny
    return np.asarray(np.sqrt(np.maximum(total / max(measured.shape[1], 1), smallest)))
