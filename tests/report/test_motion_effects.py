import numpy as np
import pytest
from scipy.integrate import trapezoid

from kraken_bids.report.sections.motion_effects import (
    chance_density,
    draw_motion_effects,
    find_limit,
    running_median,
    summarize_motion_effects,
)
from kraken_bids.report.theme import read_png_size
from kraken_bids.scores.motion_dependence import QcFc

RNG = np.random.default_rng(0)


def make_effect(flavor="FCcorr_fs86_hpf", *, fdr=0.0, rho=0.0, r=None, distance=None):
    """QC-FC of one flavor over 30 sessions."""
    r = RNG.normal(0, 0.2, 400) if r is None else r
    distance = RNG.uniform(5, 150, len(r)) if distance is None else distance
    return QcFc(flavor, 30, 30, 400, 0.13, 0.13, 0.05, fdr, rho, r, distance)


def test_chance_is_the_spread_of_unrelated_values():
    """The curve has area 1 and the deciles of simulated correlations of 14 sessions."""
    grid = np.linspace(-1, 1, 2001)
    density = chance_density(grid, 14)
    assert trapezoid(density, grid) == pytest.approx(1, abs=1e-3)
    a, b = RNG.normal(size=(2, 20_000, 14))
    a -= a.mean(axis=1, keepdims=True)
    b -= b.mean(axis=1, keepdims=True)
    r = (a * b).sum(axis=1) / np.sqrt((a**2).sum(axis=1) * (b**2).sum(axis=1))
    below = np.interp(np.quantile(r, [0.1, 0.5, 0.9]), grid, np.cumsum(density) * 0.001)
    np.testing.assert_allclose(below, [0.1, 0.5, 0.9], atol=0.01)


def test_running_median_follows_a_trend():
    """Bins hold the same number of points; medians lie on the line they were drawn around."""
    x = RNG.uniform(0, 100, 3000)
    middles, medians = running_median(x, 0.3 - 0.004 * x + RNG.normal(0, 0.02, 3000))
    np.testing.assert_allclose(medians, 0.3 - 0.004 * middles, atol=0.01)
    assert (np.diff(middles) > 0).all()


def test_all_plots_share_a_range_that_shows_small_effects_as_small():
    """Never narrower than ±0.3, wide enough for the widest flavor, at most ±1."""
    assert find_limit([make_effect(r=np.full(9, 0.01))]) == 0.3
    assert find_limit([make_effect(), make_effect(r=np.full(9, -0.9))]) > 0.9
    assert find_limit([make_effect(r=np.array([np.nan, 1.0, -1.0]))]) == 1.0


@pytest.mark.parametrize(
    ("r", "distance"),
    [(None, np.full(400, np.nan)), (np.full(5, np.nan), np.ones(5)), (np.ones(3), np.ones(3))],
)
def test_unknown_places_or_correlations_are_drawn(r, distance):
    """No edge with both is no error."""
    assert read_png_size(draw_motion_effects([make_effect(r=r, distance=distance)])) > (0, 0)


def test_a_row_holds_three_flavors():
    """Four flavors need two rows; one alone a third of the width."""
    one, four = (read_png_size(draw_motion_effects([make_effect()] * n)) for n in (1, 4))
    assert one[0] < 0.4 * four[0]
    assert four[1] > 1.7 * one[1]


def test_what_motion_leaves_is_said_with_its_way_out():
    """Flavors with many edges, or edges that fall with distance, are named; others are not."""
    clean, moved = make_effect(), make_effect("FCcorr_shen268_hpf", fdr=0.3)
    fallen = make_effect("FCcorr_coco439_hpf", rho=-0.4)
    assert "No flavor follows motion" in summarize_motion_effects([clean])
    text = summarize_motion_effects([clean, moved, fallen])
    assert "Motion is left in FCcorr_shen268_hpf, FCcorr_coco439_hpf" in text
    assert "--fd-threshold" in text
