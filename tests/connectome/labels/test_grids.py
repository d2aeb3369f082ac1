import numpy as np
import pytest

from kraken_bids.connectome.labels.grids import cover_labels
from kraken_bids.connectome.resample import resample_labels
from kraken_bids.exceptions import ConnectomeError


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
