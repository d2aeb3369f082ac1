"""Node images of MRtrix are read as mrconvert reads them, whatever their axes and numbers."""

import gzip
import shutil
import subprocess
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from kraken_bids.exceptions import InputError
from kraken_bids.io.images import read_image, read_labels

SHAPE = (3, 4, 5)
LABELS = np.arange(60).reshape(SHAPE)
TRANSFORM = ["0.8,-0.6,0,-10", "0.6,0.8,0,20", "0,0,1,-30"]
AFFINE = np.array([[1.6, -1.5, 0, -10], [1.2, 2, 0, 20], [0, 0, 3, -30], [0, 0, 0, 1]])
CODES = {
    "UInt8": "u1", "Int16LE": "<i2", "Int16BE": ">i2", "UInt32LE": "<u4", "UInt64BE": ">u8",
    "Float32LE": "<f4", "Float64BE": ">f8",
}  # fmt: skip


def write(path: Path, values: np.ndarray, **changes: object) -> Path:
    """Write values [x, y, z] as MRtrix lays them out; a change of None leaves a key away."""
    keys = {
        "dim": ",".join(map(str, values.shape)),
        "vox": "2,2.5,3",
        "layout": "+0,+1,+2",
        "datatype": "UInt32LE",
        "transform": TRANSFORM,
        "command_history": ["labelconvert a: b", "mrconvert"],
        "file": ". 600",
    } | changes
    lines = ["mrtrix image"]
    for key, value in keys.items():
        words = value if isinstance(value, list) else [] if value is None else [value]
        lines += [f"{key}: {word}" for word in words]
    axes = str(keys["layout"]).split(",")
    stored = values[tuple(slice(None, None, -1 if w[0] == "-" else 1) for w in axes)]
    stored = stored.transpose(np.argsort([int(w[1:]) for w in axes]))
    code = CODES.get(str(keys["datatype"]), "<u4")
    content = "\n".join([*lines, "END\n"]).encode().ljust(600, b"\0")
    content += stored.astype(code).tobytes(order="F")
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return path


@pytest.mark.parametrize("layout", ["+0,+1,+2", "-0,-1,+2", "+2,-0,+1", "-1,+2,-0"])
@pytest.mark.parametrize("name", ["nodes.mif", "nodes.mif.gz"])
def test_every_layout(tmp_path: Path, name: str, layout: str) -> None:
    """Values and place are the same, however they lie in memory."""
    labels, affine = read_labels(write(tmp_path / name, LABELS, layout=layout))
    np.testing.assert_array_equal(labels, LABELS)
    np.testing.assert_allclose(affine, AFFINE, atol=1e-12)


@pytest.mark.parametrize("datatype", CODES)
def test_every_type(tmp_path: Path, datatype: str) -> None:
    """Whole numbers and floats of either byte order."""
    labels, _ = read_labels(write(tmp_path / "n.mif", LABELS, datatype=datatype))
    np.testing.assert_array_equal(labels, LABELS)


def test_scaling(tmp_path: Path) -> None:
    """The header's offset and scale apply."""
    values, _ = read_image(write(tmp_path / "p.mif", LABELS, scaling="-1,0.5"))
    np.testing.assert_allclose(values, LABELS * 0.5 - 1)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"dim": "3,4,500"}, "the file ends there"),
        ({"dim": "3,4,-5"}, "axes of .3, 4, -5. voxels"),
        ({"dim": "99999999,99999999,99999999"}, "axes of .99999999"),
        ({"layout": "+0,+1,+1"}, "layout"),
        ({"dim": "3,x,5"}, "invalid literal"),
        ({"datatype": "CFloat32LE"}, "CFloat32LE"),
        ({"datatype": None}, "no `datatype`"),
        ({"transform": None}, "no `transform`"),
        ({"transform": ["0,0,0,1"] * 3}, "no place"),
        ({"file": "nodes.dat 0"}, r"another file, 'nodes\.dat'"),
        ({"file": ". 99999"}, "the file ends there"),
        ({"file": ". -1"}, "begin at byte -1"),
    ],
)
def test_what_is_not_read_names_mrconvert(
    tmp_path: Path, change: dict[str, object], message: str
) -> None:
    """Headers that say impossible or unusual things end in a message with a way out."""
    path = write(tmp_path / "n.mif", LABELS, **{k: v for k, v in change.items() if k != "layout"})
    if "layout" in change:
        path.write_bytes(path.read_bytes().replace(b"+0,+1,+2", str(change["layout"]).encode()))
    with pytest.raises(InputError, match=rf"n\.mif.*{message}.*mrconvert n\.mif n\.nii\.gz"):
        read_labels(path)


@pytest.mark.parametrize("content", [b"", b"mrtrix tracks\n", b"mrtrix image\ndim: 1,1,1\n"])
def test_other_files(tmp_path: Path, content: bytes) -> None:
    """What is no image of MRtrix, or was cut in its header, is said."""
    (tmp_path / "n.mif").write_bytes(content)
    with pytest.raises(InputError, match=r"n\.mif; reading it gave: .*(begin with|END)"):
        read_labels(tmp_path / "n.mif")


@pytest.mark.skipif(shutil.which("mrconvert") is None, reason="needs MRtrix's mrconvert")
@pytest.mark.parametrize("strides", ["1,2,3", "-1,-2,3", "3,-1,2", "-2,3,-1"])
@pytest.mark.parametrize("datatype", ["uint32", "int16be", "float32", "uint8", "bit"])
def test_same_as_mrconvert(tmp_path: Path, strides: str, datatype: str) -> None:
    """What MRtrix wrote is where the NIfTI image lies that it was made of."""
    values = LABELS % 2 if datatype == "bit" else LABELS
    nib.save(nib.Nifti1Image(values.astype(np.int32), AFFINE), tmp_path / "a.nii")
    command = ["mrconvert", "-quiet", "a.nii", "-strides", strides, "-datatype", datatype, "b.mif"]
    subprocess.run(command, cwd=tmp_path, check=True)
    found, affine = read_labels(tmp_path / "b.mif")
    expected, place = read_labels(tmp_path / "a.nii")
    # MRtrix turns the axes as it likes: compare voxel by voxel in space
    voxels = np.argwhere(np.ones(SHAPE))
    points = voxels @ place[:3, :3].T + place[:3, 3]
    there = (points - affine[:3, 3]) @ np.linalg.inv(affine[:3, :3]).T
    np.testing.assert_allclose(there, np.rint(there), atol=1e-3)
    np.testing.assert_array_equal(found[tuple(np.rint(there).astype(int).T)], expected.ravel())
