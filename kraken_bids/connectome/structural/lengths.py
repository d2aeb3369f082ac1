"""How long the streamlines of a tractogram are, counted block by block."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

BIN_MM = 5.0
N_BINS = 60
"""Bins of 5 mm from 0 to 300 mm, the longest track of the usual settings; one more for longer."""


def compute_track_lengths(
    vertices: NDArray[np.floating[Any]], starts: NDArray[np.integer], stops: NDArray[np.integer]
) -> NDArray[np.float32]:
    """Length of each track, to single precision; the digits of MRtrix are in ``tracks``.

    Parameters
    ----------
    vertices : ndarray of shape (n_vertices, 3)
        mm; whatever stands between the tracks is not read.
    starts, stops : ndarray of int, shape (n_tracks,)
        Track i is ``vertices[starts[i]:stops[i]]``.

    Returns
    -------
    ndarray of float32, shape (n_tracks,)
        mm; 0 for a track of one vertex or none, NaN where a coordinate is not finite.
    """
    lengths = np.zeros(len(starts), np.float32)
    has_steps = stops - starts > 1
    if not has_steps.any():
        return lengths
    steps = np.zeros(len(vertices), np.float32)
    with np.errstate(invalid="ignore", over="ignore"):
        for axis in range(3):  # faster than rows of three
            difference = np.diff(vertices[:, axis]).astype(np.float32, copy=False)
            steps[:-1] += difference * difference
        np.sqrt(steps, out=steps)
        bounds = np.stack([starts[has_steps], stops[has_steps] - 1], axis=1).ravel()
        lengths[has_steps] = np.add.reduceat(steps, bounds)[::2]
    return lengths


class LengthHistogram:
    """Counts of streamlines by length, and their mean."""

    def __init__(self) -> None:
        self.counts = np.zeros(N_BINS + 1, np.int64)
        self._sum = 0.0

    def add(self, lengths: NDArray[np.floating[Any]]) -> None:
        """Add the lengths (mm) of some streamlines; those that are not finite do not count."""
        finite = lengths[np.isfinite(lengths)]
        bins = np.minimum(finite / BIN_MM, N_BINS).astype(np.int64)
        self.counts += np.bincount(bins, minlength=N_BINS + 1)
        self._sum += float(finite.sum(dtype=np.float64))

    @property
    def mean(self) -> float:
        """Mean length in mm; NaN where nothing was added."""
        n = int(self.counts.sum())
        return self._sum / n if n else float("nan")

    def to_plain(self) -> dict[str, object]:
        """Fields of a sidecar: width of a bin, counts from 0 mm on, those beyond, and the mean."""
        return {
            "BinWidth": BIN_MM,
            "Counts": [int(n) for n in self.counts[:-1]],
            "Longer": int(self.counts[-1]),
            "Mean": self.mean if self.counts.any() else None,
        }
