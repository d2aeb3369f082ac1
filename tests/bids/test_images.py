"""Label images are whole numbers in three axes, whatever they are stored as."""

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from kraken_bids.bids.read import read_image, read_labels
from kraken_bids.exceptions import InputError

LABELS = np.arange(24).reshape(2, 3, 4)
AFFINE = np.diag([-2.0, 2, 2, 1])


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.int32, np.float32, np.float64])
def test_labels_of_every_type(tmp_path: Path, dtype: type) -> None:
    """Floats are fine when they are whole; a fourth axis of length 1 is dropped."""
    path = tmp_path / "l.nii.gz"
    nib.save(nib.Nifti1Image(LABELS[..., None].astype(dtype), AFFINE), path)
    labels, affine = read_labels(path)
    assert labels.dtype == np.int32
    np.testing.assert_array_equal(labels, LABELS)
    np.testing.assert_array_equal(affine, AFFINE)


def test_mgz(tmp_path: Path) -> None:
    """FreeSurfer's own format is read."""
    nib.save(nib.MGHImage(LABELS.astype(np.int32), AFFINE), tmp_path / "aparc+aseg.mgz")
    np.testing.assert_array_equal(read_labels(tmp_path / "aparc+aseg.mgz")[0], LABELS)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (LABELS + 0.5, "interpolated"),
        (LABELS - 3.0, "interpolated"),
        (np.full((2, 2, 2), np.nan), "interpolated"),
        (np.zeros((2, 2, 2, 3)), "three axes"),
    ],
)
def test_no_labels(tmp_path: Path, values: np.ndarray, message: str) -> None:
    """Fractions, negatives, NaN and series are refused."""
    path = tmp_path / "l.nii"
    nib.save(nib.Nifti1Image(values.astype(np.float32), AFFINE), path)
    with pytest.raises(InputError, match=message):
        read_labels(path)


def test_damage(tmp_path: Path) -> None:
    """Missing, cut or foreign files name their path."""
    path = tmp_path / "l.nii.gz"
    values = np.random.default_rng(0).integers(0, 1000, (20, 20, 20)).astype(np.int16)
    nib.save(nib.Nifti1Image(values, AFFINE), path)
    whole = path.read_bytes()
    for content in (whole[: len(whole) // 2], b"text", b""):
        path.write_bytes(content)
        with pytest.raises(InputError, match=r"l\.nii\.gz"):
            read_image(path)
    with pytest.raises(InputError, match=r"no\.nii"):
        read_image(tmp_path / "no.nii")
