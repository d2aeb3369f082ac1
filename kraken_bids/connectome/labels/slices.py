"""A few slices of a label image, upright, to draw values of regions on."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

N_AXIAL = 6
MARGIN = 0.1
"""Share of the brain left out at either end: slices through its tips show little."""


@dataclass(frozen=True)
class BrainSlice:
    """One slice as it is drawn: rows from the top of the picture, columns from its left."""

    name: str
    """Where it lies: ``x = -12``, ``y = 4`` or ``z = 30``, mm."""
    labels: NDArray[np.int32]
    """[rows, columns]: region numbers, 0 outside."""
    row_mm: float
    """Height of a row, mm."""
    column_mm: float
    """Width of a column, mm."""


def cut_slices(labels: NDArray[np.int32], affine: NDArray[np.floating]) -> tuple[BrainSlice, ...]:
    """One sagittal, one coronal and six axial slices through the labelled part of an image.

    Left of the head on the left; up or front at the top. An oblique grid is shown along its own
    axes, nearest to RAS. Empty where nothing is labelled.
    """
    upright, axes_affine = _reorient(np.asarray(labels, np.int32), np.asarray(affine, np.float64))
    box = [np.flatnonzero(upright.any(axis=other)) for other in ((1, 2), (0, 2), (0, 1))]
    if not box[0].size:
        return ()
    upright = upright[tuple(slice(b[0], b[-1] + 1) for b in box)]
    sizes = np.linalg.norm(axes_affine[:3, :3], axis=0)
    places = [(0, _place(upright.shape[0], 0.4)), (1, _place(upright.shape[1], 0.5))]
    shares = np.linspace(MARGIN, 1 - MARGIN, N_AXIAL)
    places += [(2, _place(upright.shape[2], float(share))) for share in shares]
    slices = []
    for axis, place in places:
        middle = [(b[0] + b[-1]) / 2 for b in box]
        middle[axis] = box[axis][0] + place
        at = (axes_affine @ [*middle, 1.0])[axis]
        across, up = (k for k in range(3) if k != axis)
        image = np.take(upright, place, axis=axis).T[::-1]
        slices.append(BrainSlice(
            f"{'xyz'[axis]} = {round(at)}".replace("-", "−"),
            np.ascontiguousarray(image, np.int32),
            float(sizes[up]),
            float(sizes[across]),
        ))  # fmt: skip
    return tuple(slices)


def _reorient(
    labels: NDArray[np.int32], affine: NDArray[np.float64]
) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
    """Permute and flip axes so that they run nearest to right, front and up."""
    directions = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)
    order, free = [0, 0, 0], directions.copy()
    # the clearest axis first, so that an oblique grid still gives each world axis one of its own
    for _ in range(3):
        world, voxel = divmod(int(np.nanargmax(np.abs(free))), 3)
        order[world] = voxel
        free[world], free[:, voxel] = np.nan, np.nan
    moved, turned = labels.transpose(order), affine[:, [*order, 3]].copy()
    for axis in range(3):
        if turned[axis, axis] < 0:
            turned[:, 3] += turned[:, axis] * (moved.shape[axis] - 1)
            turned[:, axis] *= -1
            moved = np.flip(moved, axis)
    return moved, turned


def _place(length: int, share: float) -> int:
    return min(int(share * length), length - 1)


PLACES = ((0, 0.38), (1, 0.45), (2, 0.2), (2, 0.4), (2, 0.6), (2, 0.8))
"""Axis of each plane, and its place between the lower and the upper end of what is shown."""


@dataclass(frozen=True)
class Plane:
    """One plane as a grid of one voxel's thickness: columns from the left, rows from the top."""

    name: str
    """Where it lies: ``x = -12``, ``y = 4`` or ``z = 30``, mm."""
    shape: tuple[int, int, int]
    """Columns, rows, 1."""
    affine: NDArray[np.float64]
    """(column, row, 0) → RAS mm, [4, 4]."""


def choose_planes(
    low: NDArray[np.floating],
    high: NDArray[np.floating],
    *,
    n_pixels: int,
    margin: float = 12.0,
) -> tuple[Plane, ...]:
    """One sagittal, one coronal and four axial planes; left on the left, up or front at the top.

    Parameters
    ----------
    low, high : ndarray of shape (3,)
        Corners of what is to be seen, RAS mm.
    n_pixels : int
        Columns of all planes together.
    margin : float
        How much more is shown on every side, mm.
    """
    start, size = np.asarray(low) - margin, np.asarray(high) - low + 2 * margin
    step = sum(size[_across(axis)[0]] for axis, _ in PLACES) / n_pixels
    planes = []
    for axis, share in PLACES:
        right, up = _across(axis)
        at = low[axis] + share * (high[axis] - low[axis])
        affine = np.zeros((4, 4))
        affine[right, 0], affine[up, 1], affine[axis, 2] = step, -step, 1.0
        affine[right, 3], affine[up, 3], affine[axis, 3] = start[right], start[up] + size[up], at
        affine[3, 3] = 1.0
        shape = int(size[right] / step), int(size[up] / step), 1
        planes.append(Plane(f"{'xyz'[axis]} = {round(at)}".replace("-", "−"), shape, affine))
    return tuple(planes)


def find_corners(
    labels: NDArray[np.integer], affine: NDArray[np.floating]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Corners of the labelled part of an image, RAS mm.

    Parameters
    ----------
    labels : ndarray of int, shape (x, y, z)
        Some of them not 0.
    affine : ndarray of shape (4, 4)
        Voxel → RAS mm.
    """
    sides = [np.flatnonzero(labels.any(axis=other)) for other in ((1, 2), (0, 2), (0, 1))]
    ends = np.array([[side[0], side[-1]] for side in sides], float)
    corners = np.stack(np.meshgrid(*ends), axis=-1).reshape(-1, 3)
    world = corners @ np.asarray(affine)[:3, :3].T + np.asarray(affine)[:3, 3]
    return world.min(axis=0), world.max(axis=0)


def count_points(
    points: NDArray[np.floating], *, voxel_mm: float = 2.0
) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Count points [n, 3] (finite, RAS mm) in voxels of a grid that holds nearly all."""
    low, high = (np.percentile(points, q, axis=0) for q in (0.05, 99.95))
    shape = np.ceil((high - low) / voxel_mm).astype(int) + 1
    index = np.round((points - low) / voxel_mm).astype(np.int64)
    index = index[((index >= 0) & (index < shape)).all(axis=1)]
    flat = np.ravel_multi_index(tuple(index.T), tuple(shape))
    counts = np.bincount(flat, minlength=int(shape.prod())).reshape(shape)
    affine = np.diag([voxel_mm, voxel_mm, voxel_mm, 1.0])
    affine[:3, 3] = low
    return counts.astype(np.float32), affine


def _across(axis: int) -> tuple[int, int]:
    """World axes that run to the right and up in a plane across an axis."""
    right, up = (k for k in range(3) if k != axis)
    return right, up
