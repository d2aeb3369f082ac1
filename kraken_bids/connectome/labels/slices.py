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

    Parameters
    ----------
    labels : ndarray of int, shape (x, y, z)
        Region numbers, 0 outside; any orientation of the axes.
    affine : ndarray of shape (4, 4)
        Voxel → RAS mm. An oblique grid is shown along its own axes, nearest to RAS.

    Returns
    -------
    tuple of BrainSlice
        Left of the head on the left; up or front at the top. Empty where nothing is labelled.
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
