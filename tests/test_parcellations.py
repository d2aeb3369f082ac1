"""Tables of regions: whole, in one order, and none for what the package does not know."""

import pytest

from kraken_bids.exceptions import FlavorError
from kraken_bids.parcellations import (
    APARCASEG,
    list_parcellations,
    load_parcellation,
    recognize_parcellation,
)

SIZES = {"fs86": 86, "shen268": 268, "coco439": 439}


def test_parcellations_of_the_published_model() -> None:
    """As many regions and edges as the model has."""
    for name, n_regions in SIZES.items():
        table = load_parcellation(name)
        assert (table.n_regions, table.n_edges) == (n_regions, n_regions * (n_regions - 1) // 2)
    assert set(SIZES) <= set(list_parcellations())


@pytest.mark.parametrize("name", list_parcellations())
def test_every_region_has_a_row_of_its_own(name: str) -> None:
    """Names and labels are unique, and hemispheres are L, R or M."""
    table = load_parcellation(name)
    n_regions = table.n_regions
    for column in (table.region_names, table.labels, table.indices):
        assert len(set(column)) == n_regions
    assert len(table.hemispheres) == len(table.groups) == n_regions
    assert set(table.hemispheres) <= set("LRM")
    assert min(table.labels) > 0
    assert all(table.region_names)
    assert all(table.groups)


@pytest.mark.parametrize("name", list_parcellations())
def test_indices_are_labels_unless_these_are_freesurfers(name: str) -> None:
    """FreeSurfer's numbers are thousands; tables then count from 1."""
    table = load_parcellation(name)
    places = tuple(range(1, table.n_regions + 1))
    assert table.indices == (places if table.source == APARCASEG else table.labels)


def test_an_unknown_parcellation() -> None:
    """Refused where one is needed, None where one is asked about."""
    assert recognize_parcellation("fs86") is load_parcellation("fs86")
    assert recognize_parcellation("mine") is None
    with pytest.raises(FlavorError, match=r"fs86, .*; found 'mine'"):
        load_parcellation("mine")
