"""Regions of whole streamlines: loops as oracle; tck2connectome in tests/cli/test_sc.py."""

import numpy as np
import pytest

from kraken_bids.connectome.structural.assignments import (
    TouchedRegions,
    find_all_regions,
    find_regions_inwards,
    find_voxel_regions,
)
from kraken_bids.connectome.structural.nearest_labels import build_region_search


@pytest.fixture
def search():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 4, (12, 10, 9)) * (rng.random((12, 10, 9)) < 0.2)
    affine = np.diag([-1.5, 2.0, 1.0, 1.0])
    affine[:3, 3] = [9, -4, 2]
    return build_region_search(labels, affine, radius=4.0)


def make_tracks(n=300, seed=1):
    rng = np.random.default_rng(seed)
    lengths = rng.integers(0, 14, n)
    stops = np.cumsum(lengths + 1) - 1
    starts = stops - lengths
    vertices = np.full((int(stops[-1]) + 1, 3), np.nan, np.float32)
    for start, stop in zip(starts, stops, strict=True):
        walk = np.cumsum(rng.normal(0, 1, (stop - start, 3)), axis=0)
        vertices[start:stop] = rng.uniform([-12, -6, 0], [12, 16, 12]) + walk
    return vertices, starts, stops


def label_of(search, point):
    voxel = search.to_voxels[:3, :3] @ point.astype(float) + search.to_voxels[:3, 3]
    index = np.floor(voxel + 0.5).astype(int)
    if (index < 0).any() or (index >= search.labels.shape).any():
        return 0
    return int(search.labels[tuple(index)])


def test_voxel_of_a_point(search):
    """The label of the voxel that holds the point; 0 outside, for NaN and far away."""
    vertices, *_ = make_tracks()
    vertices[5] = [1e15, 0, 0]
    expected = [label_of(search, p) if np.isfinite(p).all() else 0 for p in vertices]
    np.testing.assert_array_equal(find_voxel_regions(search, vertices), expected)


@pytest.mark.parametrize("max_distance", [0.0, 1.5, 4.0])
def test_inwards_from_either_end(search, max_distance):
    """The first label up to the middle, unless the way there is longer than allowed."""
    vertices, starts, stops = make_tracks()

    def walk(track, first, last, step):
        distance = 0.0
        for k in range(first, last, step):
            label = label_of(search, track[k])
            if label:
                return label
            if max_distance and k + step != len(track):
                distance += float(np.linalg.norm(track[k] - track[k + step]))
                if distance > max_distance:
                    return 0
        return 0

    expected = []
    for start, stop in zip(starts, stops, strict=True):
        track, n = vertices[start:stop], stop - start
        back = walk(track, n - 1, n // 2, -1) if n else 0
        expected.append([walk(track, 0, (n + 1) // 2, 1), back])
    found = find_regions_inwards(search, vertices, starts, stops, max_distance=max_distance)
    np.testing.assert_array_equal(found, expected)
    assert (found > 0).any(axis=0).all()


def test_all_regions_on_the_way(search):
    """Each region under a vertex, once, in rising order; tracks without stay in the count."""
    vertices, starts, stops = make_tracks()
    visits = find_all_regions(search, vertices, starts, stops)
    assert visits.n_streamlines == len(starts)
    for k, (start, stop) in enumerate(zip(starts, stops, strict=True)):
        expected = sorted({label_of(search, p) for p in vertices[start:stop]} - {0})
        assert visits.regions[visits.owners == k].tolist() == expected


def test_pairs_of_a_list():
    """Every region with every one, itself included; a single one and none join nothing."""
    visits = TouchedRegions(np.array([0, 0, 0, 2]), np.array([2, 5, 7, 4], np.int32), 4)
    owners, pairs = visits.pairs()
    assert owners.tolist() == [0] * 6 + [1, 2, 3]
    assert pairs.tolist() == [
        *([2, 2], [2, 5], [2, 7], [5, 5], [5, 7], [7, 7]),
        *([0, 0], [0, 4], [0, 0]),
    ]
