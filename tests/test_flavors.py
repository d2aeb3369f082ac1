"""Flavor ids, BIDS labels and region tables."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kraken_bids.exceptions import FlavorError
from kraken_bids.flavors import describe_flavor, list_flavors, parse_flavor, parse_meas
from kraken_bids.parcellations import list_parcellations, load_parcellation
from kraken_bids.published.models import list_published_flavors

PUBLISHED = [
    ("FCcorr_fs86_hpf", "FCcorrHPF"),
    ("FCcorr_shen268_hpfgsr", "FCcorrHPFGSR"),
    ("FCpcorr_coco439_hpf", "FCpcorrHPF"),
    ("SCifod2act_fs86_volnorm", "SCifod2actVN"),
    ("SCsdstream_coco439_volnorm", "SCsdstreamVN"),
    ("SCifod2act_fs86_sift2volnorm", "SCifod2actSiftVN"),
]


@pytest.mark.parametrize(("name", "meas"), PUBLISHED)
def test_flavor_and_bids_label_are_one_to_one(name, meas):
    """Parsing and formatting a flavor, and its BIDS label, return what went in."""
    flavor = parse_flavor(name)

    assert flavor.name == name
    assert flavor.meas == meas
    assert parse_meas(meas, flavor.parcellation) == flavor


@given(st.sampled_from(list_flavors(list_parcellations())))
def test_every_flavor_survives_the_round_trip(flavor):
    """No two flavors share an id or a label."""
    assert parse_flavor(flavor.name) == flavor
    assert parse_meas(flavor.meas, flavor.parcellation) == flavor
    assert describe_flavor(flavor)


@pytest.mark.parametrize(
    "name",
    [
        "",
        "FCcorr",
        "FCcorr_fs86",
        "XXcorr_fs86_hpf",
        "FC_a_b_c",
        "FC__x",
        "FC_a_\x1b[2J",
        "FC_../a_b",
    ],
)
def test_malformed_ids_are_refused(name):
    """The message shows what was found and how an id looks."""
    with pytest.raises(FlavorError, match="FCcorr_fs86_hpf"):
        parse_flavor(name)


def test_sift2count_names_the_same_processing_as_sift2():
    """Published files use both spellings."""
    assert parse_flavor("SCifod2act_fs86_sift2count") == parse_flavor("SCifod2act_fs86_sift2")


def test_fifteen_flavors_of_the_joint_model():
    """Three parcellations times five measures, all of which are measured."""
    flavors = [parse_flavor(name) for name in list_published_flavors()[:15]]

    assert {f.parcellation for f in flavors} == {"fs86", "shen268", "coco439"}
    assert set(flavors) <= set(list_flavors(list_parcellations()))
    assert len(set(flavors)) == 15
    assert sum(flavor.group == "FC" for flavor in flavors) == 9


@pytest.mark.parametrize(
    ("name", "n_regions", "first", "last"),
    [
        ("fs86", 86, "Left-Cerebellum-Cortex", "ctx-rh-insula"),
        ("shen268", 268, "Shen1_Frontoparietal", None),
        ("coco439", 439, "Hippocampus_L", "L_p24_ROI"),
        ("cocoyeo243", 243, "Left-Thalamus-Proper", None),
    ],
)
def test_region_tables_hold_the_models_order(name, n_regions, first, last):
    """Number of regions, and the two ends of the order."""
    table = load_parcellation(name)

    assert table.n_regions == n_regions
    assert table.region_names[0] == first
    assert last is None or table.region_names[-1] == last
    assert len(set(table.labels)) == n_regions
    assert set(table.hemispheres) <= {"L", "R", "M"}


def test_fs86_labels_are_freesurfers():
    """The corpus callosum (x004) is no region; the order is ascending within each block."""
    labels = load_parcellation("fs86").labels

    assert labels[:3] == (8, 10, 11)
    assert labels[18] == 1001
    assert 1004 not in labels
    assert labels[-1] == 2035


def test_unknown_parcellation_is_refused():
    """The message lists the known ones."""
    with pytest.raises(FlavorError, match="shen268"):
        load_parcellation("aal")
