"""BOLD volumes are what nibabel reads, whatever their type, order and scaling."""

import gzip
import struct
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from kraken_bids.bids.bold_series import open_bold
from kraken_bids.exceptions import InputError

SHAPE = (5, 4, 3, 6)
AFFINE = np.array([[-2.0, 0, 0, 10], [0, 2, 0.1, -5], [0, 0, 3, 1], [0, 0, 0, 1]])
TYPES = ["u1", "i1", "<i2", ">i2", "<u2", "<i4", ">i4", "<f4", ">f4", "<f8", ">f8"]


def save(
    path: Path,
    dtype: str = "<f4",
    *,
    scaled: bool = False,
    tr: float = 2.0,
    shape: tuple[int, ...] = SHAPE,
) -> np.ndarray:
    """Write a random series; returns what it means."""
    values = np.random.default_rng(1).integers(0, 100, shape)
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
    nib.save(image, path)
    bold = open_bold(path, tr=2.0)
    assert bold.offset > 352
    first = next(bold.volumes())
    np.testing.assert_array_equal(first, image.get_fdata()[..., 0].ravel(order="F"))


@pytest.mark.parametrize("extension", [".nii", ".nii.gz"])
def test_truncated(tmp_path: Path, extension: str) -> None:
    """A cut file says how many volumes of how many were there; a packed one, at least how many."""
    path = tmp_path / f"b{extension}"
    save(path, "<f8", shape=(50, 40, 3, 6))
    volume = 50 * 40 * 3 * 8
    plain = gzip.decompress(path.read_bytes()) if extension == ".nii.gz" else path.read_bytes()
    cut = plain[: 352 + 4 * volume + 20_000]
    # A stream cut by a crash: its compressed bytes simply stop.
    path.write_bytes(cut if extension == ".nii" else gzip.compress(plain, 0)[: len(cut) + 15])
    bold = open_bold(path, tr=2.0)
    # how much was unpacked ahead, and is lost, depends on the version of Python
    found = "4" if extension == ".nii" else "at least [1-4]"
    with pytest.raises(InputError, match=rf"expected 6 volumes .*found {found} whole ones"):
        list(bold.volumes())


def test_missing_end_and_damaged_checksum(tmp_path: Path) -> None:
    """A compressed file without its last bytes, or with wrong ones, is not taken for whole."""
    path = tmp_path / "b.nii.gz"
    save(path, shape=(50, 40, 3, 6))
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


DAMAGE = {
    "begins in its header": (108, struct.pack("<f", 0), "vox_offset 0"),
    "begins nowhere": (108, struct.pack("<f", np.nan), "header"),
    "is of no type": (70, struct.pack("<h", 99), "header"),
    "has a negative axis": (42, struct.pack("<h", -5), "axes of .-5, 4, 3, 6. voxels"),
    "has nine axes": (40, struct.pack("<h", 9), "header"),
    "is flat in space": (280, struct.pack("<4f", 0, 0, 0, 0), "affine"),
    "is nowhere in space": (280, struct.pack("<f", np.nan), "affine"),
    "begins in its last word": (108, struct.pack("<f", 349), "header"),
}


@pytest.mark.parametrize("what", DAMAGE)
def test_damaged_headers(tmp_path: Path, what: str) -> None:
    """A header that cannot be is refused with the path, rather than read as something else."""
    first, value, said = DAMAGE[what]
    path = tmp_path / "b.nii"
    save(path)
    content = path.read_bytes()
    path.write_bytes(content[:first] + value + content[first + len(value) :])
    with pytest.raises(InputError, match=rf"b\.nii.*{said}|{said}.*b\.nii"):
        open_bold(path, tr=2.0)


def test_values_far_behind_the_end(tmp_path: Path) -> None:
    """An offset larger than file and memory is none."""
    path = tmp_path / "b.nii"
    save(path)
    content = path.read_bytes()
    path.write_bytes(content[:108] + struct.pack("<f", 1e12) + content[112:])
    with pytest.raises(InputError, match=r"b\.nii.*values that begin at byte 999,"):
        open_bold(path, tr=2.0)


def test_a_fifth_axis_of_one(tmp_path: Path) -> None:
    """Axes of length 1 behind time are dropped, longer ones refused."""
    path = tmp_path / "b.nii"
    values = np.random.default_rng(0).random((*SHAPE, 1)).astype(np.float32)
    nib.save(nib.Nifti1Image(values, AFFINE), path)
    bold = open_bold(path, tr=2.0)
    assert bold.shape == SHAPE
    last = [volume.copy() for volume in bold.volumes()][-1]
    np.testing.assert_array_equal(last, values[..., 5, 0].ravel(order="F"))
    nib.save(nib.Nifti1Image(np.repeat(values, 3, axis=4), AFFINE), path)
    with pytest.raises(InputError, match="four axes"):
        open_bold(path, tr=2.0)


def test_repetition_times_that_are_no_seconds(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Milliseconds and words are refused as such; a header without a unit is taken, and said."""
    path = tmp_path / "b.nii"
    save(path, tr=2000.0)
    with pytest.raises(InputError, match=r"found 2000\.0.* milliseconds"):
        open_bold(path, tr=None)
    for found in ("2000", "true", '"2.0"'):
        (tmp_path / "b.json").write_text(f'{{"RepetitionTime": {found}}}')
        with pytest.raises(InputError, match=r"expected the repetition time of b\.nii in sec"):
            open_bold(path, tr=None)
    (tmp_path / "b.json").unlink()
    save(path, tr=0.8)
    content = path.read_bytes()
    path.write_bytes(content[:123] + b"\0" + content[124:])
    assert open_bold(path, tr=None).tr == pytest.approx(0.8)
    assert "without a unit, is taken as seconds" in caplog.text


def test_content_that_was_not_fetched(tmp_path: Path) -> None:
    """Links of git-annex to nowhere, and the notes in place of files, say to get the content."""
    link = tmp_path / "link.nii.gz"
    link.symlink_to("../.git/annex/objects/XX/YY/MD5E-s1--abc.nii.gz")
    with pytest.raises(InputError, match=r"link to \.\./\.git/annex.*datalad get link\.nii\.gz"):
        open_bold(link, tr=2.0)
    for note in (
        b"/annex/objects/MD5E-s12--abc.nii.gz\n",
        b"version https://git-lfs.github.com\n",
    ):
        path = tmp_path / "b.nii.gz"
        path.write_bytes(note)
        with pytest.raises(InputError, match="a note in place of the content: get the content"):
            open_bold(path, tr=2.0)


def test_two_places_of_a_series_are_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Where sform and qform differ, the sform is taken, and ITK may have taken the other."""
    path = tmp_path / "b.nii.gz"
    image = nib.Nifti1Image(np.ones(SHAPE, "f4"), np.diag([2.0, 2, 2, 1]))
    image.header.set_xyzt_units("mm", "sec")
    image.header["pixdim"][4] = 2
    moved = np.diag([2.0, 2, 2, 1])
    moved[0, 3] = 7
    for qform, n_said in ((np.diag([2.0, 2, 2, 1]), 0), (moved, 1)):
        image.set_sform(image.affine, 4)
        image.set_qform(qform, 1)
        nib.save(image, path)
        np.testing.assert_array_equal(open_bold(path, tr=2.0).affine, image.affine)
        assert len(caplog.messages) == n_said
    assert "7 mm apart. The sform is taken" in caplog.text
    assert open_bold(path, tr=2.0).is_placed


def test_a_series_without_a_place_is_read_and_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Neither sform nor qform: the warning names it, and the run knows it."""
    image = nib.Nifti1Image(np.ones(SHAPE, "f4"), None)
    image.header.set_xyzt_units("mm", "sec")
    nib.save(image, tmp_path / "b.nii.gz")
    assert not open_bold(tmp_path / "b.nii.gz", tr=2.0).is_placed
    assert "b.nii.gz: its header has neither qform nor sform" in caplog.text
