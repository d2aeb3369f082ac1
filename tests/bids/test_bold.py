"""BOLD volumes are what nibabel reads, whatever their type, order and scaling."""

import gzip
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from kraken_bids.bids.read import open_bold
from kraken_bids.exceptions import InputError

SHAPE = (5, 4, 3, 6)
AFFINE = np.array([[-2.0, 0, 0, 10], [0, 2, 0.1, -5], [0, 0, 3, 1], [0, 0, 0, 1]])
TYPES = ["u1", "i1", "<i2", ">i2", "<u2", "<i4", ">i4", "<f4", ">f4", "<f8", ">f8"]


def save(path: Path, dtype: str = "<f4", *, scaled: bool = False, tr: float = 2.0) -> np.ndarray:
    """Write a random series; returns what it means."""
    values = np.random.default_rng(1).integers(0, 100, SHAPE)
    header = nib.Nifti1Header(endianness=">" if dtype[0] == ">" else "<")
    header.set_data_dtype(dtype)
    image = nib.Nifti1Image(values.astype(np.dtype(dtype)), AFFINE, header)
    image.header.set_xyzt_units("mm", "sec")
    image.header["pixdim"][4] = tr
    if scaled:
        image.header.set_slope_inter(0.25, -3)
    nib.save(image, path)
    return nib.load(path).get_fdata()


@pytest.mark.parametrize("scaled", [False, True])
@pytest.mark.parametrize("extension", [".nii", ".nii.gz"])
@pytest.mark.parametrize("dtype", TYPES)
def test_same_as_nibabel(tmp_path: Path, dtype: str, extension: str, scaled: bool) -> None:
    """Every type, byte order, scaling and compression gives nibabel's values, bit by bit."""
    path = tmp_path / f"b{extension}"
    expected = save(path, dtype, scaled=scaled)
    bold = open_bold(path, tr=None)
    volumes = [volume.copy() for volume in bold.volumes()]
    assert bold.shape == SHAPE
    assert (bold.slope, bold.inter) == ((0.25, -3.0) if scaled else (1.0, 0.0))
    np.testing.assert_array_equal(bold.affine, nib.load(path).affine)
    for volume, wanted in zip(volumes, np.moveaxis(expected, 3, 0), strict=True):
        assert volume.dtype.isnative
        assert volume.dtype.kind == np.dtype(dtype).kind
        scaled_volume = volume.astype(np.float64) * bold.slope + bold.inter
        np.testing.assert_array_equal(scaled_volume, wanted.ravel(order="F"))


def test_first_volume_starts_behind_the_header_extensions(tmp_path: Path) -> None:
    """The offset is that of the file, also where an extension makes the header longer."""
    path = tmp_path / "b.nii.gz"
    image = nib.Nifti1Image(np.random.default_rng(0).random(SHAPE), AFFINE)
    image.header.extensions.append(nib.nifti1.Nifti1Extension("comment", b"x" * 100))
    image.header["pixdim"][4] = 1
    nib.save(image, path)
    bold = open_bold(path, tr=None)
    assert bold.offset > 352
    first = next(bold.volumes())
    np.testing.assert_array_equal(first, image.get_fdata()[..., 0].ravel(order="F"))


@pytest.mark.parametrize("extension", [".nii", ".nii.gz"])
def test_truncated(tmp_path: Path, extension: str) -> None:
    """A cut file says how many volumes of how many were there."""
    path = tmp_path / f"b{extension}"
    save(path, "<f8")
    volume = 5 * 4 * 3 * 8
    plain = gzip.decompress(path.read_bytes()) if extension == ".nii.gz" else path.read_bytes()
    cut = plain[: 352 + 4 * volume + 100]
    # A stream cut by a crash: its compressed bytes simply stop.
    path.write_bytes(cut if extension == ".nii" else gzip.compress(plain, 0)[: len(cut) + 15])
    bold = open_bold(path, tr=2.0)
    with pytest.raises(InputError, match=r"expected 6 volumes .*found 4 whole ones"):
        list(bold.volumes())


def test_missing_end_and_damaged_checksum(tmp_path: Path) -> None:
    """A compressed file without its last bytes, or with wrong ones, is not taken for whole."""
    path = tmp_path / "b.nii.gz"
    save(path)
    whole = path.read_bytes()
    for content in (whole[:-4], whole[:-8] + b"\1\2\3\4" + whole[-4:]):
        path.write_bytes(content)
        with pytest.raises(InputError, match="cut or damaged"):
            list(open_bold(path, tr=2.0).volumes())


def test_repetition_time(tmp_path: Path) -> None:
    """The argument, else the sidecar, else the header in its own unit."""
    path = tmp_path / "b.nii.gz"
    save(path, tr=1.5)
    assert open_bold(path, tr=0.8).tr == 0.8
    assert open_bold(path, tr=None).tr == 1.5
    (tmp_path / "b.json").write_text('{"RepetitionTime": 0.72}')
    assert open_bold(path, tr=None).tr == 0.72
    (tmp_path / "b.json").write_text("{}")
    image = nib.load(path)
    image.header.set_xyzt_units("mm", "msec")
    image.header["pixdim"][4] = 2500
    nib.save(nib.Nifti1Image(image.get_fdata(), AFFINE, image.header), path)
    assert open_bold(path, tr=None).tr == 2.5


def test_no_repetition_time(tmp_path: Path) -> None:
    """Zero is no repetition time; the message names the sidecar."""
    path = tmp_path / "b.nii.gz"
    save(path, tr=0.0)
    with pytest.raises(InputError, match=r"b\.json"):
        open_bold(path, tr=None)


def test_no_series(tmp_path: Path) -> None:
    """A single volume, a missing file and a foreign file are refused with their path."""
    path = tmp_path / "b.nii.gz"
    nib.save(nib.Nifti1Image(np.zeros((2, 2, 2), np.float32), AFFINE), path)
    with pytest.raises(InputError, match="four axes"):
        open_bold(path, tr=2.0)
    for content in (b"no image", gzip.compress(b"no image"), b""):
        path.write_bytes(content)
        with pytest.raises(InputError, match=r"b\.nii\.gz"):
            open_bold(path, tr=2.0)
    with pytest.raises(InputError, match=r"no\.nii"):
        open_bold(tmp_path / "no.nii", tr=2.0)
