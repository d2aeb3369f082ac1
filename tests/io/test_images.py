"""Label images are whole numbers in three axes, whatever they are stored as."""

import gzip
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from kraken_bids.exceptions import InputError
from kraken_bids.io.images import read_image, read_labels

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


def test_labels_under_a_slope_are_rounded(tmp_path: Path) -> None:
    """Nibabel stores get_fdata() of labels under a slope: label 1 is read as 0.99977."""
    labels = np.arange(27).reshape(3, 3, 3) * 76
    for stored in (np.uint8, np.int16, np.int32):
        last = 200 if stored == np.uint8 else labels.max()
        original = np.minimum(labels, last).astype(stored)
        nib.save(nib.Nifti1Image(original, AFFINE), tmp_path / "whole.nii.gz")
        image = nib.load(tmp_path / "whole.nii.gz")
        edited = nib.Nifti1Image(image.get_fdata(), image.affine, image.header)
        nib.save(edited, tmp_path / "edited.nii.gz")
        read_back = nib.load(tmp_path / "edited.nii.gz")
        assert read_back.dataobj.slope != 1
        np.testing.assert_array_equal(read_labels(tmp_path / "edited.nii.gz")[0], original)


def test_fractions_under_a_slope_stay_fractions(tmp_path: Path) -> None:
    """An interpolated image stored in bytes is refused, and so is one whose steps are coarse."""
    values = np.linspace(0, 86, 60).reshape(3, 4, 5)
    for top in (1, 3):  # steps of a third, and of one
        image = nib.Nifti1Image(values * top, AFFINE)
        image.set_data_dtype(np.uint8)
        nib.save(image, tmp_path / "l.nii.gz")
        assert 0.3 * top < nib.load(tmp_path / "l.nii.gz").dataobj.slope < 0.4 * top
        with pytest.raises(InputError, match="interpolated"):
            read_labels(tmp_path / "l.nii.gz")


def without_forms(path: Path, values: np.ndarray) -> Path:
    """Write an image whose header does not say where it lies."""
    image = nib.Nifti1Image(values, None)
    image.header.set_zooms((2, 2, 2))
    nib.save(image, path)
    assert nib.load(path).header["sform_code"] == nib.load(path).header["qform_code"] == 0
    return path


@pytest.mark.parametrize("name", ["l.nii", "l.nii.gz"])
@pytest.mark.parametrize("read", [read_labels, read_image])
def test_an_image_without_a_place_is_refused(tmp_path: Path, name: str, read: Callable) -> None:
    """Neither sform nor qform: programs guess, some with left and right exchanged."""
    path = without_forms(tmp_path / name, LABELS.astype(np.int16))
    with pytest.raises(InputError, match=rf"{name}.*sform nor qform.*fslcpgeom"):
        read(path)
    np.testing.assert_array_equal(read(path, needs_place=False)[0], LABELS)


def test_a_volume_of_freesurfer_without_a_place_is_refused(tmp_path: Path) -> None:
    """Its flag says whether the directions in its header count."""
    image = nib.MGHImage(LABELS.astype(np.int32), AFFINE)
    image.header["goodRASFlag"] = 0
    nib.save(image, tmp_path / "aseg.mgz")
    with pytest.raises(InputError, match=r"aseg\.mgz that says where"):
        read_labels(tmp_path / "aseg.mgz")


@pytest.mark.parametrize("kind", [nib.Nifti1Image, nib.Nifti2Image])
def test_two_places_are_said_and_the_sform_taken(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, kind: type
) -> None:
    """Once for each file, and only if they differ by half a voxel."""
    tilted = nib.affines.from_matvec(nib.eulerangles.euler2mat(0.4, -0.3, 3.1) * 2, [5, -9, 30])
    for shift, n_said in ((0.0, 0), (0.9, 0), (1.1, 1), (50.0, 1)):
        caplog.clear()
        image = kind(LABELS.astype(np.int16), tilted)
        image.set_sform(tilted, 4)
        moved = tilted.copy()
        moved[1, 3] += shift
        image.set_qform(moved, 1)
        path = tmp_path / f"{shift}.nii.gz"
        nib.save(image, path)
        for _ in range(2):
            np.testing.assert_allclose(read_labels(path)[1], tilted, atol=1e-5)
        assert len(caplog.messages) == n_said
        if n_said:
            assert f"{shift}.nii.gz" in caplog.text
            assert f"up to {shift:.3g} mm apart. The sform is taken" in caplog.text


@pytest.mark.parametrize("flip", [1, -1])
def test_a_mirrored_quaternion_is_understood(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, flip: int
) -> None:
    """The quaternion goes with the way that the third axis runs; equal places are no news."""
    affine = nib.affines.from_matvec(
        nib.eulerangles.euler2mat(0.2, 0.5, -1) * [2, 3, 1.5], [1] * 3
    )
    affine[:3, 2] *= flip
    image = nib.Nifti1Image(LABELS.astype(np.int16), affine)
    image.set_sform(affine, 1)
    image.set_qform(affine, 1)
    nib.save(image, tmp_path / "l.nii")
    read_labels(tmp_path / "l.nii")
    assert not caplog.messages


def test_pictures_and_surfaces_are_explained(tmp_path: Path) -> None:
    """RGB, complex numbers, and files on the surface, each in words."""
    rgb = np.zeros(LABELS.shape, [("R", "u1"), ("G", "u1"), ("B", "u1")])
    nib.save(nib.Nifti1Image(rgb, AFFINE), tmp_path / "rgb.nii.gz")
    nib.save(nib.Nifti1Image(LABELS.astype(np.complex64), AFFINE), tmp_path / "complex.nii.gz")
    for name, message in (("rgb", r"colours \(RGB\)"), ("complex", "complex64")):
        for read in (read_labels, read_image):
            with pytest.raises(
                InputError, match=rf"plain numbers in .*{name}\.nii\.gz.*{message}"
            ):
                read(tmp_path / f"{name}.nii.gz")
    array = nib.gifti.GiftiDataArray(np.arange(9, dtype="i4"), intent="NIFTI_INTENT_LABEL")
    nib.save(nib.GiftiImage(darrays=[array]), tmp_path / "lh.label.gii")
    axes = (
        nib.cifti2.LabelAxis(["x"], [{0: ("?", (0, 0, 0, 0))}]),
        nib.cifti2.BrainModelAxis.from_mask(np.ones((2, 2, 2), bool), affine=AFFINE),
    )
    cifti = nib.Cifti2Image(np.zeros((1, 8), "i4"), axes)
    nib.save(cifti, tmp_path / "x.dlabel.nii")
    for name in ("lh.label.gii", "x.dlabel.nii"):
        with pytest.raises(InputError, match=rf"{name}; .*gave: (GIFTI|CIFTI), .* as a volume"):
            read_labels(tmp_path / name)


def test_headers_of_freesurfer_that_say_impossible_things(tmp_path: Path) -> None:
    """A type that is none, a header that was cut, sizes beyond the file: in words."""
    nib.save(nib.MGHImage(LABELS.astype(np.int32), AFFINE), tmp_path / "a.mgh")
    whole = (tmp_path / "a.mgh").read_bytes()
    for content in (
        whole[:20] + b"\0\0\0\x63" + whole[24:],
        whole[:100],
        whole[:4] + b"\x7f\xff\xff\xff" + whole[8:],
        b"\0\0\0\x05" + whole[4:],
    ):
        (tmp_path / "a.mgz").write_bytes(gzip.compress(content))
        with pytest.raises(InputError, match=r"a\.mgz; reading it gave"):
            read_labels(tmp_path / "a.mgz")
