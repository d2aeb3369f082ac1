"""Regions are told by name, however a program spells them, and never by place."""

import numpy as np
import pytest

from kraken_bids.exceptions import ConnectomeError
from kraken_bids.parcellations import list_parcellations, load_parcellation
from kraken_bids.region_spellings import order_edges, place_regions

FS86 = load_parcellation("fs86")


@pytest.mark.parametrize("name", list_parcellations())
def test_every_region_is_known_by_its_own_name_alone(name: str) -> None:
    """No two regions of a table are spelled alike once sides and marks are set apart."""
    table = load_parcellation(name)
    places = place_regions(table, table.region_names[::-1])
    np.testing.assert_array_equal(places, np.arange(table.n_regions)[::-1])
    assert order_edges(np.arange(table.n_regions), table.n_regions) is None


@pytest.mark.parametrize(
    ("spelled", "region"),
    [
        ("ctx_lh_insula", "ctx-lh-insula"), ("lh.insula", "ctx-lh-insula"),
        ("insula_L", "ctx-lh-insula"), ("Right insula", "ctx-rh-insula"),
        ("rh-bankssts", "ctx-rh-bankssts"), ("Left-Thalamus", "Left-Thalamus-Proper"),
        ("R_Accumbens", "Right-Accumbens-area"), ("left_ventraldc", "Left-VentralDC"),
        ("Left_Cerebellum_Cortex", "Left-Cerebellum-Cortex"),
    ],
)  # fmt: skip
def test_other_spellings_mean_the_same_region(spelled: str, region: str) -> None:
    """Marks, case, the side's place and FreeSurfer's own renamings do not matter."""
    assert FS86.region_names[place_regions(FS86, [spelled])[0]] == region


@pytest.mark.parametrize(
    "name",
    ["insula", "lh-rh-insula", "Left-Cerebellum-White-Matter", "Brain-Stem", "medial_wall", "1"],
)
def test_what_names_no_region_is_none(name: str) -> None:
    """Without a side, with both, of another structure: no guess."""
    assert place_regions(FS86, [name]).tolist() == [-1]


def test_numbers_are_those_of_the_table_or_of_freesurfer() -> None:
    """All 86 numbers, or FreeSurfer's; 1 to 84 are nodes of MRtrix's own table."""
    numbers = [f"ROI_{n}" for n in range(86, 0, -1)]
    assert place_regions(FS86, numbers).tolist() == list(range(86))[::-1]
    assert place_regions(FS86, ["1035", "8"]).tolist() == [51, 0]
    assert (place_regions(FS86, [str(n) for n in range(1, 85)]) < 0).sum() > 60
    hcp = load_parcellation("coco439")
    assert (place_regions(hcp, [f"V{n}" for n in range(1, 439)]) < 0).all()


def test_one_region_named_twice_is_refused() -> None:
    """Two spellings of one region cannot both be it."""
    with pytest.raises(ConnectomeError, match="both of which mean ctx-lh-insula"):
        place_regions(FS86, ["lh_insula", "ctx-lh-insula"])


def test_edges_follow_their_regions() -> None:
    """Against the square matrix put into order; an unknown row is left out, a missing one NaN."""
    rng = np.random.default_rng(5)
    given = rng.random((5, 5))
    given += given.T
    places = np.array([3, -1, 0, 2, 4])  # region 1 is missing

    edges = given[np.triu_indices(5, 1)]
    order = order_edges(places, 5)

    square = np.full((5, 5), np.nan)
    for i, a in enumerate(places):
        for j, b in enumerate(places):
            if a >= 0 and b >= 0:
                square[a, b] = given[i, j]
    found = np.where(order < 0, np.nan, edges[order])
    np.testing.assert_array_equal(found, square[np.triu_indices(5, 1)])
