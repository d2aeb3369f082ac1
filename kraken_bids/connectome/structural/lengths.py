"""How long streamlines are: to MRtrix's last bit, or fast and counted block by block."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

BIN_MM = 5.0
N_BINS = 60
"""Bins of 5 mm from 0 to 300 mm, the longest track of the usual settings; one more for longer."""


def compute_lengths(
    vertices: NDArray[np.floating], starts: NDArray[np.integer], stops: NDArray[np.integer]
) -> NDArray[np.float32]:
    """Length [n_tracks] of each track, mm: its steps added up in float32, as MRtrix does.

    Track i is ``vertices[starts[i]:stops[i]]``. 0 for a track of one vertex, NaN for one of none.

    Source
    ------
    MRtrix3 ``Tractography::length``; the order x² + (y² + z²) is that of its build for Debian.
    """
    lengths = np.zeros(len(starts), np.float32)
    n_steps = np.maximum(stops - starts - 1, 0)
    owner = np.repeat(np.arange(len(starts)), n_steps)
    np.add.at(lengths, owner, step_lengths(vertices)[list_steps(starts, n_steps)])
    lengths[starts == stops] = np.nan
    return lengths


def step_lengths(vertices: NDArray[np.floating]) -> NDArray[np.float32]:
    """Distance of each vertex [n_vertices - 1] to the next, float32; any across separators."""
    with np.errstate(invalid="ignore", over="ignore"):
        squares = np.diff(vertices.astype(np.float32, copy=False), axis=0) ** 2
        return np.asarray(np.sqrt(squares[:, 0] + (squares[:, 1] + squares[:, 2])), np.float32)


def list_steps(starts: NDArray[np.integer], n_steps: NDArray[np.integer]) -> NDArray[np.intp]:
    """Return ``starts[i], starts[i] + 1 …``, ``n_steps[i]`` of them for each i, in one array."""
    firsts = np.cumsum(n_steps) - n_steps
    offsets: NDArray[np.intp] = np.arange(int(n_steps.sum())) + np.repeat(starts - firsts, n_steps)
    return offsets


def compute_track_lengths(
    vertices: NDArray[np.floating[Any]], starts: NDArray[np.integer], stops: NDArray[np.integer]
) -> NDArray[np.float32]:
    """Length [n_tracks] of each track, mm, to single precision but not to MRtrix's last digit.

    Track i is ``vertices[starts[i]:stops[i]]``. 0 for a track of one vertex or none, NaN where a
    coordinate is not finite.
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
