"""Label and probability images, carried onto another grid slice by slice."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

Step = tuple[NDArray[np.floating], NDArray[np.floating] | None]

POINTS_AT_ONCE = 500_000


def resample_labels(
    labels: NDArray[np.integer],
    affine: NDArray[np.floating],
    *,
    target_shape: Sequence[int],
    target_affine: NDArray[np.floating],
    steps: Sequence[Step] = (),
    carried: Iterable[NDArray[np.float64]] | None = None,
) -> NDArray[np.integer]:
    """Label image on another grid: every target voxel takes the label of the nearest source voxel.

    Parameters
    ----------
    labels : ndarray of int, shape (x, y, z)
    affine, target_affine : ndarray of shape (4, 4)
        Voxel → RAS mm of the image and of the grid wanted.
    target_shape : sequence of 3 int
    steps : sequence of (affine, displacement)
        How a POINT of the target space (RAS mm) is carried into the space of the label image,
        first step first. ``(A, None)``: p ← A p. ``(A, field)`` with a field [x, y, z, 3] in RAS
        mm: p ← p + field(A⁻¹ p), interpolated linearly. As in ITK a field reaches half a voxel
        beyond the centres of its outermost voxels, where their values hold; zero outside.
    carried : iterable of ndarray, optional
        What :func:`carry_grid` gives of the same grid and steps, where several images share them.

    Returns
    -------
    ndarray of shape target_shape
        0 where the point lies outside the label image. Half-way points take the higher index.
    """
    if (
        carried is None
        and not steps
        and _is_same_grid(labels.shape, affine, target_shape, target_affine)
    ):
        return labels.copy()
    out = np.zeros(tuple(target_shape), dtype=labels.dtype)
    points = carry_grid(target_shape, target_affine, steps) if carried is None else carried
    _fill(out, partial(_take_nearest, labels), affine, points)
    return out


def _take_nearest(labels: NDArray[np.integer], voxels: NDArray[np.float64]) -> NDArray[np.integer]:
    """Labels at points [3, n] in voxels; 0 outside the image."""
    index = np.floor(voxels + 0.5).astype(np.int64)
    inside = np.logical_and.reduce(
        [(index[axis] >= 0) & (index[axis] < labels.shape[axis]) for axis in range(3)]
    )
    index[:, ~inside] = 0
    values: NDArray[np.integer] = labels[index[0], index[1], index[2]]
    values[~inside] = 0
    return values


def resample_image(
    image: NDArray[np.floating],
    affine: NDArray[np.floating],
    *,
    target_shape: Sequence[int],
    target_affine: NDArray[np.floating],
    steps: Sequence[Step] = (),
) -> NDArray[np.float32]:
    """Image of numbers (such as a tissue probability) on another grid, interpolated linearly.

    Parameters and ``steps`` as in :func:`resample_labels`.

    Returns
    -------
    ndarray of float32, shape target_shape
        0 where the point lies outside the image, which ends half a voxel beyond the centres of its
        outermost voxels.
    """
    out = np.zeros(tuple(target_shape), dtype=np.float32)

    def sample(voxels: NDArray[np.float64]) -> NDArray[np.float32]:
        values: NDArray[np.float32] = _interpolate([image], voxels)[0].astype(np.float32)
        return values

    _fill(out, sample, affine, carry_grid(target_shape, target_affine, steps))
    return out


def carry_grid(
    shape: Sequence[int], affine: NDArray[np.floating], steps: Sequence[Step]
) -> Iterator[NDArray[np.float64]]:
    """Yield where the voxels of a grid come to lie, points [3, n] in RAS mm, part after part.

    ``steps`` as in :func:`resample_labels`.
    """
    for first, cut in _split(shape):
        grid = np.indices(cut, dtype=np.float64).reshape(3, -1)
        grid += np.reshape(first, (3, 1))
        yield _carry(_apply_affine(affine, grid), steps)


def apply_steps(points: NDArray[np.float64], steps: Sequence[Step]) -> NDArray[np.float64]:
    """Points [n_points, 3] carried through transforms, first step first; RAS mm.

    ``steps`` as in :func:`resample_labels`.
    """
    return _carry(points.T, steps).T


def _carry(points: NDArray[np.float64], steps: Sequence[Step]) -> NDArray[np.float64]:
    """Carry points [3, n_points], coordinates apart, as map_coordinates wants them."""
    for affine, displacement in steps:
        if displacement is None:
            points = _apply_affine(affine, points)
            continue
        voxels = _apply_affine(np.linalg.inv(affine), points)
        points = points + _interpolate(np.moveaxis(displacement, -1, 0), voxels)
    return points


def _interpolate(
    images: Sequence[NDArray[np.floating]] | NDArray[np.floating], voxels: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Values [n_images, n_points] at voxel coordinates [3, n_points], as ITK's linear ones.

    In the half voxel about the centres of the outermost voxels the value of the rim holds; 0
    beyond. Source: itkImageFunction.hxx (IsInsideBuffer), itkLinearInterpolateImageFunction.hxx.
    """
    from scipy.ndimage import map_coordinates

    shape = np.reshape(images[0].shape, (3, 1))
    inside = ((voxels >= -0.5) & (voxels < shape - 0.5)).all(axis=0)
    values = np.stack([map_coordinates(i, voxels, order=1, mode="nearest") for i in images])
    return np.where(inside, values, 0.0)


def _fill(
    out: NDArray[np.generic],
    sample: Callable[[NDArray[np.float64]], NDArray[np.generic]],
    affine: NDArray[np.floating],
    carried: Iterable[NDArray[np.float64]],
) -> None:
    to_voxels = np.linalg.inv(np.asarray(affine, dtype=np.float64))
    for (first, cut), points in zip(_split(out.shape), carried, strict=True):
        part = out[tuple(slice(start, start + n) for start, n in zip(first, cut, strict=True))]
        part[...] = sample(_apply_affine(to_voxels, points)).reshape(cut)


def _is_same_grid(
    shape: Sequence[int],
    affine: NDArray[np.floating],
    target_shape: Sequence[int],
    target_affine: NDArray[np.floating],
) -> bool:
    """Whether the nearest voxel of every voxel is the one of the same index."""
    if tuple(shape) != tuple(target_shape):
        return False
    corners = np.indices((2, 2, 2)).reshape(3, -1) * (np.asarray(shape)[:, None] - 1.0)
    world = _apply_affine(target_affine, corners)
    found = _apply_affine(np.linalg.inv(np.asarray(affine, dtype=np.float64)), world)
    # voxels move by an affine function of their index: the corners move farthest
    return bool((np.abs(found - corners) < 0.499).all())


def _split(shape: Sequence[int]) -> Iterator[tuple[tuple[int, ...], tuple[int, ...]]]:
    """Yield first voxel and shape of every part of a grid, planes or rows of one."""
    n_planes = max(1, POINTS_AT_ONCE // max(1, shape[1] * shape[2]))
    n_rows = max(1, POINTS_AT_ONCE // max(1, shape[2]))
    for i in range(0, shape[0], n_planes):
        for j in range(0, shape[1], n_rows):
            yield (i, j, 0), (min(n_planes, shape[0] - i), min(n_rows, shape[1] - j), shape[2])


def _apply_affine(
    affine: NDArray[np.floating], points: NDArray[np.float64]
) -> NDArray[np.float64]:
    moved: NDArray[np.float64] = affine[:3, :3].astype(np.float64) @ points + affine[:3, 3:4]
    return moved
