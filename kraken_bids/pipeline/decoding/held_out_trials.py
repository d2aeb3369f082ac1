"""What is decoded, and what a method took it for."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from kraken_bids.cohort.trials import Run, Trial, check_classes

Indices = NDArray[np.intp]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class LabelledTrials:
    """Trials with their labels, and whose they are."""

    runs: Sequence[Run]
    trials: Sequence[Trial]
    classes: tuple[str, ...]
    labels: Indices
    """Number of the class of each trial."""
    subjects: tuple[str, ...]
    """Subject of each trial."""
    families: tuple[str, ...]
    """Family of each trial's subject."""

    @classmethod
    def gather(
        cls, runs: Sequence[Run], trials: Sequence[Trial], families: Mapping[str, str], **more: Any
    ) -> Self:
        """Gather the trials of runs.

        Parameters
        ----------
        families : mapping of str to str
            Family of each subject.
        **more
            What else is known of them.

        Raises
        ------
        InputError
            If there are no trials, fewer than two classes, or one is of a single subject.
        """
        classes = check_classes(trials, [families[run.subject] for run in runs])
        subjects = tuple(runs[one.run].subject for one in trials)
        labels = np.array([classes.index(one.label) for one in trials], np.intp)
        of_families = tuple(families[person] for person in subjects)
        return cls(runs, tuple(trials), classes, labels, subjects, of_families, **more)

    def shuffle(self, rows: Indices, rng: np.random.Generator) -> Indices:
        """Labels of some trials, shuffled among those of each subject."""
        return shuffle_labels(self.labels[rows], [self.subjects[k] for k in rows.tolist()], rng)

    def draw(self, rows: Indices, rng: np.random.Generator, *, at_most: int) -> Indices:
        """Draw some trials of each class by chance; all where there are no more."""
        labels = self.labels[rows]
        chosen = [rng.permutation(rows[labels == k])[:at_most] for k in np.unique(labels)]
        return np.sort(np.concatenate(chosen)).astype(np.intp)


@dataclass(frozen=True)
class Decoded:
    """What a method took held-out trials for."""

    predicted: Indices
    """Number of the class of each trial."""
    probabilities: Floats
    """Of that class; NaN of methods that give none."""
    extra: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    """What else is kept of the fold, by name."""


def shuffle_labels(labels: Indices, subjects: Sequence[str], rng: np.random.Generator) -> Indices:
    """Shuffle labels among the trials of each subject, so that each keeps as many of every class.

    Those who have one class alone have nothing to shuffle: their trials are shuffled among them.
    """
    shuffled = labels.copy()
    _, owners = np.unique(np.asarray(subjects), return_inverse=True)
    groups = [np.flatnonzero(owners == k) for k in range(owners.max() + 1)]
    alone = [rows for rows in groups if len(np.unique(labels[rows])) < 2]
    several = [rows for rows in groups if len(np.unique(labels[rows])) > 1]
    for rows in [*several, np.concatenate([*alone, np.empty(0, np.intp)])]:
        shuffled[rows] = rng.permutation(labels[rows])
    return shuffled
