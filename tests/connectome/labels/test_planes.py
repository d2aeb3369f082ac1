"""Planes through a head: upright, left on the left, at the place that they name."""

import numpy as np
import pytest

from kraken_bids.connectome.labels.planes import choose_planes, count_points, find_box
from kraken_bids.connectome.resample import resample_labels

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
    planes = choose_planes(*find_box(head, LAS), n_pixels=600)
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
    low, high = find_box(head, LAS)
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
