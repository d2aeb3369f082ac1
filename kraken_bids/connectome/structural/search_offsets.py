"""What a search about a voxel can meet, and what of it can matter: tables for one voxel size."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

MAX_BITS = 13
"""Of a column of voxels kept as bits, so that tables by bit pattern stay small."""
SLACK_MM = 1e-4

Floats = NDArray[np.float64]
Indices = NDArray[np.intp]


@dataclass(frozen=True)
class SearchOffsets:
    """Voxel offsets that a search can meet, as columns along z, nearest column first."""

    axes: Floats
    """[3, 3] Columns: the voxel's edges, mm; right-angled up to rounding."""
    radius: float
    """mm, exclusive."""

    @cached_property
    def spacing(self) -> Floats:
        """[3] mm."""
        return np.asarray(np.linalg.norm(self.axes, axis=0))

    @cached_property
    def metric(self) -> Floats:
        """[3, 3] Scalar products of the edges: affines of single precision are slightly skewed."""
        return np.asarray(self.axes.T @ self.axes)

    @cached_property
    def skew(self) -> float:
        """How much a squared distance can differ from that of exact right angles, mm²."""
        off = self.metric - np.diag(self.spacing**2)
        return 1e-9 + 4 * float(np.abs(off).max()) * float(self.limit / self.spacing.min()) ** 2

    @cached_property
    def half_diagonal(self) -> float:
        """How far a point can be from the centre of its voxel, mm."""
        return 0.5 * float(np.linalg.norm(self.spacing))

    @cached_property
    def limit(self) -> float:
        """Distance from the voxel's centre beyond which nothing counts, mm."""
        return self.radius + self.half_diagonal + SLACK_MM

    @cached_property
    def steps(self) -> NDArray[np.int64]:
        """[3] Voxels within the limit along each axis."""
        return np.floor(self.limit / self.spacing).astype(np.int64)

    @cached_property
    def n_bits(self) -> int:
        """Voxels of a column."""
        return 2 * int(self.steps[2]) + 1

    @cached_property
    def columns(self) -> NDArray[np.int64]:
        """[n_columns, 2] Offsets in x and y."""
        x, y = (np.arange(-n, n + 1) for n in self.steps[:2])
        grid = np.stack(np.meshgrid(x, y, indexing="ij"), axis=-1).reshape(-1, 2)
        distances = np.linalg.norm(grid * self.spacing[:2], axis=1)
        order = np.argsort(distances, kind="stable")
        kept: NDArray[np.int64] = grid[order[distances[order] < self.limit]]
        return kept

    @cached_property
    def planar(self) -> Floats:
        """[n_columns + 1] Distance of each column, mm, rising; inf at the end."""
        return np.append(np.linalg.norm(self.columns * self.spacing[:2], axis=1), np.inf)

    @cached_property
    def offsets(self) -> NDArray[np.int64]:
        """[n_columns · n_bits, 3] Voxel offset of every kind of candidate."""
        half = int(self.steps[2])
        z = np.tile(np.arange(-half, half + 1), len(self.columns))
        return np.column_stack([np.repeat(self.columns, self.n_bits, axis=0), z])

    @cached_property
    def kinds(self) -> Indices:
        """[n_ranks] Kinds within the limit, nearest first."""
        distances = np.linalg.norm(self.offsets * self.spacing, axis=1)
        order = np.argsort(distances, kind="stable")
        kept: Indices = order[distances[order] <= self.limit]
        return kept

    @cached_property
    def distances(self) -> Floats:
        """[n_ranks + 1] Of each rank, mm; inf for none."""
        return np.append(np.linalg.norm(self.offsets[self.kinds] * self.spacing, axis=1), np.inf)

    @cached_property
    def patterns(self) -> NDArray[np.bool_]:
        """[2^n_bits, n_bits] Bits of each number."""
        numbers = np.arange(1 << self.n_bits)[:, None]
        return np.asarray((numbers >> np.arange(self.n_bits)) & 1, bool)

    @cached_property
    def nearest(self) -> NDArray[np.uint16]:
        """[n_columns · 2^n_bits] Rank of the nearest voxel set in a column."""
        n_ranks = len(self.kinds)
        ranks = np.full(len(self.offsets), n_ranks, np.uint16)
        ranks[self.kinds] = np.arange(n_ranks)
        by_column = ranks.reshape(-1, self.n_bits)
        nearest = np.full((len(self.columns), len(self.patterns)), n_ranks, np.uint16)
        for bit in range(self.n_bits):
            here = by_column[:, bit : bit + 1]
            np.minimum(nearest, here, out=nearest, where=self.patterns[:, bit])
        return nearest.ravel()

    @cached_property
    def masks(self) -> NDArray[np.uint16]:
        """[n_ranks, n_columns] Bits of the candidates where the nearest voxel has a rank."""
        bits = np.zeros((len(self.kinds), len(self.offsets)), bool)
        own = self.offsets[self.kinds].astype(np.float64)
        squares = ((own @ self.axes.T) ** 2).sum(axis=1)
        # |p - c|² - |p - c0|² at the corner of the voxel where it is least
        least = squares - squares[:, None]
        for axis in range(3):
            slopes = own @ self.metric[axis]
            least -= np.abs(slopes - slopes[:, None])
        # on a face or corner both are as near: left to the caller, like all points there
        bits[:, self.kinds] = least < -self.skew
        np.put_along_axis(bits, self.kinds[:, None], values=True, axis=1)
        by_column = bits.reshape(len(self.kinds), -1, self.n_bits)
        return np.asarray((by_column << np.arange(self.n_bits)).sum(axis=2), np.uint16)

    @cached_property
    def needed(self) -> NDArray[np.int64]:
        """[n_ranks + 1] Columns that hold all candidates, and whatever is nearer than the rank."""
        last = len(self.columns) - np.argmax(self.masks[:, ::-1] > 0, axis=1)
        nearer = np.searchsorted(self.planar, self.distances[:-1])
        return np.append(np.maximum(last, nearer), len(self.columns))

    @cached_property
    def tiers(self) -> list[int]:
        """How many columns to look at, a few first."""
        short, long = np.sort(self.spacing)[[0, 2]]
        reaches = [long, float(np.linalg.norm(self.spacing)), 2.3 * short]
        ranks = np.searchsorted(self.distances, np.array(reaches) + SLACK_MM) - 1
        return sorted({*self.needed[ranks].tolist(), len(self.columns)})


def is_small(axes: Floats, radius: float) -> bool:
    """Whether the tables of :class:`NearestLabelCache` stay small for such voxels."""
    search = SearchOffsets(axes, radius)
    return search.n_bits <= MAX_BITS and 4 * int(search.steps[0] * search.steps[1]) < 1000
