"""Whether predictions say something about single subjects, or only what everyone has in common."""

import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from kraken_bids.scores.metrics import chance_rank, list_blocks

Vector = NDArray[np.float64]

MIN_EXPLAINED = 0.01
"""Share of the differences between subjects that a prediction about them must explain."""
MIN_RANK_Z = 1.645
"""So far above chance must the average rank lie (p = 0.05, one-sided)."""
BEST_PART = 4
"""A subject's own prediction must be among the best quarter of everyone's for that subject."""
MIN_COMPARED = 5
"""Fewer subjects with both a measured connectome and a prediction say nothing of either."""
ROUNDING = 1e-14
"""Share of a connectome's squares that is nothing but rounding of 32-bit numbers."""


@dataclass(frozen=True)
class Evidence:
    """What measured connectomes of a cohort say of its predictions from one source."""

    explained: float
    """Share of the differences between subjects that the predictions explain; negative where they
    err more than the group's mean does."""
    average_rank: float
    """Of the own prediction; 1 is perfect, ``(n + 1) / 2n`` chance."""
    subjects: dict[int, tuple[float, int]]
    """By index of the subject: the share explained of what sets it apart from the group's
    mean, and the rank of the own prediction among everyone's."""
    nearest: dict[int, int] = field(default_factory=dict)
    """By index of the subject: whose prediction resembles the measured connectome most."""
    n_people: int = 0
    """Subjects of these rows, sessions of one together; by default as many as rows."""

    def __post_init__(self) -> None:
        """Count every row as a subject where nothing else is said."""
        if not self.n_people:  # frozen, so not by a plain assignment
            object.__setattr__(self, "n_people", self.n_subjects)

    @property
    def n_subjects(self) -> int:
        """Subjects compared."""
        return len(self.subjects)

    @property
    def is_enough(self) -> bool:
        """Whether so many were compared that something can be said."""
        return self.n_people >= MIN_COMPARED

    @property
    def tells_apart(self) -> bool:
        """Whether the right subject is found more often than by chance.

        Ranks of one subject's sessions are alike, and say no more by chance than one of them.
        """
        n = self.n_subjects
        spread = math.sqrt((n**2 - 1) / 12) / n / math.sqrt(self.n_people)
        return self.average_rank > chance_rank(n) + MIN_RANK_Z * spread

    @property
    def beats_mean(self) -> bool:
        """Whether the predictions err less than the group's mean does."""
        return self.explained >= MIN_EXPLAINED

    def is_about(self, subject: int) -> bool:
        """Whether a compared subject's own prediction is about this person."""
        explained, rank = self.subjects[subject]
        is_near = rank <= max(1, self.n_subjects / BEST_PART)
        return self.beats_mean and self.tells_apart and explained > 0 and is_near


def explain_subjects(
    observed: NDArray[np.floating], predicted: NDArray[np.floating], *, slope: float = 1.0
) -> tuple[float, Vector]:
    """Share of what sets each subject apart from the group that the own prediction explains.

    ``1 - ||d - p||² / ||d||²``, d and p the observed and the predicted connectome less the means
    over the subjects. 0 is what the group's mean itself reaches.

    Parameters
    ----------
    observed, predicted : ndarray of shape (n_subjects, n_edges)
        The same subjects in the same order.
    slope : float
        What observed edges are multiplied by to be in the range of the predictions (the ``b0`` of
        the adaptation).

    Returns
    -------
    total : float
        The same of all subjects together, weighted by how far they are from the mean: the
        explained variance over subjects.
    subjects : ndarray of shape (n_subjects,)
        NaN where nobody differs.
    """
    errors, totals, squares = np.zeros((3, len(observed)))
    for part in list_blocks(observed):
        x, y = (rows[:, part].astype(np.float64) for rows in (observed, predicted))
        deviation = slope * (x - x.mean(axis=0))
        errors += ((deviation - (y - y.mean(axis=0))) ** 2).sum(axis=1)
        totals += (deviation**2).sum(axis=1)
        squares += ((slope * x) ** 2).sum(axis=1)
    differs = totals > ROUNDING * squares
    subjects = np.where(differs, 1 - errors / np.where(differs, totals, 1.0), np.nan)
    whole = 1 - errors.sum() / totals.sum() if differs.any() else np.nan
    return float(whole), np.asarray(subjects, np.float64)
