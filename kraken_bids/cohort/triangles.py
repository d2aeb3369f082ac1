"""Whether squares that pass cell by cell are symmetric: both triangles must weigh the same."""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from kraken_bids.region_orders import number_edges

Vector = NDArray[np.float64]

ROUNDING = 1e-13
"""Of a weighted sum of many edges, as a share of the largest times their number."""
STEP_VALUES = 1 << 16
"""Numbers that are widened at once, so that they stay in a processor's cache."""


class Triangles:
    """Weighted sums of both triangles of the squares ``[n_regions, n_regions]`` of many rows.

    Each edge has the same random weight in both, so that two triangles that differ have different
    sums. No triangle is kept.
    """

    def __init__(self, n_regions: int, n_rows: int) -> None:
        self._own_weights, self._other_weights = _draw_weights(n_regions)
        self._n_own = self._n_other = 0
        self._own, self._other, self._largest = np.zeros((3, n_rows))

    def add_own(self, edges: NDArray[np.floating]) -> None:
        """Add edges ``[n_edges_of_block, n_rows]``, in their order."""
        step = max(1, STEP_VALUES // edges.shape[1])
        for start in range(0, len(edges), step):
            part = edges[start : start + step]
            weights = self._own_weights[self._n_own :][: len(part)]
            self._n_own += len(part)
            with np.errstate(invalid="ignore", over="ignore"):
                self._own += weights @ part.astype(np.float64, copy=False)
                largest = np.maximum(part.max(axis=0), -part.min(axis=0))
            self._largest = np.maximum(self._largest, largest)

    def add_other(self, cells: NDArray[np.floating]) -> None:
        """Add cells ``[n_cells, n_rows]`` of the other triangle, in the order of their columns."""
        weights = self._other_weights[self._n_other :][: len(cells)]
        self._n_other += len(cells)
        with np.errstate(invalid="ignore", over="ignore"):
            self._other += weights @ cells.astype(np.float64, copy=False)

    def list_unlike(self) -> list[int]:
        """List the rows that are not symmetric, or not finite, once all has been added."""
        with np.errstate(invalid="ignore"):
            tolerance = ROUNDING * len(self._own_weights) * self._largest
            is_same = np.abs(self._own - self._other) <= tolerance
        return [int(row) for row in np.flatnonzero(~(is_same & np.isfinite(self._own)))]


@lru_cache(maxsize=4)
def _draw_weights(n_regions: int) -> tuple[Vector, Vector]:
    """Weights of the edges in their order, and in that of the columns of the other triangle."""
    weights = np.random.default_rng(0).uniform(0.5, 1.5, n_regions * (n_regions - 1) // 2)
    column, row = np.tril_indices(n_regions, -1)
    return weights, weights[number_edges(row, column, n_regions)]
