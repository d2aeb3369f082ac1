from dataclasses import replace

import numpy as np
import pytest
from matplotlib.colors import LogNorm, Normalize

from kraken_bids.report.colour_scale import choose_ticks, scale_of
from kraken_bids.report.regions import layout_regions
from kraken_bids.report.sections.connectome_panels import (
    BELOW,
    DIAGONAL,
    HATCH,
    MISSING,
    colours_of,
    draw_flavor,
    number_square,
    spread_regions,
)
from kraken_bids.report.theme import read_png_size

GROUPS = ("b", "a", "b", "a", "c")
SIDES = ("R", "L", "L", "R", "M")
LAYOUT = layout_regions(GROUPS, SIDES)


def paint(square, group, cell=1):
    return paint_on(square, scale_of([square], group), cell)


def paint_on(square, norm, cell=1):
    """RGB of the cells, without the lines between groups."""
    rgb = colours_of(norm)[number_square(square, layout=LAYOUT, norm=norm, cell=cell)]
    is_cell = spread_regions(LAYOUT, cell) >= 0
    return rgb[is_cell][:, is_cell]


def test_fc_limits_are_symmetric_and_common_to_measured_and_predicted():
    """Both squares count, neither the diagonal nor NaN do, and 0 lies in the middle."""
    small, large = np.full((5, 5), 0.1), np.full((5, 5), -0.4)
    np.fill_diagonal(large, 1.0)
    small[0] = small[:, 0] = np.nan
    norm = scale_of([small, large], "FC")
    assert norm.vmin == pytest.approx(-norm.vmax)
    assert norm.vmax == pytest.approx(0.4)
    assert norm(0.0) == pytest.approx(0.5)


@pytest.mark.parametrize("n_regions", [2, 3, 9, 60])
@pytest.mark.parametrize(("group", "percent"), [("FC", 99), ("SC", 99.8)])
def test_a_scale_ends_at_the_percentile_of_numpy_rounded_up_to_two_digits(
    n_regions, group, percent
):
    """Of values beside the diagonal, however many there are and wherever the largest stand."""
    square = np.random.default_rng(n_regions).lognormal(size=(n_regions, n_regions))
    limit = np.percentile(square[~np.eye(n_regions, dtype=bool)], percent)
    step = 10 ** (np.floor(np.log10(limit)) - 1)
    assert scale_of([square], group).vmax == pytest.approx(np.ceil(limit / step) * step)


def test_equal_values_have_equal_colours_in_measured_and_predicted():
    """An edge that is predicted exactly is drawn in the very colour of the measured one."""
    rng = np.random.default_rng(0)
    measured, predicted = rng.normal(size=(2, 5, 5))
    predicted[1, 3] = predicted[3, 1] = measured[1, 3] = measured[3, 1]
    norm = scale_of([measured, predicted], "FC")
    images = [paint_on(s, norm) for s in (measured, predicted)]
    np.testing.assert_array_equal(images[0][2, 3], images[1][2, 3])


def test_fc_near_zero_is_white_positive_red_negative_blue():
    """The diverging scale is centred at 0."""
    square = np.zeros((5, 5))
    square[0, 1], square[1, 0] = 1.0, -1.0
    rgb = paint(square, "FC").astype(int)
    red, blue, middle = rgb[1, 2], rgb[2, 1], rgb[3, 4]
    assert red[0] > red[2] + 50
    assert blue[2] > blue[0] + 50
    assert middle.min() > 235


def test_sc_is_logarithmic_with_pale_zeros():
    """Zeros, and negative values of a decoder, are paler than the smallest positive value."""
    square = np.zeros((5, 5))
    square[0, 1] = square[1, 0] = 1000.0
    square[0, 2] = square[2, 0] = 2.0
    square[3, 4] = square[4, 3] = -3.0
    norm = scale_of([square], "SC")
    assert isinstance(norm, LogNorm)
    rgb = paint(square, "SC")
    np.testing.assert_array_equal(rgb[3, 4], BELOW)
    weak, strong = rgb[1, 0].astype(int).sum(), rgb[1, 2].astype(int).sum()
    assert BELOW.astype(int).sum() > weak > strong


def test_regions_not_measured_are_hatched_grey():
    """Every pixel of a NaN row and column is one of the two greys, and no other cell is."""
    square = np.ones((5, 5))
    square[2] = square[:, 2] = np.nan  # shown first
    rgb = paint(square, "FC", cell=4)
    grey = (rgb == MISSING).all(axis=-1) | (rgb == HATCH).all(axis=-1)
    expected = np.zeros((20, 20), dtype=bool)
    expected[:4] = expected[:, :4] = True
    np.testing.assert_array_equal(grey, expected)
    np.testing.assert_array_equal(rgb[5, 5], DIAGONAL)


@pytest.mark.parametrize("group", ["FC", "SC"])
@pytest.mark.parametrize("value", [0.0, np.nan])
def test_empty_matrices_are_drawn(group, value, participant_page):
    """A matrix of zeros or of NaN only is no error."""
    panels = participant_page.data["connectomes"]["fs86"]
    panel = next(panel for panel in panels if panel.group == group)
    empty = replace(panel, measured=np.full((86, 86), value), predictions=())
    assert read_png_size(draw_flavor(empty)) > (0, 0)


def test_a_flavor_that_was_not_measured_keeps_its_place(participant_page):
    """The figure has the same size with and without a measured matrix."""
    panel = participant_page.data["connectomes"]["fs86"][0]
    sizes = {read_png_size(draw_flavor(p)) for p in (panel, replace(panel, measured=None))}
    assert len(sizes) == 1


def test_lines_between_groups_hide_no_region():
    """Each region has its pixels in full; groups stand one pixel apart."""
    places = spread_regions(LAYOUT, 3)
    np.testing.assert_array_equal(np.bincount(places[places >= 0]), np.full(5, 3))
    gaps = np.flatnonzero(places == -1)
    np.testing.assert_array_equal(gaps, [6, 13])


@pytest.mark.parametrize("limit", [0.00031, 0.077, 0.95, 1.0, 420.0])
def test_ticks_of_fc_are_even_and_readable(limit):
    """Values named beside the bar lie on it, include 0, are spaced evenly and read as they are."""
    ticks = choose_ticks(Normalize(-limit, limit))
    values = np.array([value for value, _ in ticks])
    assert 3 <= len(ticks) <= 9
    assert np.abs(values).max() <= limit * (1 + 1e-6)
    np.testing.assert_allclose(np.diff(values), np.diff(values)[0])
    assert np.abs(values).min() < 1e-12
    np.testing.assert_allclose([float(t.replace("−", "-")) for _, t in ticks], values, atol=1e-12)


def test_ticks_of_sc_are_powers_of_ten():
    """A logarithmic bar names every power of ten on it in plain numbers."""
    ticks = choose_ticks(LogNorm(0.002, 2.0))
    assert [text for _, text in ticks] == ["0.01", "0.1", "1"]
