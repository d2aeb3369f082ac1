"""A file of numbers on disk, by rows and by columns; nothing of it stays in memory.

Pages of a mapped file count as memory of the process, and columns touch all of them: this file is
read and written instead.
"""

import os
import sys
from threading import Lock
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

FLOAT = np.dtype(np.float32)


class RowFile:
    """Numbers [n_rows, n_columns] in single precision.

    Parameters
    ----------
    file : binary file
        Without a buffer; lasts as long as this is used.
    n_rows, n_columns : int

    Raises
    ------
    OSError
        If the disk has no room for all of it.
    """

    def __init__(self, file: BinaryIO, n_rows: int, n_columns: int) -> None:
        self.shape = n_rows, n_columns
        self._file, self._lock = file, Lock()
        # room is taken at once: a full disk is told before the work
        if sys.platform == "linux":
            os.posix_fallocate(file.fileno(), 0, FLOAT.itemsize * n_rows * n_columns)
        file.truncate(FLOAT.itemsize * n_rows * n_columns)

    def read_rows(self, first: int, n_rows: int) -> NDArray[np.float32]:
        """Read rows [n_rows, n_columns] from one on, fewer at the end."""
        rows = np.empty((max(0, min(n_rows, self.shape[0] - first)), self.shape[1]), FLOAT)
        self._read(first, 0, rows)
        return rows

    def write_row(self, number: int, values: NDArray[np.floating]) -> None:
        """Write a row [n_columns]."""
        self._write(number, 0, np.ascontiguousarray(values, FLOAT))

    def read_columns(self, first: int, n_columns: int) -> NDArray[np.float32]:
        """Read columns [n_rows, n_columns] from one on, fewer at the end."""
        columns = np.empty((self.shape[0], min(n_columns, self.shape[1] - first)), FLOAT)
        for number, row in enumerate(columns):
            self._read(number, first, row)
        return columns

    def write_columns(self, first: int, values: NDArray[np.floating]) -> None:
        """Write columns [n_rows, n_columns] from one on."""
        for number, row in enumerate(np.ascontiguousarray(values, FLOAT)):
            self._write(number, first, row)

    def _read(self, row: int, column: int, values: NDArray[np.float32]) -> None:
        room = values.data.cast("B") if values.size else memoryview(b"")
        with self._lock:
            self._seek(row, column)
            while room:
                n_read = self._file.readinto(room)  # type: ignore[attr-defined]
                if not n_read:
                    raise OSError(f"row {row} of {self.shape[0]} cannot be read back")
                room = room[n_read:]

    def _write(self, row: int, column: int, values: NDArray[np.float32]) -> None:
        rest = values.data.cast("B") if values.size else memoryview(b"")
        with self._lock:
            self._seek(row, column)
            while rest:
                rest = rest[self._file.write(rest) :]

    def _seek(self, row: int, column: int) -> None:
        self._file.seek(FLOAT.itemsize * (row * self.shape[1] + column))
