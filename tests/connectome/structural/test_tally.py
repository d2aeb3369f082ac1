"""Sum, mean, least and greatest per edge, against loops."""

import numpy as np
import pytest

from kraken_bids.connectome.structural.tally import STATISTICS, EdgeStatistic
from kraken_bids.exceptions import ConnectomeError


def make_block(n=400, seed=0):
    rng = np.random.default_rng(seed)
    pairs = rng.integers(0, 6, (n, 2))
    pairs[pairs == 3] = 0
    return pairs, rng.lognormal(size=n), rng.lognormal(size=n)


@pytest.mark.parametrize("is_weighted", [False, True])
@pytest.mark.parametrize("statistic", STATISTICS)
def test_every_statistic(statistic, is_weighted):
    """Weights count for sum and mean only; edges without streamlines are 0, or NaN."""
    pairs, factors, weights = make_block()
    weights = weights if is_weighted else None
    edge = EdgeStatistic(5, statistic)
    for at in np.array_split(np.arange(len(pairs)), 3):
        edge.add(pairs[at], factors[at], None if weights is None else weights[at])
    square = edge.connectome()
    np.testing.assert_array_equal(square, square.T)
    for i in range(1, 6):
        for j in range(i, 6):
            here = (pairs.min(axis=1) == i) & (pairs.max(axis=1) == j)
            f, w = factors[here], np.ones(here.sum()) if weights is None else weights[here]
            if not here.any():
                expected = 0.0 if statistic in {"sum", "mean"} else np.nan
            else:
                expected = {
                    "sum": (f * w).sum(),
                    "mean": (f * w).sum() / w.sum(),
                    "min": f.min(),
                    "max": f.max(),
                }[statistic]
            np.testing.assert_allclose(square[i - 1, j - 1], expected, rtol=1e-6)


def test_many_regions_are_kept_in_single_precision():
    """From 1024 regions on, as in MRtrix."""
    assert EdgeStatistic(1023, "sum").connectome().dtype == np.float64
    assert EdgeStatistic(1024, "sum").connectome().dtype == np.float32


def test_values_must_fit():
    """A value too few is refused, not guessed."""
    pairs, factors, weights = make_block(10)
    with pytest.raises(ConnectomeError, match=r"each of 10 streamlines; found 9"):
        EdgeStatistic(5, "sum").add(pairs, factors[:9])
    with pytest.raises(ConnectomeError, match=r"each of 10 streamlines; found 8"):
        EdgeStatistic(5, "sum").add(pairs, factors, weights[:8])
