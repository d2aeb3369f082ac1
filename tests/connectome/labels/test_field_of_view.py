"""How large regions are beyond the field of view, and which ones their own image cuts."""

import numpy as np
import pytest

from kraken_bids.connectome.labels import field_of_view
from kraken_bids.connectome.labels.field_of_view import (
    count_whole_regions,
    cover_labels,
    find_cut_regions,
)
from kraken_bids.connectome.resample import resample_labels
from kraken_bids.exceptions import ConnectomeError

N = 6
AFFINE = np.diag([2.0, 2.0, 2.0, 1.0])
AFFINE[:3, 3] = [-40, -50, -40]


def make_labels():
    """Make balls of ten voxels' width that float in an image of 2 mm."""
    index = np.stack(np.indices((40, 50, 40)), -1)
    labels = np.zeros(index.shape[:3], np.int32)
    centres = [(9, 10, 10), (28, 10, 28), (10, 30, 28), (28, 35, 10), (20, 22, 20)]
    for number, centre in enumerate(centres, start=1):
        labels[np.linalg.norm(index - np.array(centre), axis=-1) < 5] = number
    return labels


def turned(angle, size, origin):
    """Make the affine of a grid that is turned about z."""
    affine = np.eye(4)
    c, s = np.cos(angle), np.sin(angle)
    affine[:3, :3] = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]]) * size
    affine[:3, 3] = origin
    return affine


def moved_and_whole(shape, affine, steps=()):
    """Labels on a grid, what is found, and an oracle: the same grid with a wide margin."""
    labels = make_labels()
    moved = resample_labels(labels, AFFINE, target_shape=shape, target_affine=affine, steps=steps)
    found = count_whole_regions(
        labels, AFFINE, moved, target_affine=affine, steps=steps, n_regions=N
    )
    wide = affine.copy()
    wide[:3, 3] -= wide[:3, :3] @ [60, 60, 60]
    padded = [n + 120 for n in shape]
    everything = resample_labels(
        labels, AFFINE, target_shape=padded, target_affine=wide, steps=steps
    )
    return moved, found, np.bincount(everything.ravel(), minlength=N + 1)[1:]


SHIFT = np.eye(4)
SHIFT[:3, 3] = [30, -20, 10]
FIELD_AFFINE = turned(0, 20, [-100, -100, -100])
FIELD = np.random.default_rng(0).normal(0, 3, (11, 11, 11, 3)).astype(np.float32)
STEPS = {
    "world": (),
    "affine": ((SHIFT, None),),
    "field": ((FIELD_AFFINE, FIELD), (turned(0.1, 1, 0), None)),
}
GRIDS = {
    "holds all": ((60, 70, 60), turned(0, 2.5, [-75, -70, -75])),
    "slab": ((30, 40, 2), turned(0, 3, [-42, -52, -14])),
    "oblique slab": ((40, 40, 5), turned(0.4, 3, [-30, -70, 5])),
    "one corner": ((8, 9, 8), turned(0.1, 2.2, [-38, -48, -36])),
}


@pytest.mark.parametrize("steps", STEPS)
@pytest.mark.parametrize("grid", GRIDS)
def test_voxels_beyond_the_grid_are_counted(grid, steps):
    """As if the grid went on without end, for any grid and any way into the labels' space."""
    shape, affine = GRIDS[grid]
    moved, found, expected = moved_and_whole(shape, affine, STEPS[steps])
    np.testing.assert_array_equal(found, expected)
    assert found[-1] == 0
    here = np.bincount(moved.ravel(), minlength=N + 1)[1:]
    assert (found >= here).all()
    if grid == "slab" and steps == "world":
        assert 0 < here[0] < found[0] / 2
        assert here[1] == 0 < found[1]


def test_the_labels_own_grid_holds_all_of_them():
    """Nothing is counted twice where both grids are one."""
    labels = make_labels()
    found = count_whole_regions(
        labels, AFFINE, labels, target_affine=AFFINE, steps=(), n_regions=N
    )
    np.testing.assert_array_equal(found, np.bincount(labels.ravel(), minlength=N + 1)[1:])


def test_a_grid_too_large_to_be_laid_out(monkeypatch):
    """Volumes tell then: within a tenth here."""
    monkeypatch.setattr(field_of_view, "MAX_GRID", 1000)
    _, found, expected = moved_and_whole(*GRIDS["slab"])
    np.testing.assert_allclose(found, expected, rtol=0.1)


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("end", [0, -1])
@pytest.mark.parametrize("left", [2, 4, 5])
def test_regions_that_the_image_cuts(axis, end, left):
    """A ball of nine voxels' height of which less than six are left runs to the edge."""
    labels = np.moveaxis(make_labels(), axis, 0)
    if end:
        labels = labels[::-1]
    first = int(np.flatnonzero((labels > 0).any(axis=(1, 2)))[0])
    lost = 9 - left
    cut = np.moveaxis(labels[first + lost :], 0, axis)
    gone = set(np.unique(labels[first : first + lost])) - {0}
    assert set(find_cut_regions(cut)) == gone & set(np.unique(cut))
    assert gone


def test_regions_that_merely_touch_the_edge_are_whole():
    """An image that is cropped to its labels cuts none of them."""
    labels = make_labels()
    voxels = np.argwhere(labels > 0)
    low, high = voxels.min(axis=0), voxels.max(axis=0) + 1
    cropped = labels[tuple(slice(a, b) for a, b in zip(low, high, strict=True))]
    assert find_cut_regions(cropped).size == 0
    assert find_cut_regions(labels).size == 0
    assert find_cut_regions(np.zeros((3, 3, 3), np.int32)).size == 0


def test_the_grid_holds_every_region():
    """Labels carried onto their covering grid keep their volumes through a transform."""
    labels = np.zeros((40, 50, 45), dtype=np.int32)
    labels[5:15, 10:30, 8:20], labels[25:38, 30:48, 20:40] = 1, 2
    affine = np.diag([-2.0, 2.0, 2.0, 1.0])
    affine[:3, 3] = [40, -50, -45]
    move = np.eye(4)
    move[:2, :2] = [[0.8, -0.6], [0.6, 0.8]]
    move[:3, 3] = [12, -7, 20]
    shape, grid = cover_labels(labels, affine, steps=[(move, None)], voxel_mm=1.25)
    carried = resample_labels(
        labels, affine, target_shape=shape, target_affine=grid, steps=[(move, None)]
    )
    volumes = np.bincount(carried.ravel())[1:] * 1.25**3
    np.testing.assert_allclose(volumes, np.bincount(labels.ravel())[1:] * 8.0, rtol=0.02)
    assert (np.diag(grid) == [1.25, 1.25, 1.25, 1.0]).all()


def test_a_transform_that_leads_nowhere_is_refused():
    """A transform that sends the head's surroundings far from the labels is not this person's."""
    away = np.eye(4)
    away[:3, 3] = 5000
    with pytest.raises(ConnectomeError, match="none within 210 mm"):
        cover_labels(np.ones((4, 4, 4), dtype=int), np.eye(4), steps=[(away, None)], voxel_mm=1.0)
