"""Covariates of a cohort as the columns of a regression."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
UNKNOWN = frozenset({"", "n/a", "na", "nan", "none", "null", "unknown"})
"""What tables hold, in small letters, where a value is not known."""


ODD_NUMBER = re.compile(
    r"[<>≤≥=~]*\s*[-+]?(\d+([.,]\d+)?|[.,]\d+)(e[-+]?\d+)?\s*\+?", re.IGNORECASE
)
"""A number, also with a comma, a sign of order, or a plus after it."""


@dataclass(frozen=True)
class Covariates:
    """What a regression allows for."""

    values: Floats
    """[n_rows, n_columns]: first a column of ones; NaN in rows where a covariate is not known."""
    names: tuple[str, ...]
    """Name of each column but the first: ``age``, ``sex=M``."""
    unknown: tuple[str, ...]
    """Of each row, the covariates that are not known, joined by commas [n_rows]."""


def encode_covariates(
    columns: Mapping[str, Sequence[str | float | None]], n_rows: int
) -> Covariates:
    """Encode covariates for a regression with an intercept.

    Numbers are centred and divided by their standard deviation, which changes no residual. Words
    become a column of 0 and 1 for each value but the most frequent one.

    Parameters
    ----------
    columns : mapping of str to sequence of length n_rows
        Values of each covariate. One whose known values are all numbers is a number. None, NaN,
        empty texts and ``n/a`` are not known.
    n_rows : int
        Sessions; needed where there are no covariates.
    """
    encoded: dict[str, Floats] = {}
    lacking: list[list[str]] = [[] for _ in range(n_rows)]
    for name, values in columns.items():
        words = [_to_word(value) for value in values]
        for row, word in enumerate(words):
            if not word:
                lacking[row].append(name)
        encoded |= _encode(name, words)
    return Covariates(
        np.column_stack([np.ones(n_rows), *encoded.values()]),
        tuple(encoded),
        tuple(", ".join(names) for names in lacking),
    )


def _to_word(value: str | float | None) -> str:
    word = "" if value is None else str(value).strip()
    return "" if word.casefold() in UNKNOWN else word


def _encode(name: str, words: Sequence[str]) -> dict[str, Floats]:
    known = np.array([bool(word) for word in words], bool)
    numbers = [to_number(word) for word in words]
    if all(number is not None for number, word in zip(numbers, words, strict=True) if word):
        values = np.array([np.nan if number is None else number for number in numbers])
        varies = known.any() and np.ptp(values[known]) > 0
        scale = float(values[known].std()) if varies else 1.0
        return {name: (values - values[known].mean()) / scale if varies else 0 * values}
    levels, counts = np.unique([word for word in words if word], return_counts=True)
    others = np.delete(levels, counts.argmax())
    own = np.array(words)
    return {f"{name}={level}": np.where(known, own == level, np.nan) for level in others}


def to_number(word: str) -> float | None:
    """Read a finite number; None where it is none."""
    try:
        number = float(word)
    except ValueError:
        return None
    return number if np.isfinite(number) else None


@dataclass(frozen=True)
class Covariate:
    """How one covariate becomes columns of a regression, for those fitted on and for others."""

    name: str
    levels: tuple[str, ...]
    """Words that it was seen to have, the most frequent first, which has no column; empty for a
    number."""
    centers: tuple[float, ...]
    """Mean of each column over those fitted on, in the covariate's own unit."""
    scale: float
    """What centred numbers are divided by; 1 for words."""

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of its columns: ``age``, or ``sex=M`` for each level but the first."""
        return tuple(f"{self.name}={level}" for level in self.levels[1:]) or (self.name,)

    def encode(self, values: Sequence[str | float | None]) -> Floats:
        """Encode values as columns ``[n_rows, n_columns]``; NaN where one is not known.

        So is a word that nobody had who was fitted on: nothing says what it goes along with.
        """
        words = [_to_word(value) for value in values]
        if self.levels:
            own = np.zeros((len(words), len(self.columns)))
            for place, level in enumerate(self.levels[1:]):
                own[:, place] = [word == level for word in words]
            own[[word not in self.levels for word in words]] = np.nan
        else:
            numbers = [to_number(word) for word in words]
            own = np.array([[np.nan if n is None else n] for n in numbers]).reshape(-1, 1)
        return np.asarray((own - np.array(self.centers)) / self.scale, np.float64)


def find_odd_number(values: Sequence[str | float | None]) -> str:
    """Find a number that is not spelled as one, such as ``89+``, in a column of numbers.

    As it stands, each value of the column would be a word, with an effect of its own.

    Returns
    -------
    str
        The first one; '' where all known values are numbers, or some are words indeed.
    """
    known = [word for word in map(_to_word, values) if word]
    odd = [word for word in known if to_number(word) is None]
    return odd[0] if odd and all(ODD_NUMBER.fullmatch(word) for word in known) else ""


def fit_covariates(
    columns: Mapping[str, Sequence[str | float | None]], weights: Floats
) -> tuple[Covariate, ...]:
    """Find how covariates are encoded, by those who are fitted on.

    Parameters
    ----------
    columns : mapping of str to sequence of length n_rows
        As :func:`encode_covariates` takes them. One with a single value has a column of zeros.
    weights : ndarray of shape (n_rows,)
        How much each row counts; 0 for those who are not fitted on.
    """
    return tuple(_fit_covariate(name, values, weights) for name, values in columns.items())


def _fit_covariate(name: str, values: Sequence[str | float | None], weights: Floats) -> Covariate:
    words = [_to_word(value) for value in values]
    used = [row for row, word in enumerate(words) if word and weights[row] > 0]
    if not used:
        return Covariate(name, (), (0.0,), 1.0)
    own, numbers = weights[used], [to_number(words[row]) for row in used]
    if all(number is not None for number in numbers):
        known = np.array(numbers, float)
        center = float(np.average(known, weights=own))
        spread = float(np.sqrt(np.average((known - center) ** 2, weights=own)))
        return Covariate(name, (), (center,), spread if np.ptp(known) > 0 else 1.0)
    shares: dict[str, float] = {}
    for row in used:
        shares[words[row]] = shares.get(words[row], 0.0) + float(weights[row])
    levels = sorted(shares, key=lambda word: (-shares[word], word))
    total = sum(shares.values())
    return Covariate(
        name, tuple(levels), tuple(shares[w] / total for w in levels[1:]) or (0.0,), 1.0
    )
