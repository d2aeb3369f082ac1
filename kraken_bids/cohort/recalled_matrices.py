"""Measured matrices that one pass over a cohort has read, for those that follow."""

import logging
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import IO

import numpy as np
from numpy.typing import NDArray

from kraken_bids.io.digests import file_stamps
from kraken_bids.io.tables import read_relmat

logger = logging.getLogger(__name__)

MAX_BYTES = 1 << 26
"""In memory at once."""
MAX_FILE_BYTES = 1 << 31
"""On disk at once; what goes beyond is read anew each time."""
ROOM = 4
"""Times what the file may take must be free, so that results never lack it."""

Key = tuple[object, ...]


@dataclass
class MatrixFile:
    """Square matrices in a file without a name, which the processes forked from here read too."""

    descriptor: int
    owner: int = field(default_factory=os.getpid)
    """Process that writes; what others parse is not kept."""
    end: int = 0
    places: dict[Key, tuple[int, int]] = field(default_factory=dict)
    """Where each matrix begins, and its number of regions."""
    lock: Lock = field(default_factory=Lock)

    def keep(self, key: Key, square: NDArray[np.float64]) -> None:
        """Keep a matrix, unless there is no room."""
        if os.getpid() != self.owner:
            return
        with self.lock:  # so that nothing is written behind what another thread gives back
            if self.end + square.nbytes > MAX_FILE_BYTES:
                return
            try:
                if os.pwrite(self.descriptor, square.data, self.end) == square.nbytes:
                    self.places[key] = self.end, len(square)
                self.end += square.nbytes
            except OSError:  # a full disk, a quota: results need the room more
                self.end = MAX_FILE_BYTES
                self.places.clear()
                with suppress(OSError):
                    os.ftruncate(self.descriptor, 0)

    def find(self, key: Key) -> NDArray[np.float64] | None:
        """Read a matrix; None where it was not kept."""
        if key not in self.places:
            return None
        start, n_regions = self.places[key]
        content = b""
        with suppress(OSError):
            content = os.pread(self.descriptor, 8 * n_regions**2, start)
        is_whole = len(content) == 8 * n_regions**2
        return np.frombuffer(content).reshape(n_regions, n_regions) if is_whole else None


class RecalledMatrices(dict[Key, NDArray[np.float64]]):
    """Square matrices by file and stamps, as long as there is room for them."""

    n_bytes = 0
    file: MatrixFile | None = None

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


_kept = RecalledMatrices()


@contextmanager
def keeping_on_disk(folder: Path) -> Iterator[None]:
    """Keep what memory has no room for in a file of a folder, which ends with the block.

    The file has no name, so that nothing is left of it however the process ends. There is none
    where the folder has little room, or cannot be written to.
    """
    file = _open_unnamed(folder)
    if file is None:
        yield
        return
    with file:
        _kept.file = MatrixFile(file.fileno())
        try:
            yield
        finally:
            _kept.file = None


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
    key = (path, *file_stamps([path]))
    square = _kept.find(key)
    if square is None:
        square = read_relmat(path)
        _kept.keep(key, square)
    square.flags.writeable = False
    return square
