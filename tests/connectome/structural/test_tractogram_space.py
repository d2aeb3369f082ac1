from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from scipy.ndimage import binary_dilation, binary_erosion

from kraken_bids.connectome.structural.nearest_labels import build_region_search
from kraken_bids.connectome.structural.tractogram_space import (
    FLIPS,
    SIDES,
    SpaceFit,
    check_space,
    measure_space_fit,
)
from kraken_bids.exceptions import InputError

FS86 = Path(__file__).resolve().parents[3].parent / "shared/atlases/fs86_allsubj_mode.nii.gz"
SHAPE = (45, 55, 45)
AFFINE = np.diag([4.0, 4.0, 4.0, 1.0])
AFFINE[:3, 3] = [-88, -108, -88]


def make_labels(*, lopsided=False):
    """Make a shell about the size of a brain; lopsided: its right half bulges."""
    index = np.stack(np.meshgrid(*map(np.arange, SHAPE), indexing="ij"), -1)
    x, y, z = np.moveaxis(index @ AFFINE[:3, :3].T + AFFINE[:3, 3], -1, 0)
    size = np.where(x > 0, 1.3, 1.0) if lopsided else 1.0
    radius = np.sqrt((x / 62) ** 2 + (y / 80) ** 2 + (z / 58) ** 2) / size
    shell = (radius > 0.82) & (radius < 1)
    return np.where(shell, 1 + (index.sum(axis=-1) // 9) % 20, 0)


def make_ends(labels, n=6000, noise=3.0, seed=0):
    rng = np.random.default_rng(seed)
    voxels = np.argwhere(labels > 0)
    ends = voxels[rng.integers(0, len(voxels), n)] @ AFFINE[:3, :3].T + AFFINE[:3, 3]
    return (ends + rng.normal(scale=noise, size=ends.shape)).astype(np.float32).reshape(-1, 2, 3)


def fit(ends, *, lopsided=False):
    search = build_region_search(make_labels(lopsided=lopsided), AFFINE, radius=4.0)
    return measure_space_fit(search, ends)


def test_matching_data_pass():
    """Ends at the labels pass, also with as many strays in the brain, or on one side only."""
    ends = make_ends(make_labels())
    found = fit(ends)
    assert check_space(found, "here") == ""
    assert found.given > 0.8
    assert found.inside_image > 0.99
    strays = np.random.default_rng(1).normal(scale=20, size=ends.shape)
    check_space(fit(np.concatenate([ends, strays])), "here")
    check_space(fit(ends[ends[:, :, 0].max(axis=1) < 0]), "here")


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_shift_of_20_mm_is_refused(axis):
    """The message names the files, the shares with and without shift, and its size."""
    ends = make_ends(make_labels())
    ends[..., axis] += 20
    with pytest.raises(InputError, match=r"a.tck and b.nii.gz.* after a shift of \d\d mm"):
        check_space(fit(ends), "a.tck and b.nii.gz")


def test_exchanged_sides_are_refused():
    """Ends mirrored left to right fit asymmetric labels better when mirrored back."""
    ends = make_ends(make_labels(lopsided=True))
    check_space(fit(ends, lopsided=True), "here")
    ends[..., 0] *= -1
    with pytest.raises(InputError, match="left and right exchanged"):
        check_space(fit(ends, lopsided=True), "here")


LOPSIDED = AFFINE.copy()
LOPSIDED[:3, 3] = [-70, -85, -75]  # the brain lies off the middle of the image


def make_pear():
    """Make ends at, and a search in, a shell that is wider on the right, in front and on top."""
    index = np.stack(np.meshgrid(*map(np.arange, SHAPE), indexing="ij"), -1)
    points = index @ LOPSIDED[:3, :3].T + LOPSIDED[:3, 3]
    size = np.prod(np.where(points > 0, 1.25, 1.0) ** 0.5, axis=-1)
    radius = np.linalg.norm(points / [50, 62, 45], axis=-1) / size
    labels = np.where((radius > 0.82) & (radius < 1), 1 + (index.sum(axis=-1) // 9) % 20, 0)
    voxels = np.argwhere(labels > 0)
    rng = np.random.default_rng(0)
    ends = voxels[rng.integers(0, len(voxels), 6000)] @ LOPSIDED[:3, :3].T + LOPSIDED[:3, 3]
    ends += rng.normal(scale=2, size=ends.shape)
    return build_region_search(labels, LOPSIDED, radius=4.0), ends


@pytest.mark.parametrize("about", ["origin", "middle of the image", "centre of the ends"])
@pytest.mark.parametrize("axes", FLIPS)
def test_tracks_flipped_in_any_axes_are_refused(axes, about):
    """One, two or three axes turned round, by another convention or by a header that was lost."""
    search, ends = make_pear()
    check_space(measure_space_fit(search, ends), "here")
    middle = LOPSIDED[:3, :3] @ (np.array(SHAPE) - 1) / 2 + LOPSIDED[:3, 3]
    pivot = {"origin": 0, "middle of the image": middle, "centre of the ends": ends.mean(axis=0)}
    signs = [-1 if axis in axes else 1 for axis in "xyz"]
    turned = (ends - pivot[about]) * signs + pivot[about]
    fit = measure_space_fit(search, turned)
    assert fit.flip == axes
    words = ", ".join(SIDES[axis] for axis in axes)
    with pytest.raises(InputError, match=rf"a\.tck.* with {words} exchanged"):
        check_space(fit, "a.tck and b.nii.gz")


def test_a_few_bundles_are_doubted_and_not_refused():
    """Ends in two places lie as well at other two; whoever measures so is told, not stopped."""
    search, ends = make_pear()
    right = ends[np.linalg.norm(ends - ends[0], axis=1) < 15]
    there = np.repeat(right, 20, axis=0) + np.random.default_rng(0).normal(
        scale=6, size=(20 * len(right), 3)
    )
    few = measure_space_fit(search, there)
    assert few.n_cells < 100
    doubted = replace(few, given=0.7, recentred=0.6, flip="yz", flipped=0.95, shift_mm=3.0)
    found = check_space(doubted, "a.tck and b.nii.gz")
    assert "a.tck and b.nii.gz: 70%" in found
    assert "95% with front and back, top and bottom exchanged" in found
    with pytest.raises(InputError, match="top and bottom exchanged"):
        check_space(replace(doubted, n_cells=500), "here")


def test_half_a_brain_and_strays_below_it_are_not_shifted():
    """A shift moves both sides; what moves only the centre of the ends is a doubt at most."""
    labels = make_labels()
    ends = make_ends(labels).reshape(-1, 3)
    strays = ends[ends[:, 2] < np.percentile(ends[:, 2], 5)] - np.array([0, 0, 25])
    below = np.concatenate([ends[:2000], np.repeat(strays, 8, axis=0)])
    found = fit(below)
    assert found.shift_mm > 8
    assert found.moved_mm < 3
    shifted = fit(ends[:2000] + np.array([0, 20, 0]))
    assert shifted.moved_mm > 15
    doubted = replace(shifted, moved_mm=found.moved_mm)
    assert "after a shift of" in check_space(doubted, "here")
    with pytest.raises(InputError, match="after a shift"):
        check_space(shifted, "here")


def test_a_small_gain_is_a_doubt():
    """Between 5 and 6 points more: said, also of ends all over the brain; below 5 nothing is."""
    fit = SpaceFit(0.7, 0.755, "z", 0.7, 2.0, 1.0, 900)
    assert "76% with top and bottom exchanged" in check_space(fit, "here")
    assert check_space(replace(fit, flipped=0.745), "here") == ""


def test_elsewhere_altogether_is_refused():
    """Ends far outside the image, or not finite, are near no region."""
    far = make_ends(make_labels()) + 500
    with pytest.raises(InputError, match=r"space; 0%.*0% lie inside the image"):
        check_space(fit(far), "here")
    with pytest.raises(InputError, match="only 0%"):
        check_space(fit(np.full((10, 2, 3), np.nan)), "here")


def test_large_tractograms_are_sampled():
    """The shares of every k-th end are close to those of all."""
    ends = make_ends(make_labels(), 60_000)
    found = fit(ends)
    assert found.given == pytest.approx(fit(ends[:10_000]).given, abs=0.02)


@pytest.mark.skipif(not FS86.exists(), reason="needs ../shared/atlases, which is not here")
def test_a_real_atlas_tells_shifted_ends():
    """Around fs86, ends at the cortex pass, one side alone too; moved by 20 mm they do not."""
    image = nib.load(FS86)
    labels, affine = np.asarray(image.dataobj), image.affine
    surface = np.argwhere(binary_dilation(labels > 0) & ~binary_erosion(labels > 0))
    rng = np.random.default_rng(0)
    ends = surface[rng.integers(0, len(surface), 4000)] @ affine[:3, :3].T + affine[:3, 3]
    ends[:800] = rng.normal(ends.mean(axis=0), [35, 45, 30], (800, 3))
    search = build_region_search(labels, affine, radius=4.0)
    check_space(measure_space_fit(search, ends), "here")
    check_space(measure_space_fit(search, ends[ends[:, 0] < 0]), "here")
    for axis in range(3):
        if axis:  # left and right of a group's atlas are too alike
            about_origin = ends * np.where(np.arange(3) == axis, -1, 1)
            with pytest.raises(InputError, match=f"{SIDES['xyz'[axis]]} exchanged"):
                check_space(measure_space_fit(search, about_origin), "here")
        for shift in (-20, 20):
            moved = ends + shift * np.eye(3)[axis]
            with pytest.raises(InputError, match="after a shift"):
                check_space(measure_space_fit(search, moved), "here")
