from itertools import permutations, product

import numpy as np
import pytest

from kraken_bids.connectome.labels.slices import (
    N_AXIAL,
    BrainSlice,
    choose_planes,
    count_points,
    cut_slices,
    find_corners,
)
from kraken_bids.connectome.resample import resample_labels

AFFINE = np.array([[2.0, 0, 0, -40], [0, 3.0, 0, -50], [0, 0, 4.0, -30], [0, 0, 0, 1]])


def make_head() -> np.ndarray:
    """RAS image: 1 left back, 2 right back, 3 left front, 4 right front; 5 on top."""
    labels = np.zeros((20, 24, 18), np.int32)
    labels[3:10, 4:12, 2:12], labels[10:17, 4:12, 2:12] = 1, 2
    labels[3:10, 12:20, 2:12], labels[10:17, 12:20, 2:12] = 3, 4
    labels[3:17, 4:20, 12:16] = 5
    return labels


def by_axis(slices: tuple[BrainSlice, ...], axis: str) -> list[BrainSlice]:
    return [one for one in slices if one.name.startswith(axis)]


def test_slices_are_upright_and_say_where_they_lie() -> None:
    """Left is left, front or up is up, and the name is the place in mm."""
    slices = cut_slices(make_head(), AFFINE)
    assert len(slices) == N_AXIAL + 2
    axial = by_axis(slices, "z")[0]
    corners = axial.labels[[0, 0, -1, -1], [0, -1, 0, -1]]
    np.testing.assert_array_equal(corners, [3, 4, 1, 2])
    assert (axial.row_mm, axial.column_mm) == (3.0, 2.0)
    (coronal,) = by_axis(slices, "y")
    assert set(coronal.labels[0]) == {5}
    np.testing.assert_array_equal(coronal.labels[-1, [0, -1]], [3, 4])
    assert (coronal.row_mm, coronal.column_mm) == (4.0, 2.0)
    (sagittal,) = by_axis(slices, "x")
    np.testing.assert_array_equal(sagittal.labels[-1, [0, -1]], [1, 3])
    # first labelled plane is 2, the box is 14 high: 10 % of it is plane 3
    assert axial.name == f"z = −{30 - 4 * 3}"


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_any_orientation_gives_the_same_slices(order: tuple[int, ...]) -> None:
    """Axes stored in another order or direction do not change the picture."""
    expected = cut_slices(make_head(), AFFINE)
    for flips in product([False, True], repeat=3):
        labels, affine = make_head(), AFFINE.copy()
        for axis, flip in enumerate(flips):
            if flip:
                affine[:, 3] += affine[:, axis] * (labels.shape[axis] - 1)
                affine[:, axis] *= -1
                labels = np.flip(labels, axis)
        found = cut_slices(labels.transpose(order), affine[:, [*order, 3]])
        for one, other in zip(found, expected, strict=True):
            np.testing.assert_array_equal(one.labels, other.labels)
            assert (one.name, one.row_mm, one.column_mm) == (
                other.name, other.row_mm, other.column_mm,
            )  # fmt: skip


def test_oblique_and_empty_images() -> None:
    """A tilted grid is shown along its own axes; nothing labelled gives no slices."""
    angle = np.deg2rad(50)
    tilt = np.array(
        [[1, 0, 0], [0, np.cos(angle), -np.sin(angle)], [0, np.sin(angle), np.cos(angle)]]
    )
    affine = AFFINE.copy()
    affine[:3, :3] = tilt @ np.diag([2.0, 2.0, 2.0])
    assert len(cut_slices(make_head(), affine)) == N_AXIAL + 2
    assert cut_slices(np.zeros((4, 4, 4), int), AFFINE) == ()


LAS = np.array([[-2.0, 0, 0, 60], [0, 2, 0, -70], [0, 0, 2, -50], [0, 0, 0, 1]])


@pytest.fixture
def head() -> np.ndarray:
    """Voxels, stored from right to left: 1 left half, 2 right half, 3 front, 4 top."""
    labels = np.zeros((60, 70, 60), np.int32)
    x, y, z = (np.indices(labels.shape).T @ LAS[:3, :3].T + LAS[:3, 3]).T
    inside = (x / 50) ** 2 + (y / 60) ** 2 + (z / 45) ** 2 < 1
    labels[inside] = np.where(x < 0, 1, 2)[inside]
    labels[inside & (y > 45)] = 3
    labels[inside & (z > 30)] = 4
    return labels


def test_left_is_left_and_front_and_top_are_up(head: np.ndarray) -> None:
    """Whatever way the voxels are stored."""
    planes = choose_planes(*find_corners(head, LAS), n_pixels=600)
    names = [plane.name for plane in planes]
    cuts = [
        resample_labels(head, LAS, target_shape=p.shape, target_affine=p.affine)[..., 0].T
        for p in planes
    ]

    assert [name[0] for name in names] == list("xyzzzz")
    assert sum(cut.shape[1] for cut in cuts) == pytest.approx(600, abs=6)
    axial = cuts[3]
    rows, columns = np.nonzero(axial == 1)
    assert columns.max() <= np.nonzero(axial == 2)[1].min()
    assert np.nonzero(axial == 3)[0].max() < rows.min()
    sagittal = cuts[0]
    assert np.nonzero(sagittal == 4)[0].max() < np.nonzero(sagittal == 1)[0].min()
    assert np.nonzero(sagittal == 3)[1].min() > np.nonzero(sagittal == 1)[1].max()


def test_more_is_shown_than_the_labels_cover(head: np.ndarray) -> None:
    """What lies beside the labels is seen too."""
    low, high = find_corners(head, LAS)
    axial = choose_planes(low, high, n_pixels=600, margin=12)[2]
    corner = axial.affine @ [0, axial.shape[1], 0, 1]
    np.testing.assert_allclose(corner[:2], low[:2] - 12, atol=1)
    assert axial.name == f"z = {round(corner[2])}".replace("-", "−")


def test_points_are_counted_where_they_lie() -> None:
    """One far point does not blow up the grid."""
    rng = np.random.default_rng(1)
    points = np.vstack([rng.normal((10, -20, 30), 5, (5000, 3)), [[1e6, 0, 0]]])
    counts, affine = count_points(points)

    assert 4900 < counts.sum() <= 5000
    assert counts.size < 40**3
    peak = np.array(np.unravel_index(counts.argmax(), counts.shape))
    np.testing.assert_allclose(affine[:3, :3] @ peak + affine[:3, 3], (10, -20, 30), atol=8)
