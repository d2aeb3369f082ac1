"""A displacement field turned round: from where its points land to where they come from."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from kraken_bids.connectome.resample import Step, apply_steps
from kraken_bids.exceptions import ConnectomeError

MAX_ROUNDS = 60
TOLERANCE_MM = 0.01
MOST_LOST = 0.02
"""Share of the grid's points that may remain without a way back where the field is: its folds."""
RIM = 2
"""Voxels at the edge of a field, where it breaks off, that do not count: no brain lies there."""
LEAST_STEP = 1 / 16


def invert_field(
    steps: Sequence[Step], *, shape: Sequence[int], affine: NDArray[np.floating]
) -> list[Step]:
    """Invert an affine step and a field, point by point on a grid where the field's points land.

    For every voxel centre y of the grid the x with T(x) = y is sought: x ← x - A⁻¹(T(x) - y), A
    being the affine step of T, in smaller steps where a point comes no nearer.

    Parameters
    ----------
    steps : sequence of (affine, displacement)
        T: an affine step, then a field that is small beside it; RAS mm.
    shape, affine
        The grid: its voxels [3], and voxel → RAS mm [4, 4].

    Returns
    -------
    list of (affine, displacement)
        Points of the grid's space into the space that T starts from.

    Raises
    ------
    ConnectomeError
        If more than 2 % of the points have no way back to 0.01 mm.
    """
    back = np.linalg.inv(np.asarray(steps[0][0], np.float64))
    grid = np.indices(tuple(shape), np.float64).reshape(3, -1).T
    to_world = np.asarray(affine, np.float64)
    targets = apply_steps(grid, [(to_world, None)])
    start = apply_steps(targets, [(back, None)])
    found, error = start.copy(), np.full(len(start), np.inf)
    step = np.ones(len(start))
    active = np.arange(len(start))
    trial = start.copy()
    for _ in range(MAX_ROUNDS):
        miss = apply_steps(trial[active], steps) - targets[active]
        distance = np.linalg.norm(miss, axis=1)
        nearer = distance < error[active]
        better = active[nearer]
        found[better], error[better] = trial[better], distance[nearer]
        step[active[~nearer]] /= 2
        # from the best place so far, where the last trial has led away from it
        trial[better] -= step[better, None] * (miss[nearer] @ back[:3, :3].T)
        worse = active[~nearer]
        trial[worse] = (trial[worse] + found[worse]) / 2
        active = active[(error[active] > TOLERANCE_MM) & (step[active] >= LEAST_STEP)]
        if not len(active):
            break
    n_lost = int(((error > TOLERANCE_MM) & _is_inside(found, steps)).sum())
    if n_lost > MOST_LOST * len(error):
        raise ConnectomeError(
            f"expected a displacement field that can be turned round; of {len(error):,} voxels "
            f"{n_lost:,} have no way back. Compute the inverse with FSL: invwarp."
        )
    field = (found - start).reshape(*shape, 3).astype(np.float32)
    return [(back, None), (back @ to_world, field)]


def _is_inside(points: NDArray[np.float64], steps: Sequence[Step]) -> NDArray[np.bool_]:
    """Whether points [n, 3] lie where the field is, away from its rim."""
    (before, _), (affine, field) = steps
    assert field is not None
    to_voxels = np.linalg.inv(np.asarray(affine, np.float64)) @ np.asarray(before, np.float64)
    voxels = apply_steps(points, [(to_voxels, None)])
    last = np.array(field.shape[:3]) - 1
    inside: NDArray[np.bool_] = np.all((voxels >= RIM) & (voxels <= last - RIM), axis=1)
    return inside
