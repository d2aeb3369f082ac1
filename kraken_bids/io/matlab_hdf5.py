"""Arrays of a MATLAB file of version 7.3, which is HDF5 with conventions of MATLAB's own."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from kraken_bids.io.bounds import MAX_VALUES, check_growth
from kraken_bids.io.foreign import read_apart
from kraken_bids.io.foreign_hdf5 import check_hdf5
from kraken_bids.io.hdf5_rows import Hdf5Rows
from kraken_bids.io.matlab import MatlabObject, stack_cells
from kraken_bids.io.matlab_objects import Objects, parse_reference, read_objects
from kraken_bids.io.stored_rows import ARRAYS, BROKEN, ROWS, Rows

if TYPE_CHECKING:
    import h5py

CLASS, EMPTY, DECODE = "MATLAB_class", "MATLAB_empty", "MATLAB_object_decode"
PRIVATE = "#"
"""How the names of what is no variable begin."""
SUBSYSTEM = "#subsystem#/MCOS"
STRUCT, MAX_DEPTH = "struct", 3
LAZY_CELLS = 1 << 22
"""Bytes of a cell array; a smaller one comes into memory at once, since another process is asked
for every block of cells."""
OPAQUE = 3
NUMBERS = (
    "double", "single", "logical", "int8", "int16", "int32", "int64",
    "uint8", "uint16", "uint32", "uint64",
)  # fmt: skip


Cells = tuple[tuple[str, ...], tuple[int, ...], np.dtype[Any]]
"""Paths of equal arrays of numbers, their lengths in MATLAB but for those of one value, type."""


@dataclass(frozen=True)
class CellRows:
    """Rows that are the cells of a cell array, each an array of its own in the file."""

    path: Path
    places: tuple[str, ...]
    """Of the cells, inside the file."""
    lengths: tuple[int, ...]
    """Of each."""
    dtype: np.dtype[Any]

    @property
    def shape(self) -> tuple[int, ...]:
        """Its lengths, rows first."""
        return len(self.places), *self.lengths

    def __getitem__(self, rows: slice) -> NDArray[Any]:
        places = self.places[rows]
        values = read_apart(ROWS, _read_places, self.path, places) if places else np.empty(0)
        return values.reshape(len(places), *self.lengths)


def _read_places(path: Path, places: Sequence[str]) -> NDArray[Any]:
    import h5py  # here and below: only the process that reads needs it

    with h5py.File(path, "r") as file:
        return np.stack([np.asarray(_check(file[place])[()]).T for place in places])


def open_mat73(path: Path) -> dict[str, Rows]:
    """Arrays of such a file, by name; as in one of version 7, but for the order of their axes.

    Matrices stay on disk, with their axes from last to first; those in structs too, by the name
    ``STRUCT.FIELD``, and large cell arrays of equal arrays. Several structs in one array come
    into memory.

    Raises
    ------
    InputError
        If the file is broken, or declares more than it stores.
    """
    arrays, matrices, cells, kinds = read_apart(ARRAYS, _read_arrays, path)
    rows: dict[str, Rows] = {name: MatlabObject(path, name, kind) for name, kind in kinds.items()}
    rows |= arrays | {name: CellRows(path, *own) for name, own in cells.items()}
    for name, (place, lengths, dtype, n_chunked) in matrices.items():
        rows[name] = Hdf5Rows(path, place, lengths, dtype, is_reversed=True, n_chunked=n_chunked)
    return rows


Matrices = dict[str, tuple[str, tuple[int, ...], np.dtype[Any], int]]
"""Path, lengths but for those of one value, type of their numbers, how far chunks reach."""


def _read_arrays(
    path: Path,
) -> tuple[dict[str, NDArray[Any]], Matrices, dict[str, Cells], dict[str, str]]:
    """Arrays, matrices and cells that stay where they are, and classes of objects, by name."""
    import h5py

    with h5py.File(path, "r") as file:
        _check_links(file)
        found = _Variables(file)
        for name, node in file.items():
            if not name.startswith(PRIVATE):
                found.add(name, node)
        if found.objects:
            found.arrays |= _read_objects(file, found.objects)
    return found.arrays, found.matrices, found.cells, found.kinds


class _Variables:
    """Variables of a file, and fields of its structs as ``STRUCT.FIELD``."""

    def __init__(self, file: "h5py.File") -> None:
        self.arrays: dict[str, NDArray[Any]] = {}
        self.matrices: Matrices = {}
        self.cells: dict[str, Cells] = {}
        self.objects: dict[str, NDArray[Any]] = {}
        self.kinds: dict[str, str] = {}
        self._file, self._n_bytes = file, 0

    def add(self, name: str, node: Any, depth: int = 0) -> None:
        """Add a variable or field; the fields of a struct too, so far down as is of use."""
        kind = _read_class(node)
        if not _is_dataset(node):
            self.arrays[name] = np.array(dict.fromkeys(node), dtype=object)
            if kind == STRUCT and depth < MAX_DEPTH:
                self._add_fields(name, node, depth + 1)
        elif node.attrs.get(DECODE) == OPAQUE:
            self.kinds[name] = kind
            self.objects[name] = np.asarray(_check(node)[()])
        elif kind in NUMBERS and _is_matrix(node):
            lengths = tuple(n for n in node.shape if n != 1)
            reach = (node.chunks or (1,))[0]
            self.matrices[name] = node.name.lstrip("/"), lengths, _check(node).dtype, reach
        elif kind == "cell" and (cells := _find_large_cells(node, self._file)):
            self.cells[name] = cells
        else:
            self.arrays[name] = stack_cells(self._read(node))

    def _add_fields(self, name: str, group: "h5py.Group", depth: int) -> None:
        _check_links(group)
        if not group or not all(map(_is_of_several, group.values())):
            for field, node in group.items():
                self.add(f"{name}.{field}", node, depth)
            return
        columns = {field: self._read(node) for field, node in group.items()}
        structs = np.empty(min(map(np.size, columns.values())), dtype=object)
        for place in range(len(structs)):
            structs[place] = {field: cells.reshape(-1)[place] for field, cells in columns.items()}
        self.arrays[name] = structs

    def _read(self, node: "h5py.Dataset") -> NDArray[Any]:
        values = _squeeze(_read_value(node, self._file))
        self._n_bytes += values.nbytes
        # many names may be those of one array
        check_growth(self._n_bytes, self._file.id.get_filesize(), "structs")
        return values


def _is_of_several(node: Any) -> bool:
    """Whether a field holds a reference to its value for each struct of an array."""
    is_references = _is_dataset(node) and _refers(node)
    return is_references and not _read_class(node)


def _is_dataset(node: Any) -> bool:
    import h5py

    return isinstance(node, h5py.Dataset)


def _refers(node: Any) -> bool:
    """Whether a dataset holds references to others."""
    import h5py

    return h5py.check_ref_dtype(node.dtype) is h5py.Reference


def _is_matrix(node: "h5py.Dataset") -> bool:
    """Whether none of two axes or more has only one value."""
    lengths = [n for n in node.shape if n != 1]
    return len(lengths) >= 2 and len(lengths) == node.ndim and not _is_empty(node)


def _check_links(group: "h5py.Group") -> None:
    """Check that all variables lie in their own file."""
    for name in group:
        kind = group.get(name, getlink=True, getclass=True).__name__
        if kind != "HardLink":
            raise ValueError(f"a link {name!r} in place of values")


def _read_class(node: Any) -> str:
    value = node.attrs.get(CLASS, b"")
    return value.decode("ascii", errors="replace") if isinstance(value, bytes) else str(value)


def _is_empty(node: Any) -> bool:
    return bool(node.attrs.get(EMPTY, 0))


def _check(node: "h5py.Dataset") -> "h5py.Dataset":
    check_hdf5(node)
    return node


def _read_value(node: Any, file: "h5py.File", depth: int = 0) -> NDArray[Any]:
    """Value of a variable or cell, with MATLAB's axes; what is no array becomes an empty one."""
    if not _is_dataset(node) or _is_empty(node) or depth > 2:
        return np.empty(0)
    kind = _read_class(node)
    if kind == "cell" or _refers(node):
        return _read_cells(node, file, depth)
    values = np.asarray(_check(node)[()]).T
    return _to_words(values) if kind == "char" else values


def _find_large_cells(node: "h5py.Dataset", file: "h5py.File") -> Cells | None:
    """Find the cells of a list of equal arrays of numbers; None of others, and of small ones."""
    if node.ndim != 2 or node.size != max(node.shape) or not node.size or _is_empty(node):
        return None
    references = _read_references(node)
    if not all(references):
        return None
    cells = [file[reference] for reference in references]
    first = cells[0]
    if not all(
        _is_dataset(one)
        and one.name
        and _read_class(one) in NUMBERS
        and not _is_empty(one)
        and (one.shape, one.dtype) == (first.shape, first.dtype)
        for one in cells
    ):
        return None
    n_bytes = len(cells) * first.size * first.dtype.itemsize
    if n_bytes < LAZY_CELLS:
        return None
    # many cells may refer to one array
    check_growth(n_bytes, file.id.get_filesize(), f"a cell array {node.name}")
    lengths = tuple(n for n in first.shape[::-1] if n != 1)
    return tuple(one.name for one in map(_check, cells)), lengths, first.dtype


def _read_references(node: "h5py.Dataset") -> list[Any]:
    if node.size > MAX_VALUES or node.external or node.is_virtual:
        raise ValueError(f"a cell array {node.name} of {node.size:,} cells")
    check_growth(8 * node.size, node.id.get_storage_size(), f"a cell array {node.name}")
    return list(np.asarray(node[()]).reshape(-1))


def _read_cells(node: "h5py.Dataset", file: "h5py.File", depth: int) -> NDArray[Any]:
    references = _read_references(node)
    cells = np.empty(len(references), dtype=object)
    n_bytes = 0
    for place, reference in enumerate(references):
        cells[place] = _read_value(file[reference], file, depth + 1) if reference else np.empty(0)
        n_bytes += cells[place].nbytes
        # many cells may refer to one array
        check_growth(n_bytes, file.id.get_filesize(), f"a cell array {node.name}")
    return cells.reshape(node.shape[::-1], order="F")


def _to_words(codes: NDArray[Any]) -> NDArray[Any]:
    """Words of characters, one in each row."""
    rows = np.atleast_2d(codes.astype("<u2"))
    return np.array([row.tobytes().decode("utf-16-le", errors="replace") for row in rows])


def _squeeze(values: NDArray[Any]) -> NDArray[Any]:
    """Cells and numbers without axes of one value, as scipy gives them of other versions."""
    if values.dtype.kind != "O":
        return np.asarray(values).squeeze()
    cells = np.empty(values.size, dtype=object)
    for place, cell in enumerate(values.reshape(-1, order="F")):
        inner = np.asarray(cell).squeeze()
        cells[place] = inner.item() if inner.dtype.kind == "U" and inner.ndim == 0 else inner
    if all(isinstance(cell, str) for cell in cells):
        return np.array(list(cells), dtype=np.str_)
    return cells


def _read_objects(
    file: "h5py.File", objects: Mapping[str, NDArray[Any]]
) -> dict[str, NDArray[Any]]:
    try:
        references = np.asarray(file[SUBSYSTEM][()]).reshape(-1)
        index = np.asarray(_check(file[references[0]])[()]).astype(np.uint8).tobytes()
        known = Objects(index, lambda place: _read_value(file[references[place]], file), "<")
        return read_objects(known, {n: parse_reference(own) for n, own in objects.items()})
    except BROKEN:
        return {}  # an object that is asked for is refused then, and the others do not matter
