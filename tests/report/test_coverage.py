import numpy as np
import pytest
from matplotlib.colors import to_rgb

from kraken_bids.connectome.labels.slices import BrainSlice
from kraken_bids.report import theme
from kraken_bids.report.sections.coverage import (
    FINER,
    Coverage,
    colour_slice,
    draw_brain,
    draw_coverage,
)
from kraken_bids.report.theme import read_png_size


def test_coverage_with_missing_values_is_drawn():
    """NaN counts as no coverage."""
    entry = Coverage("T1w", "fs86", np.array([np.nan, 0.0, 1.0]), ("a", "b", "c"), 0.5)
    assert read_png_size(draw_coverage([entry, entry])) > (0, 0)


PICTURE = BrainSlice("z = 4", np.array([[0, 1, 1], [0, 2, 3]], np.int32), 3.0, 2.0)


@pytest.mark.parametrize("tsnr", [None, np.array([50.0, np.nan, 20.0]), np.full(3, np.nan)])
@pytest.mark.parametrize("share", [[1.0, 0.2, np.nan], [0.0, 0.0, 0.0]])
def test_brains_with_missing_values_are_drawn(tsnr, share):
    """Regions without a value, or none with one, are no error."""
    names = ("a", "b", "c")
    entry = Coverage("T1w", "fs86", np.array(share), names, 0.5, tsnr, (PICTURE, PICTURE))
    assert read_png_size(draw_brain(entry)) > (0, 0)


def test_every_voxel_has_the_colour_of_its_region():
    """Middles of voxels are painted as their region is; the background stays white."""
    paint = np.array([[1, 1, 1], [0, 0.2, 0.4], to_rgb(theme.WARM), [0.6, 0, 0]])
    rgb = colour_slice(PICTURE, paint)
    middles = rgb[FINER // 2 :: FINER, FINER // 2 :: FINER]
    expected = np.round(255 * paint[PICTURE.labels]).astype(np.uint8)
    np.testing.assert_array_equal(middles, expected)


def test_median_tsnr_is_that_of_known_regions():
    """NaN does not count; without numbers there is none."""
    entry = Coverage("T1w", "fs86", np.ones(3), ("a", "b", "c"), 0.5, np.array([1, np.nan, 3.0]))
    assert entry.median_tsnr == 2.0
    assert Coverage("T1w", "fs86", np.ones(3), ("a", "b", "c"), 0.5).median_tsnr is None
