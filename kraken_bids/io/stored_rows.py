"""Arrays that stay on disk: rows are read when they are asked for, and not kept."""

import struct
import sys
import tokenize
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from kraken_bids.io.bounds import check_shape
from kraken_bids.io.foreign_kinds import Kind

BROKEN = (
    OSError, ValueError, TypeError, KeyError, IndexError, EOFError, MemoryError, RuntimeError,
    OverflowError, zipfile.BadZipFile, zlib.error, struct.error, SyntaxError, tokenize.TokenError,
)  # fmt: skip
"""Everything that reading a file of another kind, half of one or a hostile one may raise."""
ROWS = Kind(
    "connectomes", "The file is incomplete, or it changed while it was read: save it again."
)
ARRAYS = Kind("arrays of numbers", "The file is incomplete or of another kind: save it again.")
OBJECTS = "Python objects, which are not read, since that could run code"
MAX_NPY_HEADER = 1 << 16


class Rows(Protocol):
    """What an array in memory and one on disk have in common."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Its lengths."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of its numbers."""

    def __getitem__(self, rows: slice, /) -> NDArray[Any]:
        """Rows as an array in memory."""


@dataclass(frozen=True)
class FileRows:
    """Rows that lie in a file as they lie in memory: ``.npy``, or stored in ``.npz``."""

    path: Path
    offset: int
    """Where they begin, in bytes."""
    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    def __getitem__(self, rows: slice) -> NDArray[Any]:
        start, stop, _ = rows.indices(self.shape[0])
        width = int(np.prod(self.shape[1:]))
        with naming(self.path):
            values = np.fromfile(
                self.path,
                self.dtype,
                (stop - start) * width,
                offset=self.offset + start * width * self.dtype.itemsize,
            )
            return values.reshape(stop - start, *self.shape[1:])


def load_rows(rows: Rows) -> NDArray[Any]:
    """All rows in memory."""
    return rows if isinstance(rows, np.ndarray) else rows[:]


def load_array(rows: Rows) -> NDArray[Any]:
    """All rows in memory, with the axes that they have in the program that wrote them."""
    values = load_rows(rows)
    return np.moveaxis(values, 0, -1) if getattr(rows, "is_reversed", False) else values


def open_npy(path: Path) -> Rows:
    """Array of a ``.npy`` file; one that is small or laid out by columns comes into memory."""
    with path.open("rb") as stream:
        shape, by_column, dtype = read_array_header(stream)
        offset = stream.tell()
    check_shape(shape, dtype.itemsize, path.stat().st_size - offset)
    if len(shape) < 2 or by_column or dtype.kind == "U":
        return check_letters(np.load(path, allow_pickle=False))
    return FileRows(path, offset, shape, dtype)


def check_letters(array: NDArray[Any]) -> NDArray[Any]:
    """Refuse words of numbers that no letter has: Python cannot show them (SystemError)."""
    if array.dtype.kind == "U" and array.nbytes:
        codes = array.reshape(-1).view(np.dtype("u4").newbyteorder(array.dtype.byteorder))
        if codes.max() > sys.maxunicode:
            raise ValueError("words with numbers that are no letters")
    return array


def read_npy_header(stream: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Shape, whether columns lie together, and type of a ``.npy``, whose values come next.

    Raises
    ------
    ValueError
        If it is none, or its header is longer than any that describes an array of numbers: numpy
        makes room for as many bytes as it declares.
    """
    version = np.lib.format.read_magic(stream)
    if version == (1, 0):
        return np.lib.format.read_array_header_1_0(stream)
    start = stream.tell()
    (n_bytes,) = struct.unpack("<I", stream.read(4))
    if n_bytes > MAX_NPY_HEADER:
        raise ValueError(f"a header of {n_bytes:,} bytes")
    stream.seek(start)
    return np.lib.format.read_array_header_2_0(stream)


def read_array_header(
    stream: IO[bytes], *, takes_objects: bool = False
) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Header of a ``.npy`` as :func:`read_npy_header` reads it; objects are refused, or not.

    Raises
    ------
    ValueError
        As there; and if it is an array of objects, where these are not taken.
    """
    shape, by_column, dtype = read_npy_header(stream)
    if dtype.hasobject and not takes_objects:
        raise ValueError(OBJECTS)
    return shape, by_column, dtype


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Turn what goes wrong while rows are read into an error that names the file.

    Raises
    ------
    InputError
    """
    try:
        yield
    except BROKEN as error:
        raise ROWS.refuse(path, error) from error
