"""Arrays of a MATLAB file of version 5 to 7: large ones stay on disk, objects are told apart."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kraken_bids.exceptions import InputError
from kraken_bids.io.bounds import check_growth
from kraken_bids.io.foreign import read_apart
from kraken_bids.io.matlab_bounds import NUMBERS, OPAQUE, MatVariable, list_variables
from kraken_bids.io.matlab_names import read_plain
from kraken_bids.io.matlab_objects import Objects, parse_reference, read_objects
from kraken_bids.io.matlab_rows import open_rows
from kraken_bids.io.stored_rows import ARRAYS, BROKEN, Rows

LAZY_BYTES = 1 << 20
"""Smaller arrays come into memory at once."""


@dataclass(frozen=True)
class MatlabObject:
    """An object of one of MATLAB's classes, which nothing but MATLAB reads."""

    path: Path
    name: str
    kind: str
    """Its class: ``string``, ``table`` …"""
    shape: tuple[int, ...] = ()
    dtype: np.dtype[Any] = field(default_factory=lambda: np.dtype(object))

    def __getitem__(self, rows: slice) -> NDArray[Any]:
        """Raise InputError: there is nothing to read."""
        raise InputError(
            f"expected words or numbers in {self.name} of {self.path}; found a MATLAB object of "
            f"class {self.kind}, which only MATLAB reads. Save names as a cell array: "
            f"{self.name} = cellstr({self.name})."
        )


def open_mat(path: Path) -> dict[str, Rows]:
    """Arrays of a ``.mat`` file of version 4 to 7, by name.

    Columns of a table come by the name ``TABLE.COLUMN``.

    Raises
    ------
    ValueError, InputError
        If the file is broken, or declares more than it stores.
    """
    variables = list_variables(path)
    arrays: dict[str, Rows] = {
        one.name: open_rows(path, one) for one in variables if one.name and _is_large(one)
    }
    small = [one for one in variables if one.name and one.name not in arrays]
    small = [one for one in small if not _is_opaque(one.name, variables)]
    plain = read_plain(path, small) if _are_all_named(variables) else None
    if plain is None:
        plain = _load(path, [one.name for one in small] if variables else None)
    arrays |= {name: stack_cells(value) for name, value in plain.items()}
    objects = [one for one in variables if one.kind == OPAQUE and one.name]
    if objects:
        arrays |= {one.name: MatlabObject(path, one.name, one.words[-1]) for one in objects}
        arrays |= _read_objects(path, objects)
    return arrays


def _is_large(variable: MatVariable) -> bool:
    n_values = int(np.prod(variable.shape, dtype=np.int64))
    return (
        (variable.kind in NUMBERS or variable.cell_head != b"")
        and variable.dtype != ""
        and n_values * np.dtype(variable.dtype).itemsize >= LAZY_BYTES
        and sum(n != 1 for n in variable.shape) >= 2
    )


def _are_all_named(variables: list[MatVariable]) -> bool:
    """Whether there are variables, each with a name of its own."""
    names = {one.name for one in variables}
    return bool(variables) and len(names) == len(variables) and "" not in names


def _is_opaque(name: str, variables: list[MatVariable]) -> bool:
    return any(one.name == name and one.kind == OPAQUE for one in variables)


def _load(path: Path, names: list[str] | None) -> dict[str, NDArray[Any]]:
    from kraken_bids.io.matlab_child import load_variables

    content = read_apart(ARRAYS, load_variables, path, names)
    return {name: np.asarray(value) for name, value in content.items()}


def stack_cells(array: NDArray[Any]) -> NDArray[Any]:
    """Stack a cell array of equal matrices, or of words; leave anything else as it is.

    Raises
    ------
    ValueError
        If one word is so long that all in its length would take memory out of proportion.
    """
    if array.dtype.kind != "O" or array.ndim != 1 or len({np.shape(cell) for cell in array}) != 1:
        return array
    cells = [np.asarray(cell) for cell in array]
    if any(cell.dtype.kind not in "fiuU" for cell in cells):
        return array
    sizes = [cell.nbytes for cell in cells]
    check_growth(len(sizes) * max(sizes), sum(sizes), "a cell array")
    return np.stack(cells)


def _read_objects(path: Path, objects: list[MatVariable]) -> dict[str, NDArray[Any]]:
    """Strings and tables, from the part of the file where MATLAB puts what objects hold."""
    from kraken_bids.io.matlab_child import load_objects

    try:
        cells = read_apart(ARRAYS, load_objects, path)
        known = Objects(cells[0].tobytes(), lambda place: cells[place], objects[0].order)
        references = {
            one.name: parse_reference(np.frombuffer(one.reference, f"{one.order}u4"))
            for one in objects
        }
        return read_objects(known, references)
    except BROKEN:
        return {}  # an object that is asked for is refused then, and the others do not matter
