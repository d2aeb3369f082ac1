"""Datasets of HDF5 files that stay on disk."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kraken_bids.io.foreign_hdf5 import read_dataset
from kraken_bids.io.hdf5_chunks import find_chunks
from kraken_bids.io.stored_rows import ROWS, naming

CELLS_BYTES, MAX_CELLS_BYTES = 1 << 23, 1 << 26
"""What is read at once of a dataset, and at most where its chunks are large."""


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
