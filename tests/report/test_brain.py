import warnings
from io import BytesIO

import h5py
import numpy as np
import pytest
from matplotlib import pyplot as plt
from matplotlib.image import imread

from kraken_bids.connectome.labels.region_places import load_centres
from kraken_bids.connectome.matrices import edges_to_square
from kraken_bids.flavors import parse_flavor
from kraken_bids.report.page import draw_figures, render_page
from kraken_bids.report.sections.brain import MAX_EDGES, draw, find_strongest, gather
from kraken_bids.report.theme import read_png_size
from kraken_bids.report.written_group import WrittenGroup

FC, SC = "FCcorr_fs86_hpf", "SCifod2act_fs86_volnorm"
RNG = np.random.default_rng(0)
MEANS = {FC: RNG.uniform(-0.9, 0.9, 3655), SC: RNG.lognormal(-3, 2, 3655)}


@pytest.fixture
def group(tmp_path) -> WrittenGroup:
    """Means of two flavors, and of an atlas of the user's own."""
    (tmp_path / "group").mkdir()
    with h5py.File(tmp_path / "group" / "mean_connectomes.h5", "w") as file:
        for name, edges in {**MEANS, "FCcorr_aown_hpf": np.ones(3)}.items():
            file[f"{name}/measured"] = edges
    return WrittenGroup(tmp_path, ())


def test_the_strongest_edges_are_those_that_numpy_sorts_first(group):
    """Of FC and of SC each: a hundred, by absolute value, between the regions that they join."""
    found = gather(group)
    assert [found[group].flavor for group in found] == [FC, SC]
    for brain in found.values():
        edges = MEANS[brain.flavor]
        order = np.argsort(-np.abs(edges))[:MAX_EDGES]
        expected = np.zeros(edges.size)
        expected[order] = edges[order]
        np.testing.assert_array_equal(brain.square, edges_to_square(expected, diagonal=0))
        assert brain.threshold == np.abs(edges[order]).min()
        assert brain.n_edges == edges.size
        np.testing.assert_array_equal(brain.centres, load_centres("fs86"))


def test_regions_that_nobody_has_are_left_out():
    """So are single pairs that nobody has; other regions keep their centres."""
    square = edges_to_square(MEANS[FC], diagonal=0)
    square[5] = square[:, 5] = np.nan
    square[7, 9] = np.nan
    brain = find_strongest(parse_flavor(FC), (square[np.triu_indices(86, 1)], None))
    kept = np.delete(np.arange(86), 5)
    np.testing.assert_array_equal(brain.centres, load_centres("fs86")[kept])
    shown = brain.square != 0
    np.testing.assert_array_equal(brain.square[shown], square[np.ix_(kept, kept)][shown])
    assert brain.shown.size == MAX_EDGES
    assert brain.n_edges == 85 * 84 // 2 - 1


@pytest.mark.parametrize(
    ("flavor", "edges"),
    [
        ("FCcorr_aown_hpf", np.ones(3)),
        (FC, None),
        (FC, np.ones(10)),
        (FC, np.zeros(3655)),
        (FC, np.full(3655, np.nan)),
        (SC, np.ones(3655)),
    ],
)
def test_there_is_no_brain_where_nothing_stands_out_or_has_a_place(flavor, edges):
    """Unknown centres, no mean, another size, nothing measured, all the same."""
    assert find_strongest(parse_flavor(flavor), (edges, None)) is None


def test_equal_edges_are_shown_or_left_out_together():
    """Few more than a hundred are shown; where far more are equal, only those above them are."""
    edges = np.r_[np.full(10, 3.0), np.full(120, 2.0), np.full(3525, 1.0)]
    assert find_strongest(parse_flavor(SC), (edges, None)).shown.size == 130
    edges = np.r_[np.full(10, 3.0), np.full(3645, 2.0)]
    brain = find_strongest(parse_flavor(SC), (edges, None))
    assert (brain.shown.size, brain.threshold) == (10, 3.0)


def test_the_page_says_what_is_shown_and_from_which_value_on(group, group_page, show):
    """Counts, thresholds and units; pictures can be decoded; nothing warns or stays open."""
    brains = gather(group)
    page = show(group_page, brain=brains)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figures = draw_figures(page)
    html = render_page(page, figures)
    drawn = {name: png for name, png in figures.items() if name.startswith("brain_")}
    assert set(drawn) == {"brain_FC", "brain_SC"}
    assert all(read_png_size(png) == (1060, 300) for png in drawn.values())
    assert all(np.ptp(imread(BytesIO(png))) == 1 for png in drawn.values())
    assert drawn["brain_FC"] != drawn["brain_SC"]
    assert not plt.get_fignums()
    assert "The 100 strongest of 3,655 measured connections" in html.replace("\u202f", ",")
    for group_name, unit in (("FC", "correlation"), ("SC", "streamlines over region volume")):
        threshold = f"{brains[group_name].threshold:#.3g}"
        assert f"the weakest of them is {threshold} ({unit})" in html
    assert draw(brains) == drawn
