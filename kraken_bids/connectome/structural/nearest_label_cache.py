"""Which label is nearest, known per voxel: most points then need no search at all.

A point lies in some voxel, whose nearest labelled voxel (by centres) is c0. Another voxel c can be
nearest to the point only if some corner of the point's voxel is nearer to c than to c0: these few
candidates are listed once per voxel, when the first point falls into it. Where they all carry one
label and lie well within the radius, every point of the voxel takes it; else the candidates are
compared.
"""

from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kraken_bids.connectome.structural.lengths import list_steps
from kraken_bids.connectome.structural.search_offsets import (
    SLACK_MM,
    Floats,
    Indices,
    SearchOffsets,
)

UNSEEN = -1
VOXELS_AT_ONCE = 2048


class NearestLabelCache:
    """Nearest labels of a label image, listed voxel by voxel as points come.

    Only for images with right-angled voxels and radii above half a voxel diagonal, where a
    labelled voxel wins for all points inside it.

    Parameters
    ----------
    labels : ndarray of int32, shape (x, y, z)
    box : tuple of slice
        Of :func:`find_box`.
    axes : ndarray of shape (3, 3)
        Columns: the edges of a voxel, mm; right-angled up to rounding.
    radius : float
        mm, exclusive.
    tolerance : float
        Differences of distance below this, mm, are left to the caller.
    """

    def __init__(
        self,
        labels: NDArray[np.int32],
        box: tuple[slice, slice, slice],
        axes: Floats,
        *,
        radius: float,
        tolerance: float,
    ) -> None:
        self._search = SearchOffsets(axes, radius)
        self._tolerance = tolerance
        # so near to a face, voxels that are left out as never nearer may be as near
        margin = self._search.skew + 2 * self._search.limit * tolerance
        self._to_face = margin / float(self._search.spacing.min()) ** 2
        self._lock = Lock()
        steps = self._search.steps + 1
        low, high = np.array([(cut.start, cut.stop - 1) for cut in box]).T
        self._origin = (low - 2 * steps).astype(np.float64)
        self._inner = steps, high - low + 3 * steps  # where candidates lie inside the array
        whole = np.zeros(high - low + 1 + 4 * steps, np.int32)
        whole[tuple(slice(2 * n, -2 * n) for n in steps)] = labels[box]
        self._shape = whole.shape
        self._columns = self._pack(_find_surface(whole > 0)).ravel()
        far = ~_dilate(self._columns.reshape(whole.shape) > 0, self._search.steps[:2])
        whole[(whole == 0) & ~far] = UNSEEN
        self._known = whole.ravel()
        """Label of all points in the voxel; below UNSEEN: number of its list, turned."""
        self._prepare_candidates()
        self._types = np.empty(1 << 16, np.uint16)
        self._lists = np.empty((1 << 12, 2), np.int64)
        self._n_types = self._n_lists = 0

    def find(self, voxels: Floats) -> tuple[NDArray[np.int32], NDArray[np.bool_]]:
        """Label [n] of points in voxel coordinates [3, n], 0: none; where rounding may decide."""
        nearest = np.floor(voxels + 0.5)
        rest = voxels - nearest
        flat = self._locate(nearest)
        codes = self._known[flat]
        unseen = flat[codes == UNSEEN]
        if len(unseen):
            self._list_candidates(np.unique(unseen))
            codes = self._known[flat]
        unsure = np.maximum.reduce(np.abs(rest), axis=0) > 0.5 - self._to_face
        unsure &= codes != 0
        found = np.maximum(codes, 0)
        listed = np.flatnonzero(codes < 0)
        if len(listed):
            found[listed], open_ = self._compare(
                rest[:, listed], flat[listed], UNSEEN - 1 - codes[listed]
            )
            unsure[listed] |= open_
        return found, unsure

    def _locate(self, nearest: Floats) -> Indices:
        place = nearest - self._origin[:, None]
        low, high = (np.asarray(bound)[:, None] for bound in self._inner)
        inside = ((place >= low) & (place <= high)).all(axis=0)
        flat = (place[0] * self._shape[1] + place[1]) * self._shape[2] + place[2]
        return np.where(inside, flat, 0).astype(np.intp)

    def _pack(self, surface: NDArray[np.bool_]) -> NDArray[np.uint16]:
        """Per voxel the bits of the column around it."""
        half = int(self._search.steps[2])
        packed = np.zeros(surface.shape, np.uint16)
        n = surface.shape[2]
        for bit in range(self._search.n_bits):
            shift = bit - half
            target = packed[:, :, max(0, -shift) : n - max(0, shift)]
            source = surface[:, :, max(0, shift) : n + min(0, shift)]
            target |= source.astype(np.uint16) << np.uint16(bit)
        return packed

    def _prepare_candidates(self) -> None:
        """Tables by kind of candidate: column · n_bits + bit."""
        search = self._search
        strides = np.array([self._shape[1] * self._shape[2], self._shape[2], 1])
        self._column_strides = search.columns @ strides[:2]
        self._column_tables = np.arange(len(search.columns)) << search.n_bits
        self._strides = search.offsets @ strides
        self._squares = ((search.offsets @ search.axes.T) ** 2).sum(axis=1)
        self._slopes = (2 * search.offsets @ search.metric).T.copy()
        self._n_set = search.patterns.sum(axis=1)
        self._first_set = np.cumsum(self._n_set) - self._n_set
        self._bits_set = np.nonzero(search.patterns)[1]

    def _list_candidates(self, voxels: Indices) -> None:
        search = self._search
        for first in range(0, len(voxels), VOXELS_AT_ONCE):
            left = voxels[first : first + VOXELS_AT_ONCE]
            for n_columns in search.tiers:
                # voxels last: the least of each column is then taken for many at once
                columns = self._columns.take(left + self._column_strides[:n_columns, None])
                tables = self._column_tables[:n_columns, None]
                ranks = search.nearest.take(columns + tables).min(axis=0)
                settled = search.needed[ranks] <= n_columns
                near = settled & (ranks < len(search.kinds))
                self._known[left[settled & ~near]] = 0
                if near.any():
                    self._settle(left[near], columns[:, near], ranks[near])
                left = left[~settled]
                if not len(left):
                    break

    def _settle(
        self,
        voxels: Indices,
        columns: NDArray[np.uint16],
        ranks: NDArray[np.uint16],
    ) -> None:
        """Write down the label, or the candidates, of voxels."""
        search = self._search
        bits = columns.T & search.masks[:, : len(columns)].take(ranks, axis=0)
        filled = np.flatnonzero(bits)
        rows, at = np.divmod(filled, len(columns))
        patterns = bits.ravel()[filled]
        n_set = self._n_set[patterns]
        owners = np.repeat(rows, n_set)
        types = np.repeat(at * search.n_bits, n_set)
        types += self._bits_set[list_steps(self._first_set[patterns], n_set)]
        labels = self._known.take(voxels[owners] + self._strides[types])
        n_types = np.bincount(owners, minlength=len(voxels))
        starts = np.cumsum(n_types) - n_types
        lowest = np.minimum.reduceat(labels, starts)
        settled = lowest == np.maximum.reduceat(labels, starts)
        settled &= search.distances[ranks] + search.half_diagonal < search.radius - SLACK_MM
        self._known[voxels[settled]] = lowest[settled]
        open_ = ~settled
        self._keep_lists(voxels[open_], types[open_[owners]].astype(np.uint16), n_types[open_])

    def _keep_lists(
        self, voxels: Indices, types: NDArray[np.uint16], n_types: NDArray[np.int64]
    ) -> None:
        with self._lock:  # two threads may list a voxel at once: either list will do
            first, last = self._n_types, self._n_types + len(types)
            self._types = _grow(self._types, last)
            self._types[first:last] = types
            number = self._n_lists + np.arange(len(voxels))
            self._lists = _grow(self._lists, self._n_lists + len(voxels))
            self._lists[number, 0] = first + np.cumsum(n_types) - n_types
            self._lists[number, 1] = n_types
            self._n_types, self._n_lists = last, self._n_lists + len(voxels)
            self._known[voxels] = UNSEEN - 1 - number

    def _compare(
        self, rest: Floats, flat: Indices, lists: NDArray[np.integer]
    ) -> tuple[NDArray[np.int32], NDArray[np.bool_]]:
        """Nearest of the candidates: least |offset - rest|², of which |rest|² is common."""
        firsts, n = self._lists[lists].T
        types = self._types[list_steps(firsts, n)]
        owners = np.repeat(np.arange(len(n)), n)
        values = self._squares[types]
        for axis in range(3):
            values -= self._slopes[axis][types] * rest[axis][owners]
        least = np.minimum.reduceat(values, np.cumsum(n) - n)
        search = self._search
        slack = 4 * search.limit * self._tolerance
        near = np.flatnonzero(values <= (least + slack)[owners])
        labels = self._known[flat[owners[near]] + self._strides[types[near]]]
        n_near = np.bincount(owners[near], minlength=len(n))
        starts = np.cumsum(n_near) - n_near
        found = np.minimum.reduceat(labels, starts)
        unsure = found != np.maximum.reduceat(labels, starts)
        x, y, z = rest
        squares = least.copy()
        for row in search.axes:
            squares += (row[0] * x + row[1] * y + row[2] * z) ** 2
        distances = np.sqrt(np.maximum(squares, 0))
        unsure |= np.abs(distances - search.radius) < self._tolerance
        found[distances >= search.radius] = 0
        return found, unsure


def find_box(labels: NDArray[np.integer]) -> tuple[slice, slice, slice]:
    """Part of a label image that holds every label; there must be one."""
    labelled = labels > 0
    cuts: list[slice] = []
    for axis in range(3):  # each pass has only to go through what the last ones left
        others = tuple(k for k in range(3) if k != axis)
        filled = np.flatnonzero(labelled[tuple(cuts)].any(axis=others))
        cuts.append(slice(int(filled[0]), int(filled[-1]) + 1))
    return cuts[0], cuts[1], cuts[2]


def _find_surface(labelled: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Labelled voxels of which a face is free; zeros must surround them all.

    Only these can be nearest to a point outside the labels: from any other, the voxel behind the
    face towards the point is nearer.
    """
    buried = labelled.copy()
    for axis in range(3):
        for step in (1, -1):
            buried &= np.roll(labelled, step, axis=axis)
    return labelled & ~buried


def _dilate(filled: NDArray[np.bool_], steps: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Voxels with a filled one at most so many steps away along each of the first axes."""
    for axis, n in enumerate(steps):
        done = 0
        while done < n:  # doubling: each turn spreads what is spread already
            step = min(int(n) - done, 2 * done + 1)
            wider = filled.copy()
            ahead = [slice(None)] * 3
            behind = [slice(None)] * 3
            ahead[axis], behind[axis] = slice(step, None), slice(None, -step)
            wider[tuple(ahead)] |= filled[tuple(behind)]
            wider[tuple(behind)] |= filled[tuple(ahead)]
            filled, done = wider, done + step
    return filled


def _grow(array: NDArray[Any], size: int) -> NDArray[Any]:
    """Array of at least this length, the old content first."""
    if size <= len(array):
        return array
    larger = np.empty((max(size, 2 * len(array)), *array.shape[1:]), array.dtype)
    larger[: len(array)] = array
    return larger
