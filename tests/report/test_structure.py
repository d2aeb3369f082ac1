from dataclasses import replace

import numpy as np
import pytest

from kraken_bids.parcellations import list_parcellations, load_parcellation
from kraken_bids.report import circle
from kraken_bids.report.circle import Circle, pick_strongest, place_regions, shorten_region
from kraken_bids.report.sections.structure import EndShares, TractogramRow, draw_structure
from kraken_bids.report.theme import read_png_size


def make_network(parcellation: str, seed: int = 0) -> Circle:
    table = load_parcellation(parcellation)
    rng = np.random.default_rng(seed)
    square = np.triu(rng.lognormal(0, 2, (table.n_regions, table.n_regions)), 1)
    return Circle(
        f"SCifod2act_{parcellation}_volnorm",
        table.region_names,
        table.groups,
        table.hemispheres,
        square + square.T,
    )


def make_row(**fields: object) -> TractogramRow:
    row = TractogramRow("iFOD2", "x.tck", 100, "", (EndShares("fs86", 0.8, 0.15, 0.05),))
    return replace(row, **fields)


@pytest.mark.parametrize("parcellation", list_parcellations())
def test_places_on_the_circle(parcellation):
    """Left is left, right is right, the midline at the bottom; no two regions overlap."""
    network = make_network(parcellation)
    angles, width = place_regions(network)
    x = np.cos(angles)
    sides = np.array(network.hemispheres)
    assert (x[sides == "L"] < 0.25).all()
    assert (x[sides == "R"] > -0.25).all()
    assert (np.sin(angles[sides == "M"]) < 0).all()
    steps = np.diff(np.sort(angles % (2 * np.pi)))
    assert steps.min() > 0.999 * width


def test_both_sides_mirror_each_other():
    """A lobe of fs86 lies as high on the left as on the right, the frontal one at the top."""
    network = make_network("fs86")
    angles, _ = place_regions(network)
    groups, sides = np.array(network.region_groups), np.array(network.hemispheres)
    heights = {
        (g, s): np.sort(np.sin(angles[(groups == g) & (sides == s)]))
        for g in set(groups)
        for s in "LR"
    }
    for group in set(groups):
        np.testing.assert_allclose(heights[group, "L"], heights[group, "R"], atol=1e-9)
    assert max(heights, key=lambda key: heights[key].mean())[0] == "Frontal"


def test_strongest_edges(monkeypatch):
    """The n largest pairs, each once, weakest first; zeros, NaN and the diagonal are no edges."""
    square = np.zeros((4, 4))
    square[np.triu_indices(4, 1)] = [5, 0, 1, np.nan, 3, 2]
    square = square + square.T + 9 * np.eye(4)
    monkeypatch.setattr(circle, "MAX_EDGES", 3)
    i, j, values = pick_strongest(square)
    np.testing.assert_array_equal(values, [2, 3, 5])
    np.testing.assert_array_equal(np.stack([i, j]), [[2, 1, 0], [3, 3, 1]])
    assert len(pick_strongest(np.zeros((3, 3)))[2]) == 0


def test_names_are_short():
    """Words that every region of a kind shares are left out."""
    assert shorten_region("ctx-lh-insula") == "insula"
    assert shorten_region("Right-Thalamus-Proper") == "Thalamus"
    assert shorten_region("Hippocampus_L") == "Hippocampus_L"


@pytest.mark.parametrize("parcellation", list_parcellations())
def test_every_parcellation_is_drawn(parcellation):
    """The figure has the size it is laid out for, with missing regions too."""
    network = make_network(parcellation)
    network.square[[1, 5]] = network.square[:, [1, 5]] = np.nan
    png = draw_structure(make_row(network=network, length_counts=(0, 5, 3), mean_length=9.0))
    assert read_png_size(png) > (0, 0)
    assert read_png_size(png) == (1060, 680)


@pytest.mark.parametrize(
    "row",
    [
        make_row(length_counts=(0, 0)),
        make_row(length_counts=(1,) * 60, n_longer=12_345, mean_length=150.0),
        make_row(network=replace(make_network("fs86"), square=np.zeros((86, 86)))),
    ],
)
def test_halves_and_nothing(row):
    """Without a network, lengths, or any connection the rest is drawn."""
    assert read_png_size(draw_structure(row)) > (0, 0)
