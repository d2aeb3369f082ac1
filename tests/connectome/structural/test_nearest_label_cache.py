"""Candidates per voxel give what a full search gives, and rounding is left to the caller."""

import numpy as np
import pytest
from scipy.spatial import cKDTree

from kraken_bids.connectome.structural.nearest_label_cache import NearestLabelCache, find_box
from kraken_bids.connectome.structural.search_offsets import is_small


def make_labels(shape, n_regions, seed):
    rng = np.random.default_rng(seed)
    labels = rng.integers(1, n_regions + 1, shape).astype(np.int32)
    labels[rng.random(shape) < 0.9] = 0  # single voxels: every point has many candidates
    labels[:3, :4, -2:] = 1  # and a block, part of which is no surface
    return labels


@pytest.mark.parametrize("spacing", [(1, 1, 1), (1, 2, 3), (2.5, 0.9, 0.8), (0.7, 0.7, 0.7)])
@pytest.mark.parametrize("radius", [1.9, 2.0, 4.0])
def test_labels_are_those_of_a_full_search(spacing, radius):
    """Nearest centre within the radius, for cubes and slabs, in and around the image."""
    spacing = np.array(spacing, float)
    labels = make_labels((14, 12, 11), 9, seed=1)
    rng = np.random.default_rng(2)
    voxels = rng.uniform(-9, np.array(labels.shape) + 9, (20_000, 3))
    search = NearestLabelCache(
        labels, find_box(labels), np.diag(spacing), radius=radius, tolerance=1e-8
    )
    centres = np.argwhere(labels)
    distance, node = cKDTree(centres * spacing).query(voxels * spacing)
    expected = np.where(distance < radius, labels[tuple(centres[node].T)], 0)
    for part in np.array_split(np.arange(len(voxels)), 4):  # the later find lists ready made
        found, unsure = search.find(voxels[part].T)
        own = np.floor(voxels[part] + 0.5).astype(int)
        inside = ((own >= 0) & (own < labels.shape)).all(axis=1)
        has_own = inside & (labels[tuple(np.where(inside[:, None], own, 0).T)] > 0)
        # where half a diagonal exceeds the radius a labelled voxel still wins: not our case
        wins = ~has_own | (0.5 * np.linalg.norm(spacing) < radius)
        np.testing.assert_array_equal(found[wins], expected[part][wins])
        assert unsure.mean() < 1e-3


def test_doubt_is_said():
    """Points on a face, half-way between labels, or on the radius are left to the caller."""
    labels = np.zeros((9, 9, 9), np.int32)
    labels[4, 4, 4], labels[4, 4, 8] = 1, 2
    search = NearestLabelCache(labels, find_box(labels), np.eye(3), radius=2.5, tolerance=1e-8)
    points = np.array([[4, 4, 4.5], [4, 4, 6], [4, 6.5, 4], [4, 4, 4.4], [4, 6.4, 4.1]])
    found, unsure = search.find(points.T)
    assert unsure.tolist() == [True, True, True, False, False]
    assert found[3:].tolist() == [1, 1]


def test_small_voxels_are_left_to_the_tree():
    """Tables by bit pattern would be large for voxels of half a millimetre."""
    assert is_small(np.eye(3), 4.0)
    assert is_small(np.eye(3) * 0.7, 4.0)
    assert not is_small(np.eye(3) * 0.4, 4.0)
