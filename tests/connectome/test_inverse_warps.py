"""A field that was turned round leads back."""

import numpy as np
import pytest

from kraken_bids.connectome.inverse_warps import invert_field
from kraken_bids.connectome.resample import Step, apply_steps
from kraken_bids.exceptions import ConnectomeError

AFFINE = np.array([[1.1, 0.1, 0, 5], [-0.05, 0.9, 0.1, -3], [0, -0.1, 1, 2], [0, 0, 0, 1]])


def make_steps(size: float, shape: tuple[int, int, int] = (30, 30, 30)) -> list[Step]:
    """Affine, then waves of so many mm on a grid of 4 mm about the origin."""
    grid = np.diag([4.0, 4, 4, 1])
    grid[:3, 3] = -58
    points = np.argwhere(np.ones(shape)) * 4.0 - 58
    waves = size * np.sin(points[:, [1, 2, 0]] / 15)
    return [(AFFINE, None), (AFFINE @ grid, waves.reshape(*shape, 3).astype(np.float32))]


def test_there_and_back_is_where_it_began() -> None:
    """To a hundredth of a millimetre, in every voxel of the other grid inside the field."""
    steps = make_steps(5.0)
    affine = np.diag([-3.0, 3, 3, 1])
    affine[:3, 3] = [30, -30, -30]
    inverse = invert_field(steps, shape=(21, 21, 21), affine=affine)
    centres = np.argwhere(np.ones((21, 21, 21))) @ affine[:3, :3].T + affine[:3, 3]
    found = apply_steps(apply_steps(centres, inverse), steps)
    np.testing.assert_allclose(found, centres, atol=0.0101)


def test_a_field_that_folds_is_refused() -> None:
    """Waves so steep that points pass one another have no way back."""
    affine = np.diag([3.0, 3, 3, 1])
    affine[:3, 3] = -30
    with pytest.raises(ConnectomeError, match=r"no way back.*invwarp"):
        invert_field(make_steps(60.0), shape=(21, 21, 21), affine=affine)
