"""Matrices that were read or written once in a run, for what follows."""

import logging
import math
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from kraken_bids.connectome.matrices import edges_to_square
from kraken_bids.io.digests import file_stamps
from kraken_bids.io.files_together import stat_written
from kraken_bids.io.matrix_text import round_as_written
from kraken_bids.io.tables import read_relmat

logger = logging.getLogger(__name__)

MAX_BYTES = 1 << 26
"""In memory at once."""
MAX_FILE_BYTES = 1 << 31
"""On disk at once; what goes beyond is read anew each time."""
ROOM = 4
"""Times what the file may take must be free, so that results never lack it."""

Key = tuple[object, ...]
Place = tuple[int, np.dtype[Any], tuple[int, ...]]
"""Where an array begins, its type and its shape."""


@dataclass
class ArrayFile:
    """Arrays in a file without a name, which the processes forked from here read too."""

    file: IO[bytes]
    max_bytes: int
    """What goes beyond is not kept."""
    owner: int = field(default_factory=os.getpid)
    """Process that writes; what others parse is not kept."""
    end: int = 0
    places: dict[Key, Place] = field(default_factory=dict)
    lock: Lock = field(default_factory=Lock)

    def keep(self, key: Key, array: NDArray[Any]) -> None:
        """Keep an array, unless there is no room."""
        if os.getpid() != self.owner:
            return
        with self.lock:  # so that nothing is written behind what another thread gives back
            if self.end + array.nbytes > self.max_bytes:
                return
            try:
                if os.pwrite(self.file.fileno(), array.data, self.end) == array.nbytes:
                    self.places[key] = self.end, array.dtype, array.shape
                self.end += array.nbytes
            except OSError:  # a full disk, a quota: results need the room more
                self.end = self.max_bytes
                self.places.clear()
                with suppress(OSError):
                    os.ftruncate(self.file.fileno(), 0)

    def find(self, key: Key) -> NDArray[Any] | None:
        """Read an array; None where it was not kept."""
        place = self.places.get(key)  # another thread may give all back, where a disk is full
        if place is None:
            return None
        start, dtype, shape = place
        n_bytes, content = dtype.itemsize * math.prod(shape), b""
        with suppress(OSError):
            content = os.pread(self.file.fileno(), n_bytes, start)
        return np.frombuffer(content, dtype).reshape(shape) if len(content) == n_bytes else None


class RecalledMatrices(dict[Key, NDArray[np.float64]]):
    """Measured square matrices by file and stamps, as long as there is room for them."""

    n_bytes = 0
    file: ArrayFile | None = None

    def keep(self, key: Key, square: NDArray[np.float64]) -> None:
        """Keep a matrix in memory, or in the file where there is one; not without room."""
        if self.n_bytes + square.nbytes <= MAX_BYTES:
            self.n_bytes += square.nbytes
            self[key] = square
        elif self.file is not None:
            self.file.keep(key, square)

    def find(self, key: Key) -> NDArray[np.float64] | None:
        """Give a matrix back; None where it was not kept."""
        square = self.get(key)
        return self.file.find(key) if square is None and self.file is not None else square


@dataclass
class WrittenPredictions:
    """Edges of the predictions that a process has written, for the pages that it draws."""

    folder: Path
    max_bytes: int
    """Of each process."""
    file: ArrayFile | None = None
    """Of the process that opened it."""

    def open_own(self) -> ArrayFile | None:
        """Open the file of this process, where it has none yet; None where there can be none."""
        if self.max_bytes and (self.file is None or self.file.owner != os.getpid()):
            self.close()  # the copy of another process's
            file = _open_unnamed(self.folder)
            self.file = None if file is None else ArrayFile(file, self.max_bytes)
            self.max_bytes = 0 if file is None else self.max_bytes  # it is tried once
        return self.file

    def find(self, key: Key) -> NDArray[np.float32] | None:
        """Give the edges of a prediction back; None where this process did not keep them."""
        return None if self.file is None else self.file.find(key)

    def close(self) -> None:
        """Close the file of this process."""
        if self.file is not None:
            self.file.file.close()


_kept = RecalledMatrices()
_written: list[WrittenPredictions] = []
"""Of the run that is under way."""


@contextmanager
def keeping_on_disk(folder: Path, *, n_procs: int = 1) -> Iterator[None]:
    """Keep what memory has no room for in files of a folder, which end with the block.

    The files have no names, so that nothing is left of them however the process ends. There are
    none where the folder has little room, or cannot be written to.

    Parameters
    ----------
    folder : Path
    n_procs : int, optional
        Processes that write predictions, which share the room.
    """
    file = _open_unnamed(folder)
    if file is None:
        yield
        return
    with file:
        _kept.file = ArrayFile(file, MAX_FILE_BYTES)
        _written.append(WrittenPredictions(folder, MAX_FILE_BYTES // n_procs))
        try:
            yield
        finally:
            _kept.file = None
            _written.pop().close()


def _open_unnamed(folder: Path) -> IO[bytes] | None:
    try:
        if shutil.disk_usage(folder).free >= ROOM * MAX_FILE_BYTES:
            return tempfile.TemporaryFile(buffering=0, dir=folder)
        reason = "little room on the disk"
    except OSError as error:
        reason = str(error)
    logger.debug("matrices beyond %d bytes are parsed each time: %s", MAX_BYTES, reason)
    return None


def recall_relmat(path: Path) -> NDArray[np.float64]:
    """Square matrix of a ``relmat.dense.tsv``, which cannot be written to.

    Raises
    ------
    InputError
        As :func:`~kraken_bids.io.tables.read_relmat`.
    """
    key = _name_key(path)
    square = _kept.find(key)
    if square is None:
        square = read_relmat(path)
        _kept.keep(key, square)
    square.flags.writeable = False
    return square


def keep_prediction(path: Path, edges: NDArray[np.float32]) -> None:
    """Keep the edges ``[n_edges]`` of a prediction that has just been written to a file."""
    file = _written[-1].open_own() if _written else None
    if file is not None:
        status = stat_written(path)
        key = (path, (path.name, status.st_size, status.st_mtime_ns))
        file.keep(key, np.ascontiguousarray(edges))


def recall_prediction(path: Path, *, diagonal: float) -> NDArray[np.float64]:
    """Square matrix of a predicted ``relmat.dense.tsv``, as it is read from the file.

    Nothing is read where this process has written the file.

    Parameters
    ----------
    path : Path
    diagonal : float
        As in :func:`~kraken_bids.connectome.matrices.edges_to_square`.

    Raises
    ------
    InputError
        As :func:`~kraken_bids.io.tables.read_relmat`.
    """
    edges = _written[-1].find(_name_key(path)) if _written else None
    if edges is None:
        return read_relmat(path)
    return np.asarray(edges_to_square(round_as_written(edges), diagonal=diagonal))


def _name_key(path: Path) -> Key:
    return (path, *file_stamps([path]))
