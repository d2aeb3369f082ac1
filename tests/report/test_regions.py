import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kraken_bids.parcellations import list_parcellations, load_parcellation, read_table
from kraken_bids.report.regions import group_colours, layout_regions, shorten, spread_labels

LAYOUT = layout_regions(("b", "a", "b", "a", "c"), ("R", "L", "L", "R", "M"))


def test_regions_are_shown_group_by_group_left_first():
    """Groups keep the order of their first region; within a group left comes before right."""
    assert LAYOUT.names == ("b", "a", "c")
    np.testing.assert_array_equal(LAYOUT.order, [2, 0, 1, 3, 4])
    np.testing.assert_array_equal(LAYOUT.starts, [0, 2, 4, 5])
    np.testing.assert_array_equal(LAYOUT.lateral, [False, True, False, True, True])


@pytest.mark.parametrize("name", list_parcellations())
def test_every_region_of_every_parcellation_is_shown_once(name):
    """The display order is a permutation, and blocks end where the groups do."""
    parcellation = load_parcellation(name)
    layout = layout_regions(parcellation.groups, parcellation.hemispheres)
    np.testing.assert_array_equal(np.sort(layout.order), np.arange(parcellation.n_regions))
    sizes = [parcellation.groups.count(group) for group in layout.names]
    np.testing.assert_array_equal(np.diff(layout.starts), sizes)


@pytest.mark.parametrize("name", list_parcellations())
def test_groups_of_every_parcellation_have_a_place_and_a_title(name):
    """All are in the table, so cortex comes first and cerebellum last, whatever the labels."""
    parcellation = load_parcellation(name)
    known = [row["group"] for row in read_table("region_groups.tsv")]
    layout = layout_regions(parcellation.groups, parcellation.hemispheres)
    places = [known.index(group) for group in layout.names]
    assert places == sorted(places)
    assert len(set(layout.titles)) == len(layout.names)


def test_unknown_groups_keep_their_order_and_names():
    """A parcellation of the user's own with one group that no table knows is shown as it comes."""
    layout = layout_regions(("Temporal", "mine", "Frontal"), ("L", "M", "R"))
    assert layout.titles == ("Temporal", "mine", "Frontal")
    np.testing.assert_array_equal(layout.middles, [0.5, 1.5, 2.5])
    assert len(shorten("x" * 50)) == 21


def test_regions_of_a_group_share_a_colour_and_the_right_side_is_paler():
    """Two hues of one group, and other groups have others."""
    colours = group_colours(LAYOUT)
    np.testing.assert_allclose(colours[1], 0.5 + 0.5 * colours[0])
    assert len({tuple(colour) for colour in colours.tolist()}) == 5


@given(st.lists(st.floats(0, 300), min_size=1, max_size=40))
def test_labels_are_spread_inside_their_range(wanted):
    """Labels keep their order, their gap and the range; those already apart do not move."""
    wanted = np.sort(wanted)
    placed = spread_labels(wanted, gap=13.0, low=5.0, high=295.0)
    gap = min(13.0, 290.0 / max(len(wanted) - 1, 1))
    assert (np.diff(placed) >= gap - 1e-6).all()
    assert placed.min() >= 5 - 1e-6
    assert placed.max() <= 295 + 1e-6
    apart = np.array([20.0, 60.0, 100.0])
    np.testing.assert_allclose(spread_labels(apart, gap=13, low=5, high=295), apart)
