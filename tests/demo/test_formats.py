"""Files of the synthetic data set, read back with other code."""

import gzip
from pathlib import Path

import h5py
import nibabel as nib
import numpy as np

from kraken_bids.demo.formats import (
    write_affine_transform,
    write_composite_transform,
    write_series,
    write_table,
    write_tractogram,
)
from kraken_bids.demo.warps import compute_fields, draw_anatomy


def test_series_keeps_values_within_its_slope(tmp_path: Path) -> None:
    """Integers times slope give the series back to half a slope; the repetition time is kept."""
    data = np.random.default_rng(0).uniform(0, 1500, (4, 5, 6, 7)).astype(np.float32)
    affine = np.diag([-5.0, 5.0, 5.0, 1.0])
    write_series(tmp_path / "x_bold.nii.gz", data, affine, tr=2.0)
    image = nib.load(tmp_path / "x_bold.nii.gz")
    assert image.get_data_dtype() == np.int16
    assert np.abs(image.get_fdata() - data).max() < 1500 / 30_000
    assert image.header.get_zooms()[3] == 2.0
    assert np.array_equal(image.affine, affine)


def test_tractogram_is_what_mrtrix_writes(tmp_path: Path) -> None:
    """NaN ends each streamline and Inf the file; nibabel reads the same points."""
    points = np.random.default_rng(0).standard_normal((3, 4, 3)).astype(np.float32)
    path = tmp_path / "x_streamlines.tck.gz"
    write_tractogram(path, points, method="iFOD2", lengths=np.array([4, 2, 3]))
    (tmp_path / "x.tck").write_bytes(gzip.decompress(path.read_bytes()))
    tracks = nib.streamlines.load(tmp_path / "x.tck")
    assert [len(s) for s in tracks.streamlines] == [4, 2, 3]
    assert np.array_equal(tracks.streamlines[1], points[1, :2])
    assert tracks.header["method"] == "iFOD2"


def test_composite_transform_holds_the_steps_in_itk_order(tmp_path: Path) -> None:
    """The affine step is stored last since it comes first; both are in LPS."""
    anatomy = draw_anatomy(0)
    field_affine, there, _ = compute_fields(anatomy)
    path = tmp_path / "x_xfm.h5"
    write_composite_transform(path, [(anatomy.affine, None), (field_affine, there)])
    lps = np.array([-1.0, -1.0, 1.0])
    point = np.array([12.0, -30.0, 22.0])
    with h5py.File(path) as file:
        group = file["TransformGroup"]
        kinds = [group[str(i)]["TransformType"][0].decode() for i in range(3)]
        affine, field = (group[str(i)]["TransformParameters"][()] for i in (2, 1))
        size = group["1"]["TransformFixedParameters"][:3].astype(int)
        origin = group["1"]["TransformFixedParameters"][3:6]
    assert [k.split("_")[0] for k in kinds] == [
        "CompositeTransform", "DisplacementFieldTransform", "AffineTransform",
    ]  # fmt: skip
    moved = lps * (affine[:9].reshape(3, 3) @ (lps * point) + affine[9:])
    assert np.allclose(moved, anatomy.affine[:3, :3] @ point + anatomy.affine[:3, 3])
    grid = field.reshape(*size[::-1], 3)
    corner = anatomy.displacement(lps * origin)
    assert np.allclose(lps * grid[0, 0, 0], corner, atol=1e-4)
    node = field_affine[:3, :3] @ [3, 5, 7] + field_affine[:3, 3]
    assert np.allclose(lps * grid[7, 5, 3], anatomy.displacement(node), atol=1e-4)


def test_affine_transform_is_in_lps(tmp_path: Path) -> None:
    """A shift to the right is negative in ITK's coordinates."""
    affine = np.eye(4)
    affine[:3, 3] = [1, 2, 3]
    write_affine_transform(tmp_path / "x_xfm.txt", affine)
    line = (tmp_path / "x_xfm.txt").read_text().splitlines()[3]
    assert line.split()[1:] == ["1", "0", "0", "0", "1", "0", "0", "0", "1", "-1", "-2", "3"]


def test_table_spells_nan_as_bids_does(tmp_path: Path) -> None:
    """NaN becomes n/a."""
    write_table(tmp_path / "x.tsv", {"a": np.array([np.nan, 1.5]), "b": ["x", "y"]})
    assert (tmp_path / "x.tsv").read_text() == "a\tb\nn/a\tx\n1.5\ty\n"
