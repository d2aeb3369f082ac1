"""Ends of streamlines without what lies between: arrays of numpy, as of UKB-connectomics."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kraken_bids.exceptions import InputError
from kraken_bids.io.files import explain_absence
from kraken_bids.io.stored_rows import BROKEN, Rows, load_rows, open_npy
from kraken_bids.io.track_blocks import TrackBlock, Vertices

EXTENSION = ".npy"
STREAMLINES_AT_ONCE = 200_000


@dataclass(frozen=True)
class Endpoints:
    """An array of ends on disk."""

    path: Path
    n_declared: int
    header: Mapping[str, str] = field(default_factory=dict)
    """Empty: such a file says nothing of itself."""

    def ends(self) -> Iterator[Vertices]:
        """First and last vertex of every track [n_tracks, 2, 3], in file order, as float32.

        Raises
        ------
        InputError
            If the file has changed.
        """
        stored = _open(self.path)
        for first in range(0, stored.shape[0], STREAMLINES_AT_ONCE):
            some = stored[first : first + STREAMLINES_AT_ONCE]
            yield some.reshape(-1, 2, 3).astype(np.float32)

    def blocks(self) -> Iterator[TrackBlock]:
        """Raise, since there are no whole tracks.

        Raises
        ------
        InputError
            Always.
        """
        raise InputError(
            f"expected whole tracks in {self.path}; it holds their ends alone. Lengths, and "
            "assignments that follow a track, need the .tck that they were taken from."
        )


def open_endpoints(path: Path) -> Endpoints:
    """Array of ends of streamlines, RAS mm.

    Parameters
    ----------
    path : path
        ``.npy`` of [n_tracks, 2, 3] or [n_tracks, 6] numbers, first ends before last ones.

    Raises
    ------
    InputError
        If it is missing, damaged, or of another shape.

    Source
    ------
    UKB-connectomics, ``save_endpoints_as_npy.py``: float16 of a ``.tck`` of ends.
    """
    stored = _open(Path(path))
    if stored.dtype.kind != "f" or stored.shape[1:] not in {(2, 3), (6,)}:
        raise InputError(
            f"expected ends of streamlines, real numbers of shape [n, 2, 3] or [n, 6], in {path}; "
            f"found shape {stored.shape} of {stored.dtype}. Give the endpoints, not the weights."
        )
    return Endpoints(Path(path), stored.shape[0])


def holds_ends_only(path: Path) -> bool:
    """Whether a tractogram has no whole tracks, by its name."""
    return path.name.lower().endswith(EXTENSION)


def read_stored_weights(path: Path) -> NDArray[np.float32]:
    """One number per streamline of a ``.npy``, as MRtrix and UKB-connectomics write them.

    Raises
    ------
    InputError
        If it is missing, damaged, or of another shape.
    """
    stored = _open(path)
    if stored.dtype.kind not in "fiu" or stored.shape[:1] != (math.prod(stored.shape),):
        raise InputError(
            f"expected one weight per streamline in {path}; found shape {stored.shape} of "
            f"{stored.dtype}. Give what tcksift2 wrote."
        )
    return load_rows(stored).reshape(-1).astype(np.float32)


def _open(path: Path) -> Rows:
    """Array on disk, no more of which is read than is asked for."""
    try:
        return open_npy(path)
    except BROKEN as error:
        raise InputError(
            f"expected a whole numpy array in {path}; reading it gave: {error}. "
            f"{explain_absence(path) or 'Copy the file again.'}"
        ) from error
