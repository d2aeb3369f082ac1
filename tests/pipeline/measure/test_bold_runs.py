"""Region means of a BOLD file are those of nilearn's masker; what cannot be is refused."""

import pickle
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from nilearn.maskers import NiftiLabelsMasker

from kraken_bids.bids.bold_origins import FMRIPREP
from kraken_bids.bids.bold_series import Bold, open_bold
from kraken_bids.bids.custom_atlases import read_region_table
from kraken_bids.bids.label_images import LabelImage
from kraken_bids.exceptions import InputError
from kraken_bids.parcellations import Parcellation
from kraken_bids.pipeline.measure.bold_grids import mask_on_grid
from kraken_bids.pipeline.measure.bold_runs import (
    clean_series,
    read_confounds,
    read_region_series,
)
from kraken_bids.pipeline.measure.label_grids import GridRegions, regions_on_grid
from kraken_bids.settings import FunctionalSettings

SHAPE = (9, 8, 7)
AFFINE = np.array([[-2.0, 0, 0, 10], [0, 2, 0.1, -5], [0, 0, 3, 1], [0, 0, 0, 1]])
N_VOLUMES, N_REGIONS = 20, 12
LABELS = np.random.default_rng(2).integers(0, 4, SHAPE).astype(np.int16)


def on_grid(labels: np.ndarray) -> GridRegions:
    """Regions that lie on the grid as a whole."""
    return GridRegions(labels, np.bincount(labels.ravel())[1:])


def make_parcellation(folder: Path) -> Parcellation:
    """Three regions that lie anywhere."""
    table = folder / "names.tsv"
    table.write_text("index\tname\n1\ta\n2\tb\n3\tc\n")
    return read_region_table("mine", table)


@pytest.mark.parametrize("scaled", [False, True])
@pytest.mark.parametrize("extension", [".nii", ".nii.gz"])
@pytest.mark.parametrize("dtype", ["<i2", ">i2", "<f4", ">f4", "<f8", ">f8", "u1", "<i4"])
def test_means_are_those_of_nilearns_masker(
    tmp_path: Path, dtype: str, extension: str, scaled: bool
) -> None:
    """Every type, byte order, scaling and compression: within 1e-6 of the signal."""
    rng = np.random.default_rng(6)
    labels = rng.integers(0, N_REGIONS + 1, SHAPE).astype(np.int32)
    stored = rng.normal(120, 20, (*SHAPE, N_VOLUMES)).clip(1, 250).astype(dtype)
    header = nib.Nifti1Header(endianness=dtype[0] if dtype[0] in "<>" else "<")
    header.set_data_dtype(np.dtype(dtype))
    image = nib.Nifti1Image(stored, AFFINE, header)
    image.header["pixdim"][4] = 2
    if scaled:
        image.header.set_slope_inter(3.7, -40)
    nib.save(image, tmp_path / f"bold{extension}")
    nib.save(nib.Nifti1Image(labels, AFFINE), tmp_path / "labels.nii")
    masker = NiftiLabelsMasker(str(tmp_path / "labels.nii"), standardize=None)
    wanted = masker.fit_transform(str(tmp_path / f"bold{extension}"))

    series = read_region_series(
        open_bold(tmp_path / f"bold{extension}", tr=None),
        {"mine": on_grid(labels)},
        brain_mask=None,
        tissues={},
    )

    np.testing.assert_allclose(series.means["mine"], wanted, rtol=1e-6)


@pytest.fixture
def bold(tmp_path: Path) -> Bold:
    """Write a run that varies, with three values that are no numbers."""
    values = np.random.default_rng(0).normal(1000, 10, (*SHAPE, N_VOLUMES)).astype(np.float32)
    values[4, 4, 4, :3] = np.nan
    nib.save(nib.Nifti1Image(values, AFFINE), tmp_path / "run_bold.nii.gz")
    return open_bold(tmp_path / "run_bold.nii.gz", tr=2.0)


def save_mask(path: Path, values: np.ndarray, affine: np.ndarray = AFFINE) -> Path:
    nib.save(nib.Nifti1Image(values, affine), path)
    return path


def test_values_that_are_no_numbers_are_said(bold: Bold, caplog: pytest.LogCaptureFixture) -> None:
    """They count as zero, are counted, and the log names the file."""
    labels = np.ones(SHAPE, np.int32)
    series = read_region_series(bold, {"a": on_grid(labels)}, brain_mask=None, tissues={})
    assert series.n_not_finite == 3
    assert f"{bold.path}: 3 values are NaN or infinite" in caplog.text


def test_masks_of_any_grid(bold: Bold, tmp_path: Path) -> None:
    """A fourth axis of one is dropped, another grid goes by nearest voxel, NaN is outside."""
    inside = np.random.default_rng(1).random(SHAPE) > 0.4
    holes = np.where(inside, 1.0, np.nan).astype(np.float32)
    shifted = AFFINE @ np.array([[1, 0, 0, -2], [0, 1, 0, -2], [0, 0, 1, -2], [0, 0, 0, 1.0]])
    padded = np.pad(inside, 2).astype(np.uint8)
    for values, affine in ((holes[..., None], AFFINE), (padded, shifted)):
        moved = mask_on_grid(save_mask(tmp_path / "m.nii.gz", values, affine), bold)
        np.testing.assert_array_equal(moved, inside)


@pytest.mark.parametrize("shape", [(*SHAPE, 2), SHAPE[:2]])
def test_what_is_no_mask_is_refused(bold: Bold, tmp_path: Path, shape: tuple[int, ...]) -> None:
    """A series, or a slice, in place of a mask is named with its shape."""
    path = save_mask(tmp_path / "m.nii.gz", np.ones(shape, np.uint8))
    with pytest.raises(InputError, match=r"three axes in .*m\.nii\.gz; found shape"):
        mask_on_grid(path, bold)


def test_a_mask_elsewhere_is_refused(
    bold: Bold, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A brain mask without a voxel on the run's grid is named, and the run refused."""
    far = AFFINE.copy()
    far[:3, 3] += 500
    path = save_mask(tmp_path / "m.nii.gz", np.ones(SHAPE, np.uint8), far)
    mask = mask_on_grid(path, bold)
    assert f"{path}: no voxel above one half on the grid of {bold.path}" in caplog.text
    labels = {"a": on_grid(np.ones(SHAPE, np.int32))}
    with pytest.raises(InputError, match=r"brain mask .*run_bold\.nii\.gz.*same space"):
        read_region_series(bold, labels, brain_mask=mask, tissues={})


def save_without_place(path: Path, values: np.ndarray) -> Path:
    """Write an image with neither sform nor qform."""
    nib.save(nib.Nifti1Image(values, None), path)
    return path


def test_masks_and_labels_without_a_place_are_refused(bold: Bold, tmp_path: Path) -> None:
    """A run that has a place needs images that have one, even on a grid of its shape."""
    mask = save_without_place(tmp_path / "m.nii.gz", np.ones(SHAPE, np.uint8))
    with pytest.raises(InputError, match=r"m\.nii\.gz that says where the image lies"):
        mask_on_grid(mask, bold)
    regions = make_parcellation(tmp_path)
    image = LabelImage("mine", save_without_place(tmp_path / "l.nii", LABELS), "")
    with pytest.raises(InputError, match=r"l\.nii that says where the image lies"):
        regions_on_grid(image, regions, bold)


def test_a_run_without_a_place_takes_masks_and_labels_of_its_own_grid(tmp_path: Path) -> None:
    """Nobody knows where any of the three lies, but they are guessed alike, voxel by voxel."""
    values = np.random.default_rng(0).normal(1000, 10, (*SHAPE, 3)).astype(np.float32)
    bold = open_bold(save_without_place(tmp_path / "b.nii.gz", values), tr=2.0)
    inside = np.random.default_rng(1).random(SHAPE) > 0.4
    mask = save_without_place(tmp_path / "m.nii.gz", inside.astype(np.uint8))
    np.testing.assert_array_equal(mask_on_grid(mask, bold), inside)
    image = LabelImage("mine", save_without_place(tmp_path / "l.nii", LABELS), "")
    regions = regions_on_grid(image, make_parcellation(tmp_path), bold)
    np.testing.assert_array_equal(regions.labels, LABELS)


@pytest.mark.parametrize(("high_pass", "is_said"), [(0.01, False), (0.05, True)])
def test_a_high_pass_that_is_not_used(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, high_pass: float, is_said: bool
) -> None:
    """With acompcor fMRIPrep's cosines filter: another --high-pass is said to be unused."""
    rng = np.random.default_rng(0)
    names = [f"{kind}_{axis}" for kind in ("trans", "rot") for axis in "xyz"]
    names += [f"{tissue}_comp_cor_00" for tissue in "wc"] + ["cosine00", "global_signal"]
    rows = rng.normal(size=(80, len(names)))
    table = tmp_path / "confounds.tsv"
    np.savetxt(table, rows, header="\t".join(names), comments="", delimiter="\t")
    image = nib.Nifti1Image(rng.normal(100, 1, (2, 2, 2, 80)).astype(np.float32), AFFINE)
    nib.save(image, tmp_path / "b.nii")
    series = read_region_series(
        open_bold(tmp_path / "b.nii", tr=2.0),
        {"a": on_grid(np.arange(8, dtype=np.int32).reshape(2, 2, 2))},
        brain_mask=None,
        tissues={},
    )
    settings = FunctionalSettings(denoise="acompcor", high_pass=high_pass)
    confounds = read_confounds(table, None, n_volumes=80)
    plain, _, _ = clean_series(series, confounds, settings, tr=2.0, with_gsr=False)
    assert plain.high_pass == 1 / 128
    assert ("--high-pass 0.05 is not used" in caplog.text) == is_said


def test_confounds_are_known_in_another_process(tmp_path: Path) -> None:
    """Where a run comes from is told by what it says: participants are computed in processes."""
    table = tmp_path / "sub-01_task-rest_desc-confounds_timeseries.tsv"
    table.write_text("trans_x\tglobal_signal\n0.5\t1\n0.25\t2\n0\t3\n")
    carried = pickle.loads(pickle.dumps(FMRIPREP))
    found = read_confounds(table, None, n_volumes=3, origin=carried)
    np.testing.assert_array_equal(found.columns["global_signal"], [1, 2, 3])
