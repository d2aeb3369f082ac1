"""How calibrated predictions compare with what was measured in subjects who were held out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kraken_bids.scores.metrics import EdgeArray, list_blocks, rank_own
from kraken_bids.scores.resampling import Kinship, draw
from kraken_bids.scores.significance import INTERVAL, TIE, Score

Vector = NDArray[np.float64]

N_BOOTSTRAPS = 1000
QUARTERS = ("weakest quarter", "second quarter", "third quarter", "strongest quarter")
"""Classes of edges by the size of their mean."""
SIDES = ("within hemispheres", "between hemispheres", "midline")


@dataclass(frozen=True, eq=False)
class HeldOutScores:
    """What held-out subjects say of calibrated predictions of one target from one source."""

    swapped: Vector
    """Squared error of everybody's prediction (columns) for every subject, sum over edges
    [n_subjects, n_subjects]; what a prediction adds to the mean is added to the subject's own."""
    mean_errors: Vector
    """The same of the mean of the subjects who were fitted on [n_subjects]."""
    ranks: NDArray[np.intp]
    """Of the own prediction among those of others, less the mean; 1 is best [n_subjects]."""
    n_ranked: NDArray[np.intp]
    """Predictions that were ranked: without the subject's other sessions [n_subjects]."""
    r2: float
    """Share of an edge's variance that is predicted, mean over edges."""

    @property
    def errors(self) -> Vector:
        """Squared error of everyone's own prediction [n_subjects]."""
        return np.diag(self.swapped)

    @property
    def gains(self) -> Vector:
        """Gain of everyone over the mean [n_subjects]; 0 where nothing differs from it."""
        some = self.mean_errors > 0
        return np.where(some, 1 - self.errors / np.where(some, self.mean_errors, 1.0), 0.0)

    def score_gain(self, kinship: Kinship) -> Score:
        """Gain of all of them, with its bootstrap interval over subjects, families together.

        Its p-value is that of predictions dealt out to other subjects.
        """
        drawn = draw(kinship, n_permutations=N_BOOTSTRAPS, n_bootstraps=N_BOOTSTRAPS, seed=0)
        total = float(self.mean_errors.sum())
        if not total > 0:
            return Score(0.0)
        totals = drawn.counts @ self.mean_errors
        samples = 1 - (drawn.counts @ self.errors) / np.where(totals > 0, totals, np.nan)
        gain, n = 1 - float(self.errors.sum()) / total, len(self.errors)
        dealt = 1 - np.take(self.swapped, drawn.assignments + n * np.arange(n)).sum(axis=1) / total
        n_as_good = int((dealt >= gain - TIE).sum())
        return Score.of(gain, samples, (1 + n_as_good) / (1 + len(dealt)))

    def spread_subjects(self) -> tuple[float, float]:
        """Range in which the gains of 95 of 100 subjects lie."""
        low, high = np.percentile(self.gains, INTERVAL).tolist()
        return low, high


def judge_held_out(
    measured: NDArray[np.floating],
    held_out: EdgeArray,
    means: NDArray[np.floating],
    folds: NDArray[np.intp],
    *,
    subjects: Sequence[str] = (),
) -> HeldOutScores:
    """Compare held-out predictions with measured connectomes, and with the mean of the others.

    Parameters
    ----------
    measured, held_out : ndarray of shape (n_subjects, n_edges)
    means : ndarray of shape (n_folds, n_edges)
        Mean measured connectome without each fold.
    folds : ndarray of shape (n_subjects,)
    subjects : sequence of str, optional
        Whose session each row is (each of another): a subject's other sessions are not ranked
        against this one.
    """
    n, n_edges = measured.shape
    mean_errors, x_sums, y_sums, y_squares = np.zeros((4, n))
    cross = np.zeros((n, n))
    r2 = 0.0
    for part in list_blocks(measured):
        y = measured[:, part].astype(np.float64)
        mean = means[:, part].astype(np.float64)[folds]
        apart, step = y - mean, held_out[:, part] - mean
        edge_errors = (apart - step) ** 2
        mean_errors += (apart**2).sum(axis=1)
        x_sums += apart.sum(axis=1)
        y_sums += step.sum(axis=1)
        y_squares += (step**2).sum(axis=1)
        cross += apart @ step.T
        r2 += _sum_r2(y, edge_errors)
    swapped = np.maximum(mean_errors[:, None] + y_squares - 2 * cross, 0.0)
    cross -= np.outer(x_sums, y_sums) / n_edges
    lengths = np.maximum(y_squares - y_sums**2 / n_edges, 0.0)
    r = cross / np.where(lengths > 0, np.sqrt(lengths), np.inf)
    names = np.array(subjects) if subjects else np.arange(n)
    ranked = (names[:, None] != names) | np.eye(n, dtype=bool)
    ranks = np.ceil(1 + rank_own(np.where(ranked, r, -np.inf))).astype(np.intp)
    return HeldOutScores(swapped, mean_errors, ranks, ranked.sum(axis=1), r2 / max(n_edges, 1))


def _sum_r2(y: Vector, errors: Vector) -> float:
    """Sum over edges of R², of an edge in which nobody differs 1 without an error, else 0."""
    total, error = ((y - y.mean(axis=0)) ** 2).sum(axis=0), errors.sum(axis=0)
    known = np.where(total > 0, 1 - error / np.where(total > 0, total, 1.0), error == 0)
    return float(known.sum())


def classify_edges(
    mean: NDArray[np.floating], hemispheres: tuple[str, ...] = ()
) -> dict[str, NDArray[np.bool_]]:
    """Classes of edges in which coverage is looked at: by their strength, and by their sides.

    Parameters
    ----------
    mean : ndarray of shape (n_edges,)
        Mean measured connectome.
    hemispheres : tuple of str
        ``L``, ``R`` or ``M`` of each region; empty where that is not known.
    """
    strength = np.abs(mean)
    place = np.searchsorted(np.quantile(strength, [0.25, 0.5, 0.75]), strength, side="left")
    classes = {name: place == k for k, name in enumerate(QUARTERS)}
    if {"L", "R"} <= set(hemispheres):
        side = np.array(hemispheres)
        first, second = np.triu_indices(len(side), 1)
        is_midline = (side[first] == "M") | (side[second] == "M")
        same = side[first] == side[second]
        kinds = (same & ~is_midline, ~same & ~is_midline, is_midline)
        classes |= dict(zip(SIDES, kinds, strict=True))
    return {name: members for name, members in classes.items() if members.any()}


def cover_classes(
    covered: NDArray[np.bool_], classes: Mapping[str, NDArray[np.bool_]]
) -> dict[str, float]:
    """Share of measured edges that lie within their interval, of each class of edges.

    Parameters
    ----------
    covered : ndarray of shape (n_subjects, n_judged)
    classes : mapping of str to ndarray of shape (n_judged,)
    """
    by_edge = covered.mean(axis=0)
    return {name: float(by_edge[own].mean()) for name, own in classes.items() if own.any()}
