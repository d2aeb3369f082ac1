"""Names and numbers of a MATLAB file of version 5 to 7, as most files have them."""

import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kraken_bids.io.matlab_bounds import (
    CELL,
    MATRIX,
    NUMBERS,
    TAG_BYTES,
    MatVariable,
    list_elements,
    read_class,
)

CHAR = 4
MAX_BYTES = 1 << 23
"""Variables of more than that are read by scipy."""
LETTERS = {1: "ascii", 2: "ascii", 4: "utf-16", 16: "utf-8", 17: "utf-16"}
"""How letters are encoded, by the type in which they are stored."""
ORDERS = {"<": "-le", ">": "-be"}


def read_plain(path: Path, variables: Iterable[MatVariable]) -> dict[str, NDArray[Any]] | None:
    """Read variables of real numbers, or of names in a row or column of cells, by name.

    Returns
    -------
    dict or None
        Arrays as scipy reads them, names as objects; None where one of the variables is of another
        kind, holds letters beyond ASCII, or is cut short: all are left to scipy then.
    """
    found = {}
    for variable in variables:
        values = _read_numbers(path, variable) if variable.dtype else _read_names(path, variable)
        if values is None:
            return None
        found[variable.name] = values
    return found


def _read_numbers(path: Path, variable: MatVariable) -> NDArray[Any] | None:
    n_values = int(np.prod(variable.shape, dtype=np.int64))
    if variable.kind not in NUMBERS or not n_values:
        return None
    dtype = np.dtype(f"{variable.order}{variable.dtype}")
    n_bytes = n_values * dtype.itemsize
    numbers = _read_element(path, variable)[variable.offset :][:n_bytes]
    if len(numbers) < n_bytes:
        return None
    values = np.frombuffer(numbers, dtype).reshape(variable.shape, order="F").squeeze()
    return values if values.ndim else np.asarray(values.item())


def _read_names(path: Path, variable: MatVariable) -> NDArray[Any] | None:
    n_cells = max(variable.shape, default=0)
    is_list = n_cells >= 2 and int(np.prod(variable.shape, dtype=np.int64)) == n_cells
    if variable.kind != CELL or not is_list:
        return None
    cells = list_elements(_read_element(path, variable)[variable.offset :], variable.order)
    names = [_read_name(kind, part, variable.order) for kind, _, part in cells]
    return np.array(names, dtype=object) if len(names) == n_cells and all(names) else None


def _read_element(path: Path, variable: MatVariable) -> memoryview:
    """Read a variable, unpacked and by its checksum; nothing where it is too large or damaged."""
    if max(variable.n_bytes, variable.n_unpacked) > MAX_BYTES:
        return memoryview(b"")
    with path.open("rb") as file:
        file.seek(variable.start)
        content = file.read(variable.n_bytes)
    if not variable.is_packed:
        return memoryview(content)
    unpacker = zlib.decompressobj()
    unpacked = unpacker.decompress(content, MAX_BYTES + TAG_BYTES)
    return memoryview(unpacked if unpacker.eof else b"")[TAG_BYTES:]


def _read_name(kind: int, data: memoryview, order: str) -> str:
    """Letters of one cell; none where it holds anything else, or letters beyond ASCII."""
    elements = list(list_elements(data, order))
    if kind != MATRIX or read_class(data, order) != CHAR or len(elements) != 4:
        return ""
    shape = np.frombuffer(elements[1][2], f"{order}i4").tolist()
    stored, _, letters = elements[3]
    try:
        encoding = LETTERS[stored]
        name = bytes(letters).decode(encoding + ORDERS[order] * (encoding == "utf-16"))
    except (KeyError, UnicodeDecodeError):
        return ""
    return name if shape == [1, len(name)] and name.isascii() and name.isprintable() else ""
