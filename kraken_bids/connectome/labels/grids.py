"""A grid for labels that are carried into a space that has none of its own."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from kraken_bids.connectome.resample import Step, apply_steps
from kraken_bids.exceptions import ConnectomeError

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
        Label image; 0 is outside.
    affine : ndarray of shape (4, 4)
        Its voxel → RAS mm.
    steps : sequence of (affine, displacement)
        How points of the target space pass into the space of the label image.
    voxel_mm : float
        Voxel size wanted, mm.

    Returns
    -------
    shape : tuple of 3 int
    affine : ndarray of shape (4, 4)
        Voxel → RAS mm of the target grid.

    Raises
    ------
    ConnectomeError
        If no point within 210 mm of the target's origin lands near a label.
    """
    voxels = _find_ends(labels > 0)
    corners = voxels @ affine[:3, :3].T + affine[:3, 3]
    low, high = corners.min(axis=0) - MARGIN_MM, corners.max(axis=0) + MARGIN_MM
    axis = np.arange(-REACH_MM, REACH_MM + PROBE_MM, PROBE_MM)
    probes = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), axis=-1).reshape(-1, 3)
    landed = apply_steps(probes, steps)
    near = probes[((landed >= low) & (landed <= high)).all(axis=1)]
    if not len(near):
        raise ConnectomeError(
            f"expected the transform to carry points near the origin into the label image; found "
            f"none within {REACH_MM:g} mm. Is it the transform of this participant and direction?"
        )
    start = near.min(axis=0) - PROBE_MM
    shape = np.ceil((near.max(axis=0) + PROBE_MM - start) / voxel_mm).astype(int) + 1
    target = np.diag([voxel_mm, voxel_mm, voxel_mm, 1.0])
    target[:3, 3] = start
    return (int(shape[0]), int(shape[1]), int(shape[2])), target


def _find_ends(is_inside: NDArray[np.bool_]) -> NDArray[np.integer]:
    """First and last voxel [n, 3] of every column: the rest lies between them."""
    columns = np.argwhere(is_inside.any(axis=2))
    lines = is_inside[columns[:, 0], columns[:, 1]]
    first, behind = lines.argmax(axis=1), lines[:, ::-1].argmax(axis=1)
    ends = [first, lines.shape[1] - 1 - behind]
    return np.concatenate([np.column_stack([columns, end]) for end in ends])
