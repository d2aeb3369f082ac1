import numpy as np
import pytest
from matplotlib.colors import to_rgb

from kraken_bids.report.carpet import LEFT_OUT, MISSING, Carpet, colour_carpet
from kraken_bids.report.regions import layout_regions
from kraken_bids.report.sections.motion import Motion, draw_motion, find_stretches
from kraken_bids.report.theme import read_png_size

LAYOUT = layout_regions(("b", "a", "b"), ("R", "L", "L"))


def test_stretches_cover_the_volumes_left_out():
    """Stretches of True become (start, length), at both ends too."""
    mask = np.array([True, True, False, True, False, True])
    assert find_stretches(mask, 0.5) == [(0.0, 1.0), (1.5, 0.5), (2.5, 0.5)]
    assert find_stretches(np.zeros(3, dtype=bool), 1.0) == []


@pytest.mark.parametrize(
    "displacement", [np.full(5, np.nan), np.zeros(1), np.array([np.nan, 9.0, 0.1])]
)
def test_motion_without_numbers_is_drawn(displacement):
    """Runs without displacement, of one volume or with a single jump are no error."""
    n = len(displacement)
    kept = np.ones(n, dtype=bool)
    bare = draw_motion(Motion("run", displacement, kept, 2.0))
    nothing = np.full((n, 3), np.nan)
    carpet = Carpet("mine", nothing, nothing, ("b", "a", "b"), ("R", "L", "L"))
    full = draw_motion(
        Motion("run", displacement, ~kept, 2.0, 0.5, displacement, displacement, carpet)
    )
    assert read_png_size(bare) > (0, 0)
    assert read_png_size(full)[1] > read_png_size(bare)[1] + 400


def test_rows_are_regions_in_display_order_scaled_by_frames_that_count():
    """A region high in one frame is white there; frames left out do not scale the others."""
    rng = np.random.default_rng(0)
    series = rng.normal(size=(40, 3))
    series[7, 0] = 50.0
    kept = np.arange(40) != 7
    series[9, 1] = series[kept, 1].mean() + 4 * series[kept, 1].std()
    rgb = colour_carpet(series, LAYOUT, kept=kept, is_clean=False)
    assert rgb.shape == (3, 40, 3)
    order = LAYOUT.order.tolist()
    assert (rgb[order.index(1), 9] == 255).all()
    z = (series[:, 0] - series[kept, 0].mean()) / series[kept, 0].std()
    grey = rgb[order.index(0), :, 0].astype(float)
    inside = np.abs(z) < 2
    np.testing.assert_allclose(grey[inside], 255 * (z[inside] + 2) / 4, atol=9)


def test_frames_left_out_are_blank_after_cleaning_and_missing_regions_grey():
    """What is guessed or absent does not look like data."""
    series = np.random.default_rng(1).normal(size=(20, 3))
    series[:, 2] = np.nan
    kept = np.arange(20) > 3
    rgb = colour_carpet(series, LAYOUT, kept=kept, is_clean=True)
    blank = np.round(255 * np.array(to_rgb(LEFT_OUT)))
    assert (rgb[:, :4] == blank).all()
    assert not (rgb[:, 4:] == blank).all(axis=2).any()
    row = LAYOUT.order.tolist().index(2)
    assert (rgb[row, 4:] == np.round(255 * np.array(to_rgb(MISSING)))).all()


def test_many_regions_are_averaged_into_rows_that_can_be_seen():
    """Seven hundred regions become rows of three neighbours each."""
    series = np.random.default_rng(2).normal(size=(30, 700))
    layout = layout_regions(["x"] * 700, ["M"] * 700)
    rgb = colour_carpet(series, layout, kept=np.ones(30, bool), is_clean=False)
    assert rgb.shape == (234, 30, 3)
    z = (series - series.mean(axis=0)) / series.std(axis=0)
    expected = 255 * (np.clip(z[:, :3].mean(axis=1), -2, 2) + 2) / 4
    np.testing.assert_allclose(rgb[0, :, 0], expected, atol=9)
