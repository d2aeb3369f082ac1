"""Colour scales of matrices end where percentiles of their values say."""

import numpy as np
import pytest

from kraken_bids.report.colour_scale import _find_percentile, scale_of


@pytest.mark.parametrize("n", [1, 2, 31, 33, 1000, 40_001])
@pytest.mark.parametrize("percent", [99, 99.8, 50, 0, 100])
def test_a_percentile_is_that_of_numpy(rng: np.random.Generator, n: int, percent: float) -> None:
    spread = rng.normal(size=n)
    # every 32nd value is looked at first: here these mislead in either direction
    high, low = np.sort(spread), np.sort(spread)[::-1].copy()
    high[::32], low[::32] = 1e6, -1e6
    for values in (spread, np.sort(spread), high, low, np.zeros(n), np.round(spread)):
        expected = np.percentile(values, percent)
        assert _find_percentile(values, percent) == pytest.approx(expected, rel=1e-12)


def test_diagonal_and_regions_not_measured_do_not_count(rng: np.random.Generator) -> None:
    square = rng.uniform(-0.4, 0.4, (30, 30))
    np.fill_diagonal(square, 99)
    seen = np.abs(square[~np.eye(30, dtype=bool)])
    limit = scale_of([square], "FC").vmax
    assert np.percentile(seen, 99) <= limit <= np.percentile(seen, 99) + 0.01
    gappy = np.pad(square, (1, 0), constant_values=np.nan)
    assert scale_of([gappy], "FC").vmax == limit
    assert scale_of([], "FC").vmax == 1
    assert scale_of([np.full((1, 1), 7.0)], "FC").vmax == 1
