"""Some whole tracks of a tractogram, as every reader hands them on."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Vertices = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class TrackBlock:
    """Tracks that lie one after the other in one array of vertices, in file order."""

    vertices: Vertices
    """[n_vertices, 3], RAS mm; may hold separators between the tracks. The reader may overwrite
    them when the next block is asked for."""
    starts: NDArray[np.intp]
    """[n_tracks] Track i is ``vertices[starts[i]:stops[i]]``; never decreasing."""
    stops: NDArray[np.intp]
    """[n_tracks]"""

    def __len__(self) -> int:
        """Count the tracks."""
        return len(self.starts)

    @property
    def n_vertices(self) -> NDArray[np.intp]:
        """[n_tracks] Vertices of each track; 0 is possible."""
        return self.stops - self.starts

    @property
    def ends(self) -> Vertices:
        """[n_tracks, 2, 3] First and last vertex; NaN for a track without vertices."""
        if not len(self.vertices):
            return np.full((len(self), 2, 3), np.nan, self.vertices.dtype)
        last = len(self.vertices) - 1  # an empty track may start behind the last vertex
        firsts = np.minimum(self.starts, last)
        ends = np.stack([self.vertices[firsts], self.vertices[self.stops - 1]], axis=1)
        ends[self.starts == self.stops] = np.nan
        return ends

    def take(self, n_tracks: int) -> "TrackBlock":
        """Return the first tracks of the block."""
        return TrackBlock(self.vertices, self.starts[:n_tracks], self.stops[:n_tracks])
