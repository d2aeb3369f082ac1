"""Measured matrices that one pass over a cohort has read, for those that follow."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kraken_bids.io.digests import file_stamps
from kraken_bids.io.tables import read_relmat

MAX_BYTES = 1 << 26
"""In memory at once; what goes beyond is read anew each time."""


class RecalledMatrices(dict[tuple[object, ...], NDArray[np.float64]]):
    """Square matrices by file and stamps, as long as there is room for them."""

    n_bytes = 0

    def keep(self, key: tuple[object, ...], square: NDArray[np.float64]) -> None:
        """Keep a matrix, unless there is no room."""
        if self.n_bytes + square.nbytes <= MAX_BYTES:
            self.n_bytes += square.nbytes
            self[key] = square


_kept = RecalledMatrices()


def recall_relmat(path: Path) -> NDArray[np.float64]:
    """Square matrix of a ``relmat.dense.tsv``, which cannot be written to.

    Raises
    ------
    InputError
        As :func:`~kraken_bids.io.tables.read_relmat`.
    """
    key = (path, *file_stamps([path]))
    square = _kept.get(key)
    if square is None:
        square = read_relmat(path)
        square.flags.writeable = False
        _kept.keep(key, square)
    return square
