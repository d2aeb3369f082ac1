"""Strings and tables of MATLAB files: what their objects hold, decoded without MATLAB.

MATLAB writes an object as a reference, and what all objects hold into one cell array: its first
cell says which of the others belongs to which property of which object.

Source: the format as documented by the project matio (github.com/foreverallama/matio, docs).
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

Words = NDArray[np.uint32]

MARK = 0xDD000000
"""How a reference to an object begins."""
N_REGIONS = 8
FIRST_VALUE = 2
"""Cells before the values of properties."""
CLASS_WORDS, OBJECT_WORDS = 4, 6
PROPERTY = 1
STRING_VERSION = 1
MISSING_LENGTH = 2**64 - 1
MAX_STRINGS = 1_000_000


@dataclass(frozen=True)
class Reference:
    """A variable, or a cell, in whose place there is an object."""

    object_id: int
    class_id: int


def parse_reference(values: NDArray[Any]) -> Reference | None:
    """Object that numbers refer to; None where they are no reference, or one to several."""
    words = np.asarray(values).reshape(-1)
    if words.dtype.kind != "u" or len(words) < 6 or words[0] != MARK:
        return None
    n_axes = int(words[1])
    return Reference(int(words[-2]), int(words[-1])) if len(words) == n_axes + 4 else None


class Objects:
    """What the objects of a file hold.

    Parameters
    ----------
    index : bytes
        The first cell.
    read : callable
        Gives the value of a cell, by its place: numbers, words, or an array of further values.
    order : str
        ``<`` or ``>``.

    Raises
    ------
    ValueError
        If it is no such index.
    """

    def __init__(self, index: bytes, read: Callable[[int], NDArray[Any]], order: str) -> None:
        words = np.frombuffer(index[: len(index) // 4 * 4], f"{order}u4").astype(np.uint32)
        if len(words) < 2 + N_REGIONS or not 2 <= words[0] <= 4:
            raise ValueError("no index of MATLAB objects")
        starts = words[2 : 2 + N_REGIONS].astype(int)
        names = index[4 * (2 + N_REGIONS) : starts[0]].split(b"\0")
        self._names = [name.decode("ascii", errors="replace") for name in names if name]
        regions = [words[a // 4 : b // 4] for a, b in pairwise(starts[:5].tolist())]
        self._classes, self._saved, self._objects, self._plain = regions
        self._read, self._order = read, order

    def read_strings(self, reference: Reference) -> NDArray[np.str_] | None:
        """Words of a string array; None for an object of another class."""
        if self._class_name(reference) != "string":
            return None
        values = self._read_properties(reference).get("any")
        return None if values is None else decode_strings(values, self._order)

    def read_columns(self, reference: Reference) -> dict[str, NDArray[Any]]:
        """Columns of a table that are numbers or words; none for an object of another class."""
        if self._class_name(reference) != "table":
            return {}
        held = self._read_properties(reference)
        columns = {}
        for name, value in zip(_list(held["varnames"]), _list(held["data"]), strict=True):
            own = parse_reference(value)
            column = value if own is None else self.read_strings(own)
            words = None if column is None else _unwrap(column)
            if words is not None:
                columns[str(np.asarray(name).reshape(-1)[0])] = words
        return columns

    def _class_name(self, reference: Reference) -> str:
        return self._names[int(self._classes[CLASS_WORDS * reference.class_id + 1]) - 1]

    def _read_properties(self, reference: Reference) -> Mapping[str, NDArray[Any]]:
        start = OBJECT_WORDS * reference.object_id
        own = self._objects[start : start + OBJECT_WORDS].astype(int)
        saved, plain = int(own[3]), int(own[4])
        block = _find_block(self._saved, saved) if saved else _find_block(self._plain, plain)
        return {
            self._names[name - 1]: self._read(FIRST_VALUE + value)
            for name, kind, value in block
            if kind == PROPERTY
        }


def read_objects(
    objects: Objects, references: Mapping[str, Reference | None]
) -> dict[str, NDArray[Any]]:
    """Words of the string arrays among variables, and columns of tables as ``TABLE.COLUMN``."""
    arrays: dict[str, NDArray[Any]] = {}
    for name, reference in references.items():
        with suppress(ValueError, IndexError, KeyError, OverflowError):
            words = None if reference is None else objects.read_strings(reference)
            columns = {} if reference is None else objects.read_columns(reference)
            arrays |= {name: words} if words is not None else {}
            arrays |= {f"{name}.{column}": values for column, values in columns.items()}
    return arrays


def decode_strings(values: NDArray[Any], order: str = "<") -> NDArray[np.str_]:
    """Words of the numbers that MATLAB writes for a string array, in its order; '' for missing.

    Raises
    ------
    ValueError
        If there are fewer numbers than they say.
    """
    words = np.asarray(values).reshape(-1).astype(np.uint64)
    n_axes = int(words[1])
    n_strings = int(np.prod([int(n) for n in words[2 : 2 + n_axes]], dtype=object))
    lengths = [int(n) for n in words[2 + n_axes : 2 + n_axes + min(n_strings, MAX_STRINGS)]]
    text = words[2 + n_axes + n_strings :].astype(f"{order}u8").tobytes()
    sizes = [0 if n == MISSING_LENGTH else 2 * n for n in lengths]
    if words[0] != STRING_VERSION or len(lengths) != n_strings or sum(sizes) > len(text):
        raise ValueError("a string array of another version, or cut short")
    found, place = [], 0
    for size in sizes:
        found.append(
            text[place : place + size].decode("utf-16-le" if order == "<" else "utf-16-be")
        )
        place += size
    return np.array(found, dtype=np.str_)


def _find_block(region: Words, number: int) -> list[tuple[int, int, int]]:
    """Name, kind and value of each property in a block; blocks begin on every other word."""
    place = 0
    for _ in range(number):
        place += _block_length(int(region[place]))
    n_properties = int(region[place])
    words = region[place + 1 : place + 1 + 3 * n_properties].reshape(n_properties, 3)
    return [(int(name), int(kind), int(value)) for name, kind, value in words]


def _block_length(n_properties: int) -> int:
    n_words = 1 + 3 * n_properties
    return n_words + n_words % 2


def _list(cells: NDArray[Any]) -> Sequence[Any]:
    return list(np.asarray(cells).reshape(-1))


def _unwrap(column: NDArray[Any]) -> NDArray[Any] | None:
    """Numbers, or words of a cell array of words, in one list; None for anything else."""
    cells = np.asarray(column)
    if max(cells.shape, default=1) != cells.size:
        return None
    if cells.dtype.kind in "biufU":
        return cells.reshape(-1)
    words = [np.asarray(cell).reshape(-1) for cell in cells.reshape(-1)]
    if all(word.dtype.kind == "U" and word.size <= 1 for word in words):
        return np.array([word[0] if word.size else "" for word in words], dtype=np.str_)
    return None
