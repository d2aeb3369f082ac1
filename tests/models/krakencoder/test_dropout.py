"""Dropout factors: shares, scale, independence of places, one stream per seed."""

import numpy as np
import pytest

from kraken_bids.models.krakencoder.dropout import Dropout

SEED = np.random.SeedSequence(4)


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.75])
def test_the_rate_is_left_out_and_the_mean_kept(rate: float) -> None:
    """Factors are 0 or one number, and 1 on average, in every place of a row."""
    stream = Dropout(rate, SEED)
    drawn = np.stack([stream.draw(41, 25).copy() for _ in range(200)])

    assert len(np.unique(drawn)) == 2
    assert drawn.max() == pytest.approx(1 / (1 - rate), rel=1e-4)
    assert (drawn == 0).mean() == pytest.approx(rate, abs=0.005)
    np.testing.assert_allclose(
        drawn.mean(axis=(0, 1)), 1, atol=4 * (rate / (1 - rate) / 8200) ** 0.5
    )


@pytest.mark.parametrize("rate", [0.3, 0.5])
def test_places_do_not_follow_each_other(rate: float) -> None:
    """No correlation of neighbors in a row, of rows, or of one draw with the next."""
    stream = Dropout(rate, SEED)
    first, second = (stream.draw(200, 203).copy() for _ in range(2))

    for other in (np.roll(first, 1, axis=1), np.roll(first, 8, axis=1), first[::-1], second):
        assert abs(np.corrcoef(first.ravel(), other.ravel())[0, 1]) < 0.02


def test_a_seed_fixes_the_stream() -> None:
    """The same seed gives the same factors, another one others."""
    one, same = (Dropout(0.5, np.random.SeedSequence(4)).draw(5, 7) for _ in range(2))

    np.testing.assert_array_equal(one, same)
    assert not np.array_equal(one, Dropout(0.5, np.random.SeedSequence(5)).draw(5, 7))


def test_nothing_is_drawn_where_nothing_is_left_out() -> None:
    """A rate of 0 gives None."""
    assert Dropout(0.0, SEED).draw(3, 4) is None
