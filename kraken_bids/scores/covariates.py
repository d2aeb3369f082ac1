"""Covariates of a cohort as the columns of a regression."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
UNKNOWN = frozenset({"", "n/a", "na", "nan", "none", "null", "unknown"})
"""What tables hold, in small letters, where a value is not known."""


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
    numbers = [_to_number(word) for word in words]
    if all(number is not None for number, word in zip(numbers, words, strict=True) if word):
        values = np.array([np.nan if number is None else number for number in numbers])
        varies = known.any() and np.ptp(values[known]) > 0
        scale = float(values[known].std()) if varies else 1.0
        return {name: (values - values[known].mean()) / scale if varies else 0 * values}
    levels, counts = np.unique([word for word in words if word], return_counts=True)
    others = np.delete(levels, counts.argmax())
    own = np.array(words)
    return {f"{name}={level}": np.where(known, own == level, np.nan) for level in others}


def _to_number(word: str) -> float | None:
    try:
        number = float(word)
    except ValueError:
        return None
    return number if np.isfinite(number) else None
