"""How much of each region lies outside the field of view of the data, or of its own image."""

from collections.abc import Sequence
from itertools import product

import numpy as np
from numpy.typing import NDArray

from kraken_bids.connectome.labels.label_numbers import count_labels
from kraken_bids.connectome.resample import Step, apply_steps, resample_labels
from kraken_bids.connectome.structural.nearest_label_cache import find_box
from kraken_bids.exceptions import ConnectomeError

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
    """Voxels [n_regions] that each region would have if the grid of the data went on as far as it.

    Parameters
    ----------
    labels, affine
        Region numbers [x, y, z] on the label image's own grid, and its voxel → RAS mm.
    moved, target_affine
        The same on the grid of the data [i, j, k].
    steps : sequence of (affine, displacement)
        How points of the data's space pass into the space of the label image.
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
        counts_there: NDArray[np.floating] = np.rint(count_labels(labels, n_regions) * abs(ratio))
        return np.maximum(counts, counts_there.astype(np.int64))
    wider = np.array(target_affine, np.float64)
    wider[:3, 3] += wider[:3, :3] @ low
    whole = resample_labels(
        labels, affine, target_shape=[int(n) for n in shape], target_affine=wider, steps=steps
    )
    return np.maximum(counts, count_labels(whole, n_regions))


def find_cut_regions(labels: NDArray[np.integer]) -> NDArray[np.int64]:
    """Numbers of regions that the edge of their own image [x, y, z] cuts through.

    Their section at an edge is larger than half of their largest parallel one: how much lies
    beyond cannot be known.
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
    margin = 0.5 * np.abs(np.linalg.inv(target_affine[:3, :3]) @ affine[:3, :3]).sum(axis=1)
    low = np.floor(voxels.min(axis=1) - margin + 0.5 + ROUNDING).astype(np.int64)
    high = np.ceil(voxels.max(axis=1) + margin - 0.5 - ROUNDING).astype(np.int64)
    return low, high


PROBE_MM = 6.0
REACH_MM = 210.0
MARGIN_MM = 12.0


def cover_labels(
    labels: NDArray[np.integer],
    affine: NDArray[np.floating],
    *,
    steps: Sequence[Step],
    voxel_mm: float,
) -> tuple[tuple[int, int, int], NDArray[np.float64]]:
    """Isotropic RAS grid of a target space that holds every labelled voxel carried into it.

    Parameters
    ----------
    labels : ndarray of int, shape (x, y, z)
    affine : ndarray of shape (4, 4)
        Its voxel → RAS mm.
    steps : sequence of (affine, displacement)
        How points of the target space pass into the space of the label image.

    Returns
    -------
    shape : tuple of 3 int
    affine : ndarray of shape (4, 4)

    Raises
    ------
    ConnectomeError
        If no point within 210 mm of the target's origin lands near a label.
    """
    voxels = _find_ends(labels > 0)
    corners = voxels @ affine[:3, :3].T + affine[:3, 3]
    low, high = corners.min(axis=0) - MARGIN_MM, corners.max(axis=0) + MARGIN_MM
    near = _find_near(low, high, steps)
    start = near.min(axis=0) - PROBE_MM
    shape = np.ceil((near.max(axis=0) + PROBE_MM - start) / voxel_mm).astype(int) + 1
    target = np.diag([voxel_mm, voxel_mm, voxel_mm, 1.0])
    target[:3, 3] = start
    return (int(shape[0]), int(shape[1]), int(shape[2])), target


def _find_near(
    low: NDArray[np.floating], high: NDArray[np.floating], steps: Sequence[Step]
) -> NDArray[np.float64]:
    """Points [n, 3] of the target space, mm, that are carried into a box."""
    axis = np.arange(-REACH_MM, REACH_MM + PROBE_MM, PROBE_MM)
    probes = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), axis=-1).reshape(-1, 3)
    landed = apply_steps(probes, steps)
    near = probes[((landed >= low) & (landed <= high)).all(axis=1)]
    if not len(near):
        raise ConnectomeError(
            f"expected the transform to carry points near the origin into the label image; found "
            f"none within {REACH_MM:g} mm. Is it the transform of this participant and direction?"
        )
    return near


def _find_ends(is_inside: NDArray[np.bool_]) -> NDArray[np.integer]:
    """First and last voxel [n, 3] of every column: the rest lies between them."""
    columns = np.argwhere(is_inside.any(axis=2))
    lines = is_inside[columns[:, 0], columns[:, 1]]
    first, behind = lines.argmax(axis=1), lines[:, ::-1].argmax(axis=1)
    ends = [first, lines.shape[1] - 1 - behind]
    return np.concatenate([np.column_stack([columns, end]) for end in ends])
