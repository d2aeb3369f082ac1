"""Lengths of tracks and their histogram, against plain sums over each track."""

import numpy as np
import pytest

from kraken_bids.connectome.structural.lengths import (
    LengthHistogram,
    compute_lengths,
    compute_track_lengths,
    list_steps,
)

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


def test_lengths_are_running_sums_in_single_precision():
    """Each step is rounded to float32 and added in turn, as MRtrix does."""
    rng = np.random.default_rng(0)
    vertices = rng.normal(0, 30, (500, 3)).astype(np.float32)
    starts, stops = np.array([0, 120, 300, 301]), np.array([120, 299, 301, 500])
    expected = []
    for start, stop in zip(starts, stops, strict=True):
        total = np.float32(0)
        for a, b in zip(vertices[start : stop - 1], vertices[start + 1 : stop], strict=True):
            x, y, z = (b - a) ** 2
            total += np.sqrt(x + (y + z))
        expected.append(total)
    lengths = compute_lengths(vertices, starts, stops)
    assert lengths.dtype == np.float32
    np.testing.assert_array_equal(lengths, np.array(expected, np.float32))


def test_short_tracks_and_separators():
    """One vertex is 0 mm, none has no length, and NaN between tracks does not count."""
    vertices = np.array(
        [[0, 0, 0], [3, 4, 0], [np.nan] * 3, [1, 1, 1], [np.nan] * 3, [np.inf] * 3]
    )
    lengths = compute_lengths(vertices, np.array([0, 3, 5]), np.array([2, 4, 5]))
    np.testing.assert_array_equal(lengths, [5, 0, np.nan])


def test_list_steps():
    """Runs of whole numbers, one after the other; empty ones vanish."""
    assert list_steps(np.array([5, 9, 0]), np.array([2, 0, 3])).tolist() == [5, 6, 0, 1, 2]
