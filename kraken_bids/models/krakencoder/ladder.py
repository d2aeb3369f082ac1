"""Which rung a cohort supports: nested cross-validation, families together."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from kraken_bids.models.krakencoder.changes import Changes
from kraken_bids.models.krakencoder.finetuning import (
    MEAN_SHIFT,
    NONE,
    RUNGS,
    UNCHANGED,
    Path,
    Rows,
    Tuner,
)
from kraken_bids.models.splits import deal_folds, group_families

logger = logging.getLogger(__name__)

Matrix = NDArray[np.float64]

N_FOLDS = 5
"""Parts of the cohort that are held out in turn."""
N_DRAWS = 2000
"""Bootstrap samples of families behind an interval."""
INTERVAL = (2.5, 97.5)
"""Percentiles of a 95 % interval."""


@dataclass(frozen=True)
class Estimate:
    """A mean over subjects and how sure it is."""

    value: float
    low: float
    """Lower end of the 95 % interval: families drawn anew."""
    high: float
    error: float
    """Standard error of the mean, members of a family counted as one draw."""
    n_subjects: int


@dataclass(frozen=True)
class Ladder:
    """What nested cross-validation found, and the changes fitted on everybody."""

    paths: tuple[Path, ...]
    judged: tuple[Path, ...]
    """Those that the choice is made by."""
    scores: Mapping[str, Matrix]
    """By rung ``[n_paths, n_subjects]``: each subject's likeness when held out."""
    strengths: Mapping[str, str]
    """Of each rung, fitted on everybody."""
    changes: Mapping[str, Changes]
    """Of each rung, fitted on everybody."""
    families: NDArray[np.intp]
    """Number of each subject's family."""
    chosen: str
    """The rung to take."""
    seed: int

    def find_judged(self) -> NDArray[np.intp]:
        """Rows of the subjects by whom the choice is made: they have both flavors of a path."""
        rows = [self.paths.index(path) for path in self.judged]
        return np.flatnonzero(np.isfinite(self.scores[MEAN_SHIFT][rows]).any(axis=0))

    def estimate(self, rung: str, *, over: str = "", paths: Sequence[Path] = ()) -> Estimate:
        """Mean score of a rung in subjects held out, or its gain over another rung.

        Parameters
        ----------
        over : str
            The rung that is taken off; none by default.
        paths : sequence of (str, str), optional
            Their mean; those that the choice is made by if none are given.
        """
        rows = [self.paths.index(path) for path in paths or self.judged]
        values = _mean_paths(self.scores[rung][rows])
        if over:
            values = values - _mean_paths(self.scores[over][rows])
        return estimate_mean(values, self.families, seed=self.seed)


def climb_ladder(tuner: Tuner, *, families: Sequence[str] | None = None, seed: int = 0) -> Ladder:
    """Fit every rung, judge each on subjects held out, and choose one.

    In each outer fold the strength of every rung is chosen on the remaining folds, each held out
    in turn, so that nobody who is judged had a say in anything.

    Parameters
    ----------
    families : sequence of str, optional
        Family of each subject.
    seed : int
        Of folds and intervals.
    """
    n_subjects = len(next(iter(tuner.raw.values())))
    folds = deal_folds(n_subjects, N_FOLDS, families=families, seed=seed)
    paths = tuple((i, j) for i in tuner.raw for j in tuner.raw)
    scores = {rung: np.full((len(paths), n_subjects), np.nan) for rung in RUNGS}
    for fold in range(N_FOLDS):
        held_out = folds == fold
        logger.info("fine-tuning: fold %d of %d", fold + 1, N_FOLDS)
        found, _ = _climb(tuner, ~held_out, folds)
        for rung, own in found.items():
            scores[rung][:, held_out] = tuner.score_paths(
                own, held_out, paths, fitted_on=~held_out
            )
    logger.info("fine-tuning on everybody")
    everybody = np.ones(n_subjects, bool)
    changes, strengths = _climb(tuner, everybody, folds)
    _, members = group_families(families, n_subjects)
    chosen = _choose(tuner, scores, paths, members)
    return Ladder(paths, tuner.judged, scores, strengths, changes, members, chosen, seed)


def estimate_mean(values: Matrix, families: NDArray[np.intp], *, seed: int = 0) -> Estimate:
    """Mean over subjects ``[n_subjects]`` of values that are not NaN; families are drawn whole."""
    present = np.isfinite(values)
    n = int(present.sum())
    if not n:
        return Estimate(*(float("nan"),) * 4, 0)
    _, numbers = np.unique(families[present], return_inverse=True)
    sums, sizes = np.bincount(numbers, values[present]), np.bincount(numbers)
    mean = float(sums.sum() / n)
    draws = np.random.default_rng(seed).multinomial(
        len(sums), np.full(len(sums), 1 / len(sums)), size=N_DRAWS
    )
    low, high = np.percentile((draws @ sums) / (draws @ sizes), INTERVAL)
    m = len(sums)
    error = np.sqrt(m / max(m - 1, 1) * ((sums - sizes * mean) ** 2).sum()) / n
    return Estimate(mean, float(low), float(high), float(error), n)


def _climb(
    tuner: Tuner, rows: Rows, folds: NDArray[np.intp]
) -> tuple[dict[str, Changes], dict[str, str]]:
    """Fit every rung on some subjects; strengths are chosen on the folds among them."""
    whole = {NONE: Changes(), MEAN_SHIFT: tuner.shift(rows)}
    strengths = dict.fromkeys(whole, "")
    parts = [(rows & (folds != fold), rows & (folds == fold)) for fold in np.unique(folds[rows])]
    inner = [tuner.shift(kept) for kept, _ in parts]
    for below, rung in pairwise(RUNGS[1:]):
        tried = [
            tuner.list_candidates(rung, kept, changes)
            for (kept, _), changes in zip(parts, inner, strict=True)
        ]
        strength = _choose_strength(tuner, tried, parts)
        inner = [candidates[strength] for candidates in tried]
        whole[rung] = tuner.list_candidates(rung, rows, whole[below])[strength]
        strengths[rung] = strength
    return whole, strengths


def _choose_strength(
    tuner: Tuner, tried: Sequence[Mapping[str, Changes]], parts: Sequence[tuple[Rows, Rows]]
) -> str:
    """Take the best strength if it beats no change by more than one standard error."""
    scores = {
        strength: np.concatenate(
            [
                _mean_paths(
                    tuner.score_paths(candidates[strength], out, tuner.judged, fitted_on=kept)
                )
                for candidates, (kept, out) in zip(tried, parts, strict=True)
            ]
        )
        for strength in set.intersection(*map(set, tried))
    }
    best = max(sorted(scores), key=lambda strength: float(np.nanmean(scores[strength])))
    gains = scores[best] - scores[UNCHANGED]
    gains = gains[np.isfinite(gains)]
    error = gains.std(ddof=1) / np.sqrt(len(gains))
    return best if gains.mean() > error else UNCHANGED


def _choose(
    tuner: Tuner,
    scores: Mapping[str, Matrix],
    paths: tuple[Path, ...],
    families: NDArray[np.intp],
) -> str:
    """Take the lowest rung within one standard error of the best one.

    A rung above mean shift counts only if the interval of its gain over mean shift lies above 0.
    Mean shift is what is done without any fit: to do less has to be better by more than that
    error.
    """
    rows = [paths.index(path) for path in tuner.judged]
    own = {rung: _mean_paths(rung_scores[rows]) for rung, rung_scores in scores.items()}
    found = {rung: estimate_mean(values, families) for rung, values in own.items()}
    helpful = [
        rung for rung in RUNGS[2:] if estimate_mean(own[rung] - own[MEAN_SHIFT], families).low > 0
    ]
    standing = [MEAN_SHIFT, *helpful]
    best = max(standing, key=lambda rung: found[rung].value)
    if found[NONE].value > found[best].value + found[NONE].error:
        return NONE
    limit = found[best].value - found[best].error
    return next(rung for rung in standing if found[rung].value >= limit)


def _mean_paths(scores: Matrix) -> Matrix:
    """Mean over the paths ``[n_paths, n_subjects]`` that each subject has; NaN without any."""
    present = np.isfinite(scores)
    counts = present.sum(axis=0)
    sums = np.where(present, scores, 0.0).sum(axis=0)
    return np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)
