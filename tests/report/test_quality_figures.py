import numpy as np
import pytest

from kraken_bids.report.pages import Coverage, Motion
from kraken_bids.report.png import SIGNATURE
from kraken_bids.report.quality_figures import _bars, draw_coverage, draw_motion


def test_bars_cover_the_volumes_left_out():
    """Stretches of True become (start, length), at both ends too."""
    mask = np.array([True, True, False, True, False, True])
    assert _bars(mask, 0.5) == [(0.0, 1.0), (1.5, 0.5), (2.5, 0.5)]
    assert _bars(np.zeros(3, dtype=bool), 1.0) == []


@pytest.mark.parametrize(
    "displacement", [np.full(5, np.nan), np.zeros(1), np.array([np.nan, 9.0, 0.1])]
)
def test_motion_without_numbers_is_drawn(displacement):
    """Runs without displacement, of one volume or with a single jump are no error."""
    motion = Motion("run", displacement, np.ones(len(displacement), dtype=bool), 2.0)
    assert draw_motion(motion).startswith(SIGNATURE)


def test_coverage_with_missing_values_is_drawn():
    """NaN counts as no coverage."""
    entry = Coverage("T1w", "fs86", np.array([np.nan, 0.0, 1.0]), ("a", "b", "c"), 0.5)
    assert draw_coverage([entry, entry]).startswith(SIGNATURE)
