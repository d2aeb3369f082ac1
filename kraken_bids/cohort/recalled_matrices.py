"""Measured matrices that one pass over a cohort has read, for those that follow."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kraken_bids.io.digests import file_stamps
from kraken_bids.io.tables import read_relmat

MAX_BYTES = 1 << 27
"""In memory at once; what goes beyond is read anew each time."""

_kept: dict[tuple[object, ...], NDArray[np.float64]] = {}


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
        if sum(one.nbytes for one in _kept.values()) + square.nbytes <= MAX_BYTES:
            _kept[key] = square
    return square
