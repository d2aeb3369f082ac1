"""Lengths of tracks and their histogram, against plain sums over each track."""

import numpy as np
import pytest

from kraken_bids.connectome.structural.lengths import LengthHistogram, compute_track_lengths
from kraken_bids.connectome.structural.streamlines import compute_lengths

COUNTS = (3, 0, 1, 7, 2, 0, 5, 1)


def make_block(*, separated: bool, counts=COUNTS, dtype="f4"):
    """Tracks in one array, with a row of NaN behind each or without."""
    rng = np.random.default_rng(0)
    tracks = [rng.normal(size=(n, 3)).astype(dtype) for n in counts]
    gap = np.full((1, 3), np.nan, dtype)
    vertices = np.concatenate([np.vstack([t, gap]) if separated else t for t in tracks])
    starts = np.cumsum([0, *(n + separated for n in counts)])[:-1]
    return tracks, vertices, starts, starts + np.array(counts)


@pytest.mark.parametrize("separated", [True, False])
@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_lengths_are_sums_of_steps(separated, dtype):
    """Between tracks nothing is added, separated or not; up to one vertex the length is 0."""
    tracks, vertices, starts, stops = make_block(separated=separated, dtype=dtype)
    expected = [np.linalg.norm(np.diff(t, axis=0), axis=1).sum() for t in tracks]
    found = compute_track_lengths(vertices, starts, stops)
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    has_vertices = stops > starts
    exact = compute_lengths(vertices, starts, stops)
    np.testing.assert_allclose(found[has_vertices], exact[has_vertices], rtol=1e-5)


@pytest.mark.parametrize("counts", [(), (0,), (1, 1), (0, 0, 2), (2, 0, 0)])
def test_few_vertices(counts):
    """No tracks, and tracks without steps at either end of the block, are no error."""
    tracks, vertices, starts, stops = make_block(separated=False, counts=counts or (0,))
    n = len(counts)
    found = compute_track_lengths(vertices, starts[:n], stops[:n])
    expected = [np.linalg.norm(np.diff(t, axis=0), axis=1).sum() for t in tracks[:n]]
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_a_broken_coordinate_spoils_one_track():
    """NaN in a coordinate makes that track's length NaN, and no other's."""
    _, vertices, starts, stops = make_block(separated=False)
    vertices[starts[3] + 2, 1] = np.nan
    found = compute_track_lengths(vertices, starts, stops)
    np.testing.assert_array_equal(np.flatnonzero(np.isnan(found)), [3])


def test_histogram():
    """Bins are [0, 5), [5, 10) …; 300 mm and more are `Longer`; what is not finite is left out."""
    histogram = LengthHistogram()
    histogram.add(np.array([0.0, 4.99, 5.0, 299.9], np.float32))
    histogram.add(np.array([300.0, 1e9, np.nan, np.inf]))
    plain = histogram.to_plain()
    assert plain["Counts"] == [2, 1, *[0] * 57, 1]
    assert plain["Longer"] == 2
    assert plain["Mean"] == pytest.approx((4.99 + 5 + 299.9 + 300 + 1e9) / 6)


def test_empty_histogram():
    """Without streamlines there is no mean."""
    assert LengthHistogram().to_plain()["Mean"] is None
    assert np.isnan(LengthHistogram().mean)
