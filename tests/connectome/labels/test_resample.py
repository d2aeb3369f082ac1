import numpy as np
import pytest
from scipy.spatial import cKDTree

from kraken_bids.connectome import resample
from kraken_bids.connectome.labels.label_numbers import check_labels
from kraken_bids.connectome.resample import (
    apply_steps,
    carry_grid,
    resample_image,
    resample_labels,
)
from kraken_bids.exceptions import ConnectomeError

RNG = np.random.default_rng(3)
LABELS = RNG.integers(0, 5, (9, 11, 8)).astype(np.int16)


def rotation(angle):
    affine = np.eye(4)
    affine[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    return affine


AFFINE = rotation(0.2) @ np.diag([2.0, 1.5, 2.5, 1.0])
AFFINE[:3, 3] = [-7, 4, 1]


def nearest_labels(points):
    """Oracle: label of the nearest voxel centre, by search through all of them."""
    index = np.stack(np.meshgrid(*map(np.arange, LABELS.shape), indexing="ij"), -1).reshape(-1, 3)
    centres = index @ AFFINE[:3, :3].T + AFFINE[:3, 3]
    voxels = (points - AFFINE[:3, 3]) @ np.linalg.inv(AFFINE[:3, :3]).T
    outside = ((voxels < -0.5) | (voxels >= np.array(LABELS.shape) - 0.5)).any(axis=1)
    found = LABELS.ravel()[cKDTree(centres).query(points)[1]]
    return np.where(outside, 0, found)


def grid_points(shape, affine):
    index = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), -1).reshape(-1, 3)
    return index @ affine[:3, :3].T + affine[:3, 3]


def test_same_grid_gives_the_same_image():
    """Nothing changes, dtype included, when target and source are the same grid."""
    out = resample_labels(LABELS, AFFINE, target_shape=LABELS.shape, target_affine=AFFINE)
    np.testing.assert_array_equal(out, LABELS)
    assert out.dtype == LABELS.dtype


@pytest.mark.parametrize("shift", [0.45, 0.55, -0.45, -0.55])
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_almost_the_same_grid(shift, axis):
    """A grid less than half a voxel away has the same labels, another one has its neighbours."""
    moved = AFFINE.copy()
    moved[:3, 3] += AFFINE[:3, axis] * shift
    out = resample_labels(LABELS, AFFINE, target_shape=LABELS.shape, target_affine=moved)
    wanted = nearest_labels(grid_points(LABELS.shape, moved)).reshape(LABELS.shape)
    np.testing.assert_array_equal(out, wanted)
    assert out is not LABELS
    assert np.array_equal(out, LABELS) == (abs(shift) < 0.5)


def test_a_scaled_grid_is_another_one():
    """The same first voxel and shape do not make the same grid."""
    wider = AFFINE @ np.diag([1.08, 1, 1, 1])
    out = resample_labels(LABELS, AFFINE, target_shape=LABELS.shape, target_affine=wider)
    wanted = nearest_labels(grid_points(LABELS.shape, wider)).reshape(LABELS.shape)
    np.testing.assert_array_equal(out, wanted)
    assert not np.array_equal(out, LABELS)


def test_other_grids_take_the_nearest_voxel(monkeypatch):
    """An oblique target agrees with a search for the nearest centre, in slabs of any size."""
    target = rotation(-0.4) @ np.diag([-1.3, 1.1, 1.7, 1.0])
    target[:3, 3] = [8.1, 1.2, 0.3]
    expected = nearest_labels(grid_points((14, 13, 10), target)).reshape(14, 13, 10)
    for size in (10, 500, 10**6):
        monkeypatch.setattr(resample, "POINTS_AT_ONCE", size)
        out = resample_labels(LABELS, AFFINE, target_shape=(14, 13, 10), target_affine=target)
        np.testing.assert_array_equal(out, expected)
    assert (out == 0).any()
    assert (out > 0).any()


def test_steps_apply_in_order():
    """An affine, then a displacement field, carry target points in that order."""
    field_affine = np.diag([3.0, 3.0, 3.0, 1.0])
    field_affine[:3, 3] = -12
    field = RNG.normal(scale=2, size=(12, 12, 12, 3))
    steps = [(rotation(0.3), None), (field_affine, field)]
    target = np.eye(4)
    target[:3, 3] = [-6, 2, 2]
    points = grid_points((8, 9, 7), target)
    moved = points @ rotation(0.3)[:3, :3].T
    moved = moved + trilinear(field, (moved + 12) / 3)
    np.testing.assert_allclose(apply_steps(points, steps), moved, atol=1e-10)
    out = resample_labels(
        LABELS, AFFINE, target_shape=(8, 9, 7), target_affine=target, steps=steps
    )
    np.testing.assert_array_equal(out.ravel(), nearest_labels(moved))
    carried = list(carry_grid((8, 9, 7), target, steps))
    for _ in range(2):  # of several images on one grid
        again = resample_labels(
            LABELS, AFFINE, target_shape=(8, 9, 7), target_affine=target, carried=carried
        )
        np.testing.assert_array_equal(again, out)


def trilinear(field, voxels):
    """Oracle: interpolation written out corner by corner, zero outside."""
    low = np.floor(voxels).astype(int)
    part = voxels - low
    total = np.zeros_like(voxels)
    inside = ((voxels >= 0) & (voxels <= np.array(field.shape[:3]) - 1)).all(axis=1)
    for corner in np.ndindex(2, 2, 2):
        weight = np.prod(np.where(np.array(corner) == 1, part, 1 - part), axis=1)
        at = np.clip(low + corner, 0, np.array(field.shape[:3]) - 1)
        total += weight[:, None] * field[tuple(at.T)]
    return total * inside[:, None]


def test_displacement_is_zero_outside_its_field():
    """Points that the field does not cover stay where they are."""
    field = np.full((3, 3, 3, 3), 5.0)
    points = np.array([[1.0, 1.0, 1.0], [10.0, 1.0, 1.0]])
    moved = apply_steps(points, [(np.eye(4), field)])
    np.testing.assert_array_equal(moved, [[6, 6, 6], [10, 1, 1]])


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_field_reaches_half_a_voxel_beyond_its_outermost_centres(axis):
    """As in ITK the value of the rim holds there; the far end itself is outside."""
    size, n = 4.0, 5
    affine = np.diag([size, size, size, 1.0])
    affine[:3, 3] = -10
    rows = np.arange(1.0, n + 1)
    field = np.zeros((n, n, n, 3))
    field[..., 1] = np.moveaxis(np.broadcast_to(rows, (n, n, n)), -1, axis)
    voxels = np.array([-0.51, -0.5, -0.3, 0.0, 1.5, n - 1.0, n - 0.51, n - 0.5, n + 1])
    points = np.full((len(voxels), 3), 2.0 * size - 10)
    points[:, axis] = voxels * size - 10
    moved = apply_steps(points, [(affine, field)])
    expected = np.zeros_like(points)
    expected[:, 1] = [0, 1, 1, 1, 2.5, n, n, 0, 0]
    np.testing.assert_allclose(moved - points, expected, atol=1e-12)


def test_an_image_reaches_half_a_voxel_beyond_its_outermost_centres():
    """Its value at the rim holds there, as in ITK."""
    image = np.full((3, 3, 3), 0.8, np.float32)
    target = np.diag([0.25, 1.0, 1.0, 1.0])
    target[0, 3] = -0.75
    out = resample_image(image, np.eye(4), target_shape=(13, 1, 1), target_affine=target)
    np.testing.assert_allclose(out.ravel(), [0, *[0.8] * 12], rtol=1e-6)
    beyond = np.eye(4)
    beyond[0, 3] = 2.5
    out = resample_image(image, np.eye(4), target_shape=(1, 1, 1), target_affine=beyond)
    assert out.item() == 0


def test_probabilities_are_interpolated_linearly():
    """Half-way between two voxels a probability image gives their mean; outside 0."""
    image = np.zeros((4, 4, 4), dtype=np.float32)
    image[1] = 1.0
    target = np.eye(4)
    target[0, 3] = 0.5
    out = resample_image(image, np.eye(4), target_shape=(5, 4, 4), target_affine=target)
    assert out[:, 1, 1].tolist() == [0.5, 0.5, 0.0, 0.0, 0.0]


def test_label_images_must_hold_whole_numbers():
    """4D of one volume and whole floats pass; fractions, negatives, NaN and series do not."""
    whole = check_labels(LABELS[..., None].astype(float))
    np.testing.assert_array_equal(whole, LABELS)
    for broken in (LABELS + 0.5, -LABELS, np.where(LABELS == 1, np.nan, LABELS)):
        with pytest.raises(ConnectomeError, match="whole, non-negative"):
            check_labels(broken)
    with pytest.raises(ConnectomeError, match="three axes"):
        check_labels(np.zeros((2, 2, 2, 2)))


@pytest.mark.parametrize("n_points", [1, 7, 20, 90, 100_000])
def test_parts_of_a_grid_never_matter(n_points, monkeypatch):
    """Planes, parts of planes and rows are filled alike."""
    moved = rotation(0.3) @ AFFINE
    grid = {"target_shape": (5, 12, 7), "target_affine": moved}
    wanted = nearest_labels(grid_points((5, 12, 7), moved)).reshape(5, 12, 7)
    monkeypatch.setattr(resample, "POINTS_AT_ONCE", n_points)
    np.testing.assert_array_equal(resample_labels(LABELS, AFFINE, **grid), wanted)
