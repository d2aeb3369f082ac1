"""How far the ends of a tractogram's streamlines lie apart: whether there is anything to count."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

SAME_MM = 1e-3
"""Ends of a streamline as near as this are at one point."""
HEAP_MM = 1.0
"""A box of this edge that holds all ends is one place: less than a voxel."""

WAY_OUT = (
    "so that no two regions are connected. Was the file cut or converted wrongly? Make it again, "
    "and look at it (mrview, TrackVis)."
)


class EndExtent:
    """The box that holds all ends, and the largest distance between the two of one streamline."""

    def __init__(self) -> None:
        self._low, self._high = np.full(3, np.inf), np.full(3, -np.inf)
        self._farthest = 0.0
        self._n_streamlines = 0

    def add(self, ends: NDArray[np.floating[Any]]) -> None:
        """Add the ends ``[n, 2, 3]`` of some streamlines, mm; those not finite do not count.

        Those that follow change nothing where what was added tells already.
        """
        if not (self._is_heap() or self._is_without_length()):
            return
        own = ends if np.isfinite(ends.sum()) else ends[np.isfinite(ends).all(axis=(1, 2))]
        if not len(own):
            return
        self._n_streamlines += len(own)
        self._low = np.minimum(self._low, own.min(axis=(0, 1)))
        self._high = np.maximum(self._high, own.max(axis=(0, 1)))
        self._farthest = max(self._farthest, float(np.abs(own[:, 1] - own[:, 0]).max()))

    def list_doubts(self, tracks: Path) -> list[str]:
        """Say where streamlines have no length, or are one heap; nothing of a usual tractogram."""
        if not self._n_streamlines:
            return []
        if self._is_heap():
            place = ", ".join(f"{value:.3g}" for value in (self._low + self._high) / 2)
            what = f"all ends of the {self._n_streamlines} streamlines within {HEAP_MM:g} mm"
            return [f"{tracks}: expected streamlines between regions; found {what} of ({place}), "
                    f"{WAY_OUT}"]  # fmt: skip
        if self._is_without_length():
            what = f"both ends at one point in each of the {self._n_streamlines} streamlines"
            return [f"{tracks}: expected streamlines between regions; found {what}, {WAY_OUT}"]
        return []

    def _is_heap(self) -> bool:
        return bool((self._high - self._low).max() <= HEAP_MM)

    def _is_without_length(self) -> bool:
        return self._farthest <= SAME_MM
