"""Names of regions beside a connectome in its file; MATLAB's structs and tables, spread."""

import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from math import isqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kraken_bids.exceptions import ConnectomeError
from kraken_bids.flavors import Flavor
from kraken_bids.io.matlab import MatlabObject, stack_cells
from kraken_bids.io.stored_rows import Rows, load_rows
from kraken_bids.parcellations import Parcellation, recognize_parcellation
from kraken_bids.region_spellings import place_regions

LIKE_REGIONS = re.compile(
    r"(region|roi|node|parcel|area)s?(name|label|id|index|indice|number|list)?e?s?"
    r"|labels?|names?|(row|column|variable)(name|label)?s"
)
"""Keys, in small letters and without marks, that hold names of regions where as many as these."""
COLUMNS = "VariableNames"
MAX_DEPTH = 3
MIN_NUMBERS = 10
"""So many numbers of regions, at least, are no numbers of anything else."""


def find_regions(arrays: Mapping[str, Rows], key: str, flavor: Flavor) -> tuple[str, ...] | None:
    """Find the names of an array's regions in its file.

    Parameters
    ----------
    arrays : mapping of str to array
        All arrays of the file; fields of structs as ``STRUCT.FIELD``.
    key : str
        The array; names lie beside it, or in the same struct.

    Returns
    -------
    tuple of str or None
        None where the file has no list that can be one of names: each once, as many as regions.
        Of several lists the one of which most names are known.

    Raises
    ------
    ConnectomeError
        If the only list of names of this atlas is too short or too long, or repeats one, or
        subjects name their regions differently: whose the rows are cannot be told, and their
        place must not say it.
    """
    sizes = _count_regions(arrays[key].shape)
    lists = {
        other: _spell_list(_join_lists(array, other, sizes))
        for other, array in arrays.items()
        if other != key and _is_beside(other, key) and not isinstance(array, MatlabObject)
    }
    counted = [list(map(str, range(n))) for n in sizes]
    named = [
        names
        for names in lists.values()
        if len(names) in sizes and len(set(names)) == len(names) and list(names) not in counted
    ]
    table = recognize_parcellation(flavor.parcellation)
    if table is not None and not named:
        _check_lists(table, lists, key, sizes)
    if table is None or not named:
        return named[0] if named else None
    return max(named, key=lambda names: int((place_regions(table, names) >= 0).sum()))


def _check_lists(
    table: Parcellation, lists: Mapping[str, Sequence[str]], key: str, sizes: Collection[int]
) -> None:
    for other, names in lists.items():
        words = list(dict.fromkeys(names))
        # some numbers of networks are FreeSurfer's of regions, too
        least = MIN_NUMBERS if all(name.isdecimal() for name in words) else 0
        if (place_regions(table, words) >= 0).sum() > max(least, len(words) / 2):
            twice = [name for name, n in Counter(names).items() if n > 1]
            raise ConnectomeError(
                f"expected in {other} a name for each region of {key}, each once; found "
                f"{len(names)} names for {' or '.join(map(str, sorted(sizes)))} regions"
                f"{f', {twice[0]} twice' if twice else ''}. Correct the list: rows are told by "
                "their names, not by their place."
            )


def _join_lists(array: Rows, name: str, sizes: Collection[int]) -> Rows:
    """List of the names that every subject has of its own [n_subjects, n_regions].

    Raises
    ------
    ConnectomeError
        If they are not the same, in the same order.
    """
    if array.dtype.kind not in "OSU" or len(array.shape) != 2 or array.shape[1] not in sizes:
        return array
    rows = np.asarray(load_rows(array))
    other = next((k for k, row in enumerate(rows) if row.tolist() != rows[0].tolist()), None)
    if other is not None:
        raise ConnectomeError(
            f"expected in {name} the same regions, in the same order, of all connectomes; found "
            f"others of connectome {other + 1} than of the first. Save each in a file of its own."
        )
    first: NDArray[Any] = rows[0]
    return first


def spread_structures(arrays: Mapping[str, Rows]) -> dict[str, Rows]:
    """Arrays of a file with the fields of its structs, and its tables of numbers as matrices.

    Parameters
    ----------
    arrays : mapping of str to array
        As :func:`kraken_bids.io.named_arrays.open_arrays` gives them.

    Returns
    -------
    dict
        ``STRUCT.FIELD`` beside ``STRUCT``; of several structs in one array, a field that is alike
        in all of them as one array, structs first. A table with as many columns of numbers as
        rows is a matrix by its own name, and ``TABLE.VariableNames`` are its columns' names.
    """
    found = dict(arrays)
    for name, array in arrays.items():
        if array.dtype.kind == "O" and not isinstance(array, MatlabObject):
            found |= _list_fields(name, load_rows(array))
    for name, array in arrays.items():
        columns = _list_columns(arrays, name) if isinstance(array, MatlabObject) else {}
        if columns and {len(values) for values in columns.values()} == {len(columns)}:
            found[name] = np.stack(list(columns.values()), axis=1)
            found[f"{name}.{COLUMNS}"] = np.array(list(columns), np.str_)
    return found


def _list_fields(name: str, value: NDArray[Any], depth: int = 0) -> Iterator[tuple[str, Rows]]:
    structs = value.reshape(-1).tolist()
    if depth == MAX_DEPTH or not structs or not all(isinstance(one, dict) for one in structs):
        return
    for field in structs[0]:
        if not all(one.get(field) is not None for one in structs):
            continue
        cells = np.empty(len(structs), object)
        for place, one in enumerate(structs):
            cells[place] = _to_words(one[field])
        own = stack_cells(cells) if value.ndim else np.asarray(structs[0][field])
        own = _to_words(own)
        if isinstance(own.tolist(), dict) or own.dtype.kind == "O":
            yield from _list_fields(f"{name}.{field}", own, depth + 1)
        yield f"{name}.{field}", own


def _list_columns(arrays: Mapping[str, Rows], table: str) -> dict[str, NDArray[Any]]:
    return {
        key.removeprefix(f"{table}."): np.asarray(load_rows(array)).reshape(-1)
        for key, array in arrays.items()
        if key.startswith(f"{table}.") and array.dtype.kind in "fiu"
    }


def _is_beside(other: str, key: str) -> bool:
    """Whether a list is called as names of regions are, and lies where the array's may lie."""
    owner, _, name = other.rpartition(".")
    called = LIKE_REGIONS.fullmatch(re.sub(r"[^a-z]", "", name.lower()))
    return called is not None and owner in {"", key, key.rpartition(".")[0]}


def _to_words(values: Any) -> Any:
    """Cells that are all words as one array of these; anything else as it is."""
    is_cells = isinstance(values, np.ndarray) and values.dtype.kind == "O"
    are_words = is_cells and all(isinstance(one, str) for one in values.reshape(-1))
    return np.array(values.tolist(), np.str_) if are_words else values


def _spell_list(array: Rows) -> tuple[str, ...]:
    """Words, or whole numbers, of a list; nothing of any other array."""
    if sum(n != 1 for n in array.shape) != 1:
        return ()
    values = np.asarray(load_rows(array)).reshape(-1)
    if values.dtype.kind == "f" and (values == np.rint(values)).all():
        values = values.astype(np.int64)
    cells = values.tolist()
    words = [one.decode(errors="replace") if isinstance(one, bytes) else one for one in cells]
    if not all(isinstance(one, str | int) for one in words):
        return ()
    return tuple(str(one).strip() for one in words)


def _count_regions(shape: tuple[int, ...]) -> set[int]:
    """How many regions an array of this shape may have, whichever axis is that of subjects."""
    sides = {n for n in shape if shape.count(n) > 1} if len(shape) > 1 else set()
    if sides:
        return sides
    return {(1 + isqrt(1 + 8 * n)) // 2 for n in shape if n > 2}
