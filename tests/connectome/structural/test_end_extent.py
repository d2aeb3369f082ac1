"""A tractogram that is one heap of points is told from streamlines, however few or closed."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from kraken_bids.connectome.structural.end_extent import EndExtent

TRACKS = Path("tracks.tck")


def judge(*blocks: NDArray[np.float64]) -> list[str]:
    extent = EndExtent()
    for block in blocks:
        extent.add(block)
    return extent.list_doubts(TRACKS)


def make_ends(n: int, *, spread: float, length: float) -> NDArray[np.float64]:
    """Make ends [n, 2, 3] of streamlines around a point far from the origin, mm."""
    rng = np.random.default_rng(0)
    starts = np.array([40.0, -20.0, 60.0]) + spread * rng.uniform(-0.5, 0.5, (n, 3))
    return np.stack([starts, starts + length * rng.uniform(-0.5, 0.5, (n, 3))], axis=1)


@pytest.mark.parametrize(
    ("spread", "length", "words"),
    [
        (0.0, 0.0, "all ends of the 9 streamlines within 1 mm of (40, -20, 60)"),
        (0.3, 0.2, "all ends of the 9 streamlines within 1 mm"),
        (80.0, 0.0, "both ends at one point in each of the 9 streamlines"),
        (80.0, 1e-4, "both ends at one point in each of the 9 streamlines"),
    ],
)
def test_streamlines_that_connect_nothing_are_said(
    spread: float, length: float, words: str
) -> None:
    """By both: one place for all, and no length of any."""
    ends = make_ends(9, spread=spread, length=length)
    (doubt,) = judge(ends[:4], ends[4:])
    assert words in doubt
    assert "tracks.tck" in doubt


def test_nothing_is_said_of_streamlines() -> None:
    """One with a length is enough, and so are short ones in many places, or none at all."""
    closed = make_ends(9, spread=80.0, length=0.0)
    assert judge(closed, make_ends(1, spread=0.0, length=30.0)) == []
    assert judge(make_ends(9, spread=80.0, length=0.1)) == []
    assert judge(make_ends(1, spread=0.0, length=30.0)) == []
    assert judge(np.full((3, 2, 3), np.nan)) == judge(np.zeros((0, 2, 3))) == []


def test_ends_that_are_no_numbers_do_not_hide_a_heap() -> None:
    heap = make_ends(9, spread=0.0, length=0.0)
    heap[3] = np.nan
    (doubt,) = judge(heap)
    assert "all ends of the 8 streamlines" in doubt
