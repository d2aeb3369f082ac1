from itertools import permutations, product

import numpy as np
import pytest

from kraken_bids.connectome.labels.slices import N_AXIAL, BrainSlice, cut_slices

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
