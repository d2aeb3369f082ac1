"""The synthetic brain."""

import numpy as np
import pytest

from kraken_bids.connectome.labels.region_places import fit_places, load_centres, measure_centres
from kraken_bids.demo.template_brain import (
    COARSE_MM,
    GREY,
    N_CELLS,
    PARCELLATIONS,
    coarse_shape,
    grid_affine,
    grid_points,
    load_brain,
    look_up,
    split_evenly,
)
from kraken_bids.parcellations import load_parcellation


@pytest.mark.parametrize("name", PARCELLATIONS)
def test_every_region_exists_and_has_its_share(name: str) -> None:
    """Each region has at least four voxels of the BOLD grid and half to twice the mean volume."""
    brain, n_regions = load_brain(), load_parcellation(name).n_regions
    size = np.bincount(brain.regions[name].ravel(), minlength=n_regions + 1)[1:]
    assert len(size) == n_regions
    assert size.min() > size.mean() / 2
    assert size.max() < size.mean() * 2
    coarse = look_up(
        brain.regions[name], grid_points(grid_affine(COARSE_MM, coarse_shape()), coarse_shape())
    )
    assert np.bincount(coarse.ravel(), minlength=n_regions + 1)[1:].min() >= 4


@pytest.mark.parametrize("name", PARCELLATIONS)
def test_regions_lie_on_their_side(name: str) -> None:
    """Left regions have x < 0, right ones x >= 0, midline ones lie within 10 mm of the plane."""
    brain, table = load_brain(), load_parcellation(name)
    x = grid_points(brain.affine, brain.cells.shape)[..., 0]
    for region, side in enumerate(table.hemispheres, start=1):
        here = x[brain.regions[name] == region]
        assert {"L": here.max() < 0, "R": here.min() >= 0, "M": np.abs(here).max() < 10}[side]


@pytest.mark.parametrize("name", PARCELLATIONS)
def test_regions_lie_about_where_they_do_in_people(name: str) -> None:
    """An affine map explains most of where the regions lie in the published label images."""
    brain = load_brain()
    centres = measure_centres(brain.regions[name], brain.affine)
    known = load_centres(name)
    fit = fit_places(centres.of(np.arange(1, len(known) + 1)), known)
    assert fit.n_regions == len(known)
    assert fit.explained > 0.85
    assert not fit.is_mirrored


def test_cells_and_regions_fill_grey_matter() -> None:
    """Grey voxels, and only they, have a cell and a region; overlaps count each of them once."""
    brain = load_brain()
    grey = brain.tissue == GREY
    assert np.array_equal(brain.cells > 0, grey)
    assert len(np.unique(brain.cells)) == N_CELLS + 1
    for name in PARCELLATIONS:
        assert np.array_equal(brain.regions[name] > 0, grey)
        assert brain.overlap[name].sum() == grey.sum()


def test_cells_mirror_each_other() -> None:
    """The second half of the cells are the mirror images of the first."""
    centres = load_brain().cell_centres
    half = N_CELLS // 2
    assert np.abs(centres[:half] * [-1, 1, 1] - centres[half:]).max() < 2.5


def test_split_is_even() -> None:
    """Parts of a bisection differ by few points, whatever their number."""
    points = np.random.default_rng(0).standard_normal((1000, 3))
    size = np.bincount(split_evenly(points, 37))
    assert len(size) == 37
    assert size.max() - size.min() <= 6
