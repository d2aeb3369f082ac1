"""Region means of a BOLD file are those of nilearn's masker, whatever the file looks like."""

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from nilearn.maskers import NiftiLabelsMasker

from kraken_bids.bids.read import open_bold
from kraken_bids.pipeline.bold_runs import read_region_series

SHAPE = (9, 8, 7)
AFFINE = np.array([[-2.0, 0, 0, 10], [0, 2, 0.1, -5], [0, 0, 3, 1], [0, 0, 0, 1]])
N_VOLUMES, N_REGIONS = 20, 12


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
        {"mine": labels},
        n_regions={"mine": N_REGIONS},
        brain_mask=None,
        tissues={},
    )

    np.testing.assert_allclose(series.means["mine"], wanted, rtol=1e-6)
