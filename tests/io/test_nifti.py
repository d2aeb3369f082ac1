"""Images are read as nibabel reads them, and labels are written for it."""

import struct

import nibabel as nib
import numpy as np
import pytest

from kraken_bids.exceptions import InputError
from kraken_bids.io.images import read_image, read_labels
from kraken_bids.io.nifti import parse_header, write_labels

AFFINE = np.array([[-1.1, 0.1, 0, 5], [0.1, 1.2, 0, -7], [0, 0.2, 1.3, 9], [0, 0, 0, 1.0]])


@pytest.mark.parametrize("dtype", ["u1", "i1", "i2", "u2", "i4", "u4", "f4", "f8"])
@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
@pytest.mark.parametrize("endianness", ["<", ">"])
def test_values_affine_and_sizes(name, dtype, endianness, tmp_path):
    """Every common type, compressed or not, in either byte order."""
    values = np.random.default_rng(0).integers(0, 100, (4, 5, 6, 1)).astype(dtype)
    header = nib.Nifti1Header(endianness=endianness)
    header.set_data_dtype(np.dtype(dtype).newbyteorder(endianness))
    nib.save(nib.Nifti1Image(values, AFFINE, header), tmp_path / name)
    image = nib.load(tmp_path / name)
    read, affine = read_image(tmp_path / name)
    assert read.dtype == (np.float32 if dtype == "f8" else dtype)
    np.testing.assert_array_equal(read, values[..., 0])
    np.testing.assert_array_equal(affine, image.affine)
    labels, affine = read_labels(tmp_path / name)
    np.testing.assert_array_equal(labels, values[..., 0])
    np.testing.assert_array_equal(affine, image.affine)


@pytest.mark.parametrize("endianness", ["<", ">"])
@pytest.mark.parametrize("scale", [(None, None), (0.25, -3.0), (0.0, 7.0), (np.nan, 1.0)])
@pytest.mark.parametrize("unit", ["sec", "msec", "usec", None])
def test_header_of_a_series(unit, scale, endianness, tmp_path):
    """Shape, type, offset, scaling, affine, zooms and unit of time as nibabel has them."""
    header = nib.Nifti1Header(endianness=endianness)
    header.set_data_dtype(np.dtype(np.int16).newbyteorder(endianness))
    image = nib.Nifti1Image(np.ones((3, 4, 5, 6), np.int16), AFFINE, header)
    image.header.set_zooms((1.5, 2.5, 3.5, 0.72))
    image.header.set_xyzt_units("mm", unit)
    image.header.extensions.append(nib.nifti1.Nifti1Extension("comment", b"x" * 50))
    nib.save(image, tmp_path / "a.nii")
    content = bytearray((tmp_path / "a.nii").read_bytes())
    if scale[0] is not None:
        content[112:120] = struct.pack(f"{endianness}2f", *scale)
        (tmp_path / "a.nii").write_bytes(content)
    known = nib.load(tmp_path / "a.nii")
    read = parse_header(bytes(content))
    assert (read.shape, read.dtype) == (known.shape, known.get_data_dtype())
    assert read.offset == known.dataobj.offset > 352
    assert (read.slope, read.inter) == (known.dataobj.slope, known.dataobj.inter)
    np.testing.assert_array_equal(read.affine, known.affine)
    np.testing.assert_array_equal(read.zooms, known.header.get_zooms())
    assert read.time_unit == (unit or "unknown") == known.header.get_xyzt_units()[1]


@pytest.mark.parametrize(
    ("first", "value"),
    [
        (112, struct.pack("<2f", 2.0, np.nan)),
        *((108, struct.pack("<f", offset)) for offset in (0, 100, 348, 1e12, np.nan)),
        (42, struct.pack("<h", -3)),
        (280, struct.pack("<4f", 0, 0, 0, 0)),
        (280, struct.pack("<f", np.nan)),
        (344, b"none"),
        (347, b""),
    ],
)
def test_headers_that_say_impossible_things_are_refused(first, value, tmp_path):
    """An intercept or offset that is no number, no shape, a flat place in space, a cut header."""
    path = tmp_path / "a.nii"
    nib.save(nib.Nifti1Image(np.ones((3, 4, 5), np.int16), AFFINE), path)
    whole = path.read_bytes()
    read_labels(path)
    path.write_bytes(whole[:first] + value + whole[first + len(value) :] if value else whole[:347])
    with pytest.raises(InputError, match=r"a\.nii"):
        read_labels(path)


@pytest.mark.parametrize("kind", [nib.Nifti1Image, nib.Nifti2Image])
@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
@pytest.mark.parametrize("endianness", ["<", ">"])
def test_the_uncommon_is_read_as_nibabel_reads_it(name, kind, endianness, tmp_path):
    """Scaled values, no sform, NIfTI-2, header extensions, in either byte order."""
    values = np.random.default_rng(0).integers(0, 9000, (4, 5, 6)).astype(np.int16)
    header = kind.header_class(endianness=endianness)
    header.set_data_dtype(np.dtype(np.int16).newbyteorder(endianness))
    for slope, forms, comment in ((None, (1, 0), b""), (0.25, (0, 1), b"x" * 99)):
        image = kind(values, AFFINE, header)
        image.header.set_slope_inter(slope, None if slope is None else -3)
        image.set_sform(AFFINE if forms[0] else None, forms[0])
        image.set_qform(AFFINE, forms[1], strip_shears=True)
        if comment:
            image.header.extensions.append(nib.nifti1.Nifti1Extension("comment", comment))
        nib.save(image, tmp_path / name)
        known = nib.load(tmp_path / name)
        read, affine = read_image(tmp_path / name)
        np.testing.assert_array_equal(read, known.get_fdata(dtype=np.float32))
        np.testing.assert_array_equal(affine, known.affine)


def test_a_cut_image_is_refused(tmp_path):
    """Fewer values than the header declares are no image."""
    nib.save(nib.Nifti1Image(np.ones((3, 3, 3), np.int16), AFFINE), tmp_path / "cut.nii")
    (tmp_path / "cut.nii").write_bytes((tmp_path / "cut.nii").read_bytes()[:380])
    with pytest.raises(InputError, match=r"cut\.nii.*the file ends there"):
        read_image(tmp_path / "cut.nii")


@pytest.mark.parametrize(("top", "dtype"), [(86, np.int16), (12_345_678, np.int32)])
def test_labels_that_are_written_are_read_by_nibabel_and_by_us(top, dtype, tmp_path):
    """Labels, affine, type and intent come back; the same labels make the same file."""
    labels = np.random.default_rng(0).integers(0, top, (4, 5, 6))
    labels[0, 0, 0] = top
    path = tmp_path / "sub-01_dseg.nii.gz"
    write_labels(path, labels, AFFINE)
    image = nib.load(path)
    np.testing.assert_array_equal(np.asanyarray(image.dataobj), labels)
    assert image.get_data_dtype() == dtype
    assert image.header.get_intent()[0] == "label"
    assert image.header.get_xyzt_units()[0] == "mm"
    np.testing.assert_allclose(image.affine, AFFINE, rtol=1e-6)
    ours, affine = read_labels(path)
    np.testing.assert_array_equal(ours, labels)
    np.testing.assert_array_equal(affine, image.affine)
    first = path.read_bytes()
    write_labels(path, labels, AFFINE)
    assert path.read_bytes() == first
