"""How much of each region lies outside the field of view of the data, or of its own image."""

from collections.abc import Sequence
from itertools import product

import numpy as np
from numpy.typing import NDArray

from kraken_bids.connectome.labels.grids import cover_labels
from kraken_bids.connectome.labels.label_numbers import count_labels
from kraken_bids.connectome.resample import Step, resample_labels
from kraken_bids.connectome.structural.neighbour_tables import find_box

MAX_GRID = 64_000_000
"""Voxels; a grid that would be larger is not laid out, volumes tell instead."""
ROUNDING = 1e-4
"""Voxels, of affines in single precision."""
CUT_SECTION = 0.5
"""A region whose section at the edge of the image is larger than this share of its largest
parallel section does not end there by itself: a ball of 5 voxels' radius ends with 0.36."""


def count_whole_regions(
    labels: NDArray[np.integer],
    affine: NDArray[np.floating],
    moved: NDArray[np.integer],
    *,
    target_affine: NDArray[np.floating],
    steps: Sequence[Step],
    n_regions: int,
) -> NDArray[np.int64]:
    """Voxels that each region would have if the grid of the data went on as far as its labels.

    Parameters
    ----------
    labels : ndarray of int, shape (x, y, z)
        Region numbers 1 … n_regions, 0 outside, on the label image's own grid.
    affine : ndarray of shape (4, 4)
        Its voxel → RAS mm.
    moved : ndarray of int, shape (i, j, k)
        The same on the grid of the data, from :func:`~.resample.resample_labels`.
    target_affine : ndarray of shape (4, 4)
        Voxel → RAS mm of that grid.
    steps : sequence of (affine, displacement)
        How points of the data's space pass into the space of the label image.
    n_regions : int
        Number of regions.

    Returns
    -------
    ndarray of int, shape (n_regions,)
        At least as many as on the grid of the data.
    """
    counts = count_labels(moved, n_regions)
    if not labels.any() or (steps and _is_within(counts, labels, moved)):
        return counts
    low, high = _find_bounds(labels, affine, target_affine, steps)
    low, high = np.minimum(low, 0), np.maximum(high, np.array(moved.shape) - 1)
    shape = high - low + 1
    if (shape == moved.shape).all():
        return counts
    if np.prod(shape.astype(np.float64)) > MAX_GRID:
        ratio = np.linalg.det(affine[:3, :3]) / np.linalg.det(target_affine[:3, :3])
        scaled: NDArray[np.int64] = np.rint(count_labels(labels, n_regions) * abs(ratio)).astype(
            np.int64
        )
        return np.maximum(counts, scaled)
    wider = np.array(target_affine, np.float64)
    wider[:3, 3] += wider[:3, :3] @ low
    whole = resample_labels(
        labels, affine, target_shape=[int(n) for n in shape], target_affine=wider, steps=steps
    )
    return np.maximum(counts, count_labels(whole, n_regions))


def find_cut_regions(labels: NDArray[np.integer]) -> NDArray[np.int64]:
    """Regions that the edge of their own image cuts through, as far as their shape tells.

    Parameters
    ----------
    labels : ndarray of int, shape (x, y, z)
        Region numbers, 0 outside.

    Returns
    -------
    ndarray of int
        Numbers of regions whose section at an edge is larger than half of their largest parallel
        one: how much lies beyond cannot be known.
    """
    if not _touches_edge(labels):
        return np.empty(0, np.int64)
    from scipy.ndimage import find_objects

    cut: set[int] = set()
    for number, box in enumerate(find_objects(labels), start=1):
        for axis in range(3) if box else ():
            is_first = box[axis].start == 0
            is_last = box[axis].stop == labels.shape[axis]
            if is_first or is_last:
                others = tuple(k for k in range(3) if k != axis)
                sections = np.count_nonzero(labels[box] == number, axis=others)
                at_edge = max(sections[0] * is_first, sections[-1] * is_last)
                cut |= {number} if at_edge > CUT_SECTION * sections.max() else set()
    return np.array(sorted(cut), np.int64)


def _is_within(
    counts: NDArray[np.int64], labels: NDArray[np.integer], moved: NDArray[np.integer]
) -> bool:
    """Whether labels that a transform carries surely all lie on the grid."""
    if _touches_edge(moved):
        return False
    absent = counts == 0
    return not absent.any() or not count_labels(labels, len(counts))[absent].any()


def _touches_edge(labels: NDArray[np.integer]) -> bool:
    edges = (np.moveaxis(labels, axis, 0)[at] for axis in range(3) for at in (0, -1))
    return any(edge.any() for edge in edges)


def _find_bounds(
    labels: NDArray[np.integer],
    affine: NDArray[np.floating],
    target_affine: NDArray[np.floating],
    steps: Sequence[Step],
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """First and last voxel [3] of the endless grid that may hold a label."""
    if steps:
        size = float(np.linalg.norm(target_affine[:3, :3], axis=0).min())
        shape, affine = cover_labels(labels, affine, steps=steps, voxel_mm=size)
        ranges = [(0, n - 1) for n in shape]
    else:
        ranges = [(cut.start, cut.stop - 1) for cut in find_box(labels)]
    corners = np.array([(*corner, 1) for corner in product(*ranges)], np.float64)
    voxels = (np.linalg.inv(np.asarray(target_affine, np.float64)) @ affine @ corners.T)[:3]
    # half a voxel of the label image beyond the centres of its outermost voxels
    reach = 0.5 * np.abs(np.linalg.inv(target_affine[:3, :3]) @ affine[:3, :3]).sum(axis=1)
    low = np.floor(voxels.min(axis=1) - reach + 0.5 + ROUNDING).astype(np.int64)
    high = np.ceil(voxels.max(axis=1) + reach - 0.5 - ROUNDING).astype(np.int64)
    return low, high
