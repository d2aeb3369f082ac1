"""Planes through a head in world coordinates, on which images of any grid are looked at."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

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


def find_box(
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
    """Count points in voxels of a grid that holds nearly all of them.

    Parameters
    ----------
    points : ndarray of shape (n_points, 3)
        RAS mm, finite.
    voxel_mm : float

    Returns
    -------
    counts : ndarray of shape (x, y, z)
    affine : ndarray of shape (4, 4)
        Voxel → RAS mm.
    """
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
