"""Arrays that stay on disk: rows are read when they are asked for, and not kept."""

import pickle
import struct
import sys
import tokenize
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import IO, Any, Protocol

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from kraken_bids.io.bounds import check_archive, check_shape
from kraken_bids.io.foreign import Kind
from kraken_bids.io.foreign_hdf5 import read_dataset
from kraken_bids.io.hdf5_chunks import find_chunks
from kraken_bids.io.pickles import read_npy_header
from kraken_bids.io.unpickler import ArrayUnpickler, RefusedError

BROKEN = (
    OSError, ValueError, TypeError, KeyError, IndexError, EOFError, MemoryError, RuntimeError,
    OverflowError, zipfile.BadZipFile, zlib.error, struct.error, SyntaxError, tokenize.TokenError,
)  # fmt: skip
"""Everything that reading a file of another kind, half of one or a hostile one may raise."""
ROWS = Kind(
    "connectomes", "The file is incomplete, or it changed while it was read: save it again."
)
ARRAYS = Kind("arrays of numbers", "The file is incomplete or of another kind: save it again.")
LOCAL_HEADER_BYTES = 30
OBJECTS = "Python objects, which are not read, since that could run code"
CELLS_BYTES, MAX_CELLS_BYTES = 1 << 23, 1 << 26
"""What is read at once of a dataset, and at most where its chunks are large."""
MAX_WORD_BYTES = 1 << 24
"""A list of names is no longer."""


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


@dataclass
class PackedRows:
    """Rows of a compressed member of ``.npz``: best read from first to last."""

    path: Path
    member: str
    offset: int
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    _open: ExitStack = field(default_factory=ExitStack, repr=False)
    _stream: IO[bytes] | None = field(default=None, repr=False)

    def __del__(self) -> None:
        self._open.close()

    def __getitem__(self, rows: slice) -> NDArray[Any]:
        start, stop, _ = rows.indices(self.shape[0])
        row_bytes = int(np.prod(self.shape[1:])) * self.dtype.itemsize
        with naming(self.path):
            if self._stream is None:
                # stays open, since going on is quicker than unpacking from the start again
                archive = self._open.enter_context(zipfile.ZipFile(self.path))
                self._stream = self._open.enter_context(archive.open(self.member))
            self._stream.seek(self.offset + start * row_bytes)
            values = np.empty((stop - start, *self.shape[1:]), self.dtype)
            missing = values.reshape(-1).view(np.uint8).data
            while missing:
                n_read = self._stream.readinto(missing)  # type: ignore[attr-defined]
                if not n_read:
                    raise EOFError(f"{self.member} ends early")
                missing = missing[n_read:]
            return values


@dataclass(frozen=True)
class Hdf5Rows:
    """Rows of a dataset of an HDF5 file."""

    path: Path
    name: str
    lengths: tuple[int, ...]
    """Of its axes, as they lie in the file."""
    dtype: np.dtype[Any]
    axis: int = 0
    """Which of them is that of the rows: the first, or the last (-1)."""
    is_reversed: bool = False
    """Whether MATLAB wrote it, which puts axes into a file from last to first."""
    n_chunked: int = 1
    """How far its chunks reach on the first axis of the file."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Its lengths, rows first."""
        last = (self.lengths[-1], *self.lengths[:-1])
        return last if self.axis else self.lengths

    @property
    def lies_by_cells(self) -> bool:
        """Whether everybody's numbers lie together, cell by cell, or nearly so."""
        return bool(self.axis) and self._count_bytes(self.n_chunked) <= MAX_CELLS_BYTES

    def read_cells(self) -> Iterator[NDArray[Any]]:
        """Give all numbers as they lie in the file, in blocks ``[n_cells, n_rows]``.

        Cells are those of the other axes, of which the last of the file varies fastest.
        """
        n_first, step = self.lengths[0], self.n_chunked
        step *= max(1, CELLS_BYTES // self._count_bytes(step))
        chunks = find_chunks(ROWS, self.path, self.name)
        for start in range(0, n_first, step):
            stop = min(start + step, n_first)
            with naming(self.path):
                cells = (
                    chunks.read(start, stop)
                    if chunks
                    else read_dataset(ROWS, self.path, self.name, slice(start, stop))
                )
            yield cells.reshape(-1, self.lengths[-1])

    def _count_bytes(self, n_first: int) -> int:
        """Bytes of so many places on the first axis."""
        return n_first * int(np.prod(self.lengths[1:])) * self.dtype.itemsize

    def __getitem__(self, rows: slice) -> NDArray[Any]:
        values = read_dataset(ROWS, self.path, self.name, rows, is_last=bool(self.axis))
        if self.axis:
            return values.T if self.is_reversed else np.moveaxis(values, -1, 0)
        is_stack = self.is_reversed and values.ndim == 3
        return values.swapaxes(1, 2) if is_stack else values


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
        shape, by_column, dtype = _read_header(stream)
        offset = stream.tell()
    check_shape(shape, dtype.itemsize, path.stat().st_size - offset)
    if len(shape) < 2 or by_column or dtype.kind == "U":
        return _check_letters(np.load(path, allow_pickle=False))
    return FileRows(path, offset, shape, dtype)


def open_npz(path: Path) -> dict[str, Rows]:
    """Arrays of a ``.npz`` file, by name."""
    with zipfile.ZipFile(path) as archive:
        check_archive(archive, path.stat().st_size)
        return {
            info.filename.removesuffix(".npy"): _open_member(archive, info, path)
            for info in archive.infolist()
        }


def _open_member(archive: zipfile.ZipFile, info: zipfile.ZipInfo, path: Path) -> Rows:
    with archive.open(info) as stream:
        shape, by_column, dtype = _read_header(stream, takes_objects=True)
        if dtype.hasobject:
            return _read_words(stream, info.file_size)
        offset = stream.tell()
        check_shape(shape, dtype.itemsize, info.file_size - offset)
        if len(shape) < 2 or by_column or dtype.kind == "U":
            stream.seek(0)
            return _check_letters(npy.read_array(stream, allow_pickle=False))
    if info.compress_type != zipfile.ZIP_STORED:
        return PackedRows(path, info.filename, offset, shape, dtype)
    return FileRows(path, _find_data(archive, info) + offset, shape, dtype)


def _find_data(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> int:
    """Where a stored member's bytes begin: its local header may be longer than the central one."""
    assert archive.fp is not None
    archive.fp.seek(info.header_offset)
    header = archive.fp.read(LOCAL_HEADER_BYTES)
    n_name, n_extra = (int.from_bytes(header[at : at + 2], "little") for at in (26, 28))
    return info.header_offset + LOCAL_HEADER_BYTES + n_name + n_extra


def _read_words(stream: IO[bytes], n_bytes: int) -> NDArray[Any]:
    """Words, or whole numbers, of an array of objects, as pandas gives labels; nothing is run."""
    if n_bytes > MAX_WORD_BYTES:
        raise ValueError(OBJECTS)
    try:
        words = ArrayUnpickler(BytesIO(stream.read())).load()
    except (RefusedError, pickle.UnpicklingError, AttributeError) as error:
        raise ValueError(OBJECTS) from error
    if not isinstance(words, np.ndarray) or words.dtype.kind != "O":
        raise ValueError(OBJECTS)
    values = words.reshape(-1).tolist()
    if not all(isinstance(value, str | int | np.integer) for value in values):
        raise ValueError(OBJECTS)
    return np.array([str(value) for value in values], dtype=np.str_)


def _check_letters(array: NDArray[Any]) -> NDArray[Any]:
    """Refuse words of numbers that no letter has: Python cannot show them (SystemError)."""
    if array.dtype.kind == "U" and array.nbytes:
        codes = array.reshape(-1).view(np.dtype("u4").newbyteorder(array.dtype.byteorder))
        if codes.max() > sys.maxunicode:
            raise ValueError("words with numbers that are no letters")
    return array


def _read_header(
    stream: IO[bytes], *, takes_objects: bool = False
) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
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
