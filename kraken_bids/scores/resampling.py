"""Draws of subjects: whom permutations give a prediction to, and who is in a bootstrap sample."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Indices = NDArray[np.intp]


@dataclass(frozen=True)
class Kinship:
    """Which rows are sessions of one subject, and which subjects are of one family."""

    people: tuple[int, ...]
    """Number of the subject of each row."""
    families: tuple[int, ...]
    """Number of the family of each row."""

    @classmethod
    def of(cls, people: Sequence[object], families: Sequence[object] | None = None) -> "Kinship":
        """Take the names of each row's subject and family; without any, subjects are alone."""
        named = people if families is None else families
        return cls(_number(people), _number(named))

    @classmethod
    def none(cls, n_rows: int) -> "Kinship":
        """Take every row for a subject without relatives."""
        return cls(tuple(range(n_rows)), tuple(range(n_rows)))

    def take(self, rows: Sequence[int] | Indices) -> "Kinship":
        """Keep some of the rows."""
        kept = [(self.people[row], self.families[row]) for row in rows]
        people, families = zip(*kept, strict=True) if kept else ((), ())
        return Kinship(_number(people), _number(families))

    @property
    def n_people(self) -> int:
        """Subjects, whose sessions count once."""
        return len(set(self.people))

    @property
    def n_families(self) -> int:
        """Families."""
        return len(set(self.families))


def _number(names: Sequence[object]) -> tuple[int, ...]:
    """Numbers of names, in the order in which they are met."""
    numbers = {name: k for k, name in enumerate(dict.fromkeys(names))}
    return tuple(numbers[name] for name in names)


@dataclass(frozen=True)
class Draws:
    """What every metric of the same rows is resampled by."""

    assignments: Indices
    """Whose prediction each row gets ``[n_permutations, n_rows]``."""
    counts: NDArray[np.int64]
    """How often each row is in a bootstrap sample ``[n_bootstraps, n_rows]``."""


@lru_cache(maxsize=4)
def draw(kinship: Kinship, *, n_permutations: int, n_bootstraps: int, seed: int) -> Draws:
    """Draw permutations of subjects, and bootstrap samples of families.

    Whoever gets another subject's predictions gets those of that subject's sessions, one after the
    other and from the start again where there are fewer. A family is in a sample with all of its
    sessions, or not.

    Parameters
    ----------
    seed : int
        The same seed and kinship give the same draws.
    """
    rng = np.random.default_rng(seed)
    people = np.arange(kinship.n_people)
    given = rng.permuted(np.tile(people[None], (n_permutations, 1)), axis=1)
    n = kinship.n_families
    families = rng.multinomial(n, np.full(n, 1 / n), size=n_bootstraps)
    counts = families[:, np.array(kinship.families, np.intp)]
    return Draws(_give_sessions(np.array(kinship.people, np.intp), given), counts)


def _give_sessions(people: Indices, given: Indices) -> Indices:
    """Rows that subjects' sessions get, by the subject whose predictions they get."""
    sizes = np.bincount(people)
    if len(sizes) == len(people):
        return given
    rows = np.argsort(people, kind="stable")
    starts = np.cumsum(sizes) - sizes
    place = np.empty_like(people)
    place[rows] = np.arange(len(people)) - starts[people[rows]]
    other = given[:, people]
    return np.asarray(rows[starts[other] + place % sizes[other]], np.intp)
