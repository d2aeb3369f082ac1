"""Arrays of ``.npz`` files that stay on disk, stored or compressed."""

import pickle
import zipfile
from contextlib import ExitStack
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from kraken_bids.io.bounds import check_archive, check_shape
from kraken_bids.io.stored_rows import (
    OBJECTS,
    FileRows,
    Rows,
    check_letters,
    naming,
    read_array_header,
)
from kraken_bids.io.unpickler import ArrayUnpickler, RefusedError

LOCAL_HEADER_BYTES = 30
MAX_WORD_BYTES = 1 << 24
"""A list of names is no longer."""


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
        shape, by_column, dtype = read_array_header(stream, takes_objects=True)
        if dtype.hasobject:
            return _read_words(stream, info.file_size)
        offset = stream.tell()
        check_shape(shape, dtype.itemsize, info.file_size - offset)
        if len(shape) < 2 or by_column or dtype.kind == "U":
            stream.seek(0)
            return check_letters(npy.read_array(stream, allow_pickle=False))
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
