"""The closed-form peer of a prediction, from measured connectomes that were multiplied before."""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from kraken_bids.models.calibration.calibration import MIN_FOLDS, N_FOLDS
from kraken_bids.models.pls_peer import predict_held_out
from kraken_bids.models.splits import deal_folds
from kraken_bids.scores.cross_fitted import compare_cross_fitted
from kraken_bids.scores.inner_products import Center, Rows, center_on, multiply_rows
from kraken_bids.scores.resampling import Kinship
from kraken_bids.scores.significance import Comparison, Score
from kraken_bids.worth_settings import MIN_CALIBRATED

OF_PEER = ("avgcorr", "avgcorr_resid", "avgrank", "top1acc", "gain")
"""Metrics of the peer."""


@dataclass(frozen=True)
class Measured:
    """Everybody's measured connectomes of one flavor, as inner products."""

    subjects: tuple[Hashable, ...]
    """Who has it complete."""
    center: Center
    rows: Rows

    @classmethod
    def of(cls, subjects: Sequence[Hashable], edges: NDArray[np.floating]) -> Self:
        """Multiply connectomes ``[n_subjects, n_edges]``."""
        return cls(tuple(subjects), *multiply_rows(edges))

    def take(self, subjects: Sequence[Hashable]) -> tuple[Center, Rows]:
        """Keep some of them, around their own mean."""
        place = {subject: row for row, subject in enumerate(self.subjects)}
        return center_on(self.center, self.rows, [place[subject] for subject in subjects])


@dataclass(frozen=True)
class Fitting:
    """Whom regressions and group means are fitted on."""

    folds: NDArray[np.intp]
    """Fold of each row; families, and sessions of one subject, are in one."""
    kinship: Kinship

    @classmethod
    def of(cls, people: Sequence[Hashable], families: Sequence[str]) -> Self:
        """Deal the folds that calibrations are fitted on too."""
        n_folds = min(N_FOLDS, len(set(families)))
        folds = deal_folds(len(families), n_folds, families=families)
        return cls(folds, Kinship.of(people, families))

    @property
    def is_enough(self) -> bool:
        """Whether there are so many that a regression says something."""
        return self.kinship.n_people >= MIN_CALIBRATED and self.kinship.n_families >= MIN_FOLDS


def compare_peer(
    target: Measured, inputs: Sequence[Measured], subjects: Sequence[Hashable], fitting: Fitting
) -> Comparison:
    """Predict everyone by partial least squares fitted on others, and compare with the measured.

    Parameters
    ----------
    inputs : sequence of Measured
        What the source of the prediction holds.
    subjects : sequence
        Who has the target and the source.
    fitting : Fitting
        Of these subjects.
    """
    measured, joined = target.take(subjects), join_inputs(inputs, subjects)
    fitted = predict_held_out(joined, measured[1].gram, fitting.folds)
    return compare_cross_fitted(measured, fitted.weights, fitting.folds, kinship=fitting.kinship)


def join_inputs(inputs: Sequence[Measured], subjects: Sequence[Hashable]) -> NDArray[np.float64]:
    """Inner products of several inputs, each with the same variance in sum.

    Whoever lacks an input has the others' mean.

    Returns
    -------
    ndarray of shape (n_subjects, n_subjects)
    """
    joined = np.zeros((len(subjects), len(subjects)))
    for measured in inputs:
        known = set(measured.subjects)
        own = [row for row, subject in enumerate(subjects) if subject in known]
        if own:
            _, rows = measured.take([subjects[row] for row in own])
            total = float(np.trace(rows.gram))
            joined[np.ix_(own, own)] += rows.gram / total if total > 0 else 0.0
    return joined


def name_peer(scores: Mapping[str, Score]) -> dict[str, Score]:
    """Take the scores of a peer by the names that they have in tables."""
    return {f"pls_{name}": scores[name] for name in OF_PEER}
