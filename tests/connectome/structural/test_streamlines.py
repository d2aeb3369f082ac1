"""Lengths of streamlines: sums in single precision, one step after the other."""

import numpy as np

from kraken_bids.connectome.structural.streamlines import compute_lengths, list_steps


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
