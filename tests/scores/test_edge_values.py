"""Values that a connectome of its kind cannot have are found row by row."""

import numpy as np
import pytest
from numpy.typing import NDArray

from kraken_bids.flavors import parse_flavor
from kraken_bids.scores.edge_values import EdgeValues, measure_values

N_EDGES = 86 * 85 // 2
RNG = np.random.default_rng(7)
GOOD_FC = RNG.uniform(-0.9, 0.9, N_EDGES)
GOOD_SC = RNG.gamma(1.0, 3.3, N_EDGES)


def look(name: str, *rows: NDArray[np.floating]) -> EdgeValues:
    """Take the rows of a cohort one after the other."""
    found = EdgeValues(parse_flavor(name))
    for row, edges in enumerate(rows):
        present = edges[~np.isnan(edges)]
        found.add(row, measure_values(found.flavor, edges, present))
    return found


@pytest.mark.parametrize(
    ("name", "edges"), [("FCcorr_fs86_hpf", GOOD_FC), ("SCifod2act_fs86_volnorm", GOOD_SC)]
)
def test_nothing_is_said_of_good_connectomes(name: str, edges: NDArray[np.floating]) -> None:
    """Nor of one that lacks some edges."""
    lacking = np.where(np.arange(N_EDGES) < 85, np.nan, edges)
    assert look(name, edges, lacking).list_doubts(2) == []


def test_correlations_beyond_one() -> None:
    """Of whatever sign; rounding is none."""
    z = np.arctanh(GOOD_FC)
    found = look("FCcorr_fs86_hpf", GOOD_FC, z, np.clip(-2 * GOOD_FC, -2, 0.5), GOOD_FC / 0.9)
    assert found.beyond == [1, 2]
    assert found.largest == pytest.approx(max(np.abs(z).max(), 2 * np.abs(GOOD_FC).max()), rel=0.2)
    assert len(found.list_doubts(4)) == 1


def test_thresholded_correlations() -> None:
    """Many zeros are none of a measured connectome."""
    found = look("FCcorr_fs86_hpf", np.where(np.abs(GOOD_FC) < 0.3, 0, GOOD_FC), GOOD_FC)
    assert found.zeros == [0]
    assert found.beyond == []


def test_negative_streamlines() -> None:
    """A few are of harmonised sites."""
    few, many = GOOD_SC.copy(), GOOD_SC.copy()
    few[:20] *= -0.1
    many[::3] *= -1
    assert look("SCifod2act_fs86_volnorm", few, many).negative == [1]


def test_counts_given_as_another_flavor() -> None:
    """Whole numbers are those of the flavor of counts alone."""
    counts = np.rint(GOOD_SC * 10)
    assert look("SCifod2act_fs86_volnorm", counts, GOOD_SC).counts == [0]
    assert look("SCifod2act_fs86_count", counts).counts == []
