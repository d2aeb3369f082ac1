"""Tractograms of every format, spaces and label images that do not fit, through the command."""

import gzip
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from nibabel.streamlines import Tractogram, TrkFile

from kraken_bids.io.tables import read_relmat
from kraken_bids.io.tractograms import open_tractogram, read_weights
from kraken_bids.parcellations import load_parcellation

pytestmark = pytest.mark.usefixtures("without_pictures")

FLAVORS = tuple(
    f"{measure}_fs86_{processing}"
    for measure in ("SCifod2act", "SCsdstream")
    for processing in ("count", "sift2", "sift2volnorm", "volnorm")
)


def read_tracks(path: Path) -> list[np.ndarray]:
    blocks = open_tractogram(path).blocks()
    return [b.vertices[i:j].copy() for b in blocks for i, j in zip(b.starts, b.stops, strict=True)]


def write_tck(path: Path, tracks: list[np.ndarray], _weights: np.ndarray) -> None:
    rows = [row for track in tracks for row in (track, np.full((1, 3), np.nan))]
    content = np.concatenate([*rows, np.full((1, 3), np.inf)]).astype(">f8").tobytes()
    with gzip.open(path.with_name(path.name + ".tck.gz"), "wb", compresslevel=1) as file:
        file.write(b"mrtrix tracks\ndatatype: Float64BE\nfile: . 100\nEND\n".ljust(100, b"\0"))
        file.write(content)


def write_trk(path: Path, tracks: list[np.ndarray], _weights: np.ndarray) -> None:
    header = TrkFile.create_empty_header()
    header["voxel_to_rasmm"] = np.diag([-2.0, -2.0, 2.0, 1.0]) + np.eye(4, k=3) * 90
    header["voxel_sizes"], header["dimensions"] = (2, 2, 2), (91, 109, 91)
    header["voxel_order"] = "LPS"
    trk = TrkFile(Tractogram(tracks, affine_to_rasmm=np.eye(4)), header)
    nibabel.streamlines.save(trk, path.with_name(path.name + ".trk"))


def write_trx(path: Path, tracks: list[np.ndarray], weights: np.ndarray) -> None:
    counts = [len(t) for t in tracks]
    header = {"NB_STREAMLINES": len(tracks), "NB_VERTICES": sum(counts)}
    path = path.with_name(path.name + ".trx")
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("header.json", json.dumps(header))
        archive.writestr("positions.3.float32", np.concatenate(tracks).astype("<f4").tobytes())
        archive.writestr("offsets.uint64", np.cumsum([0, *counts]).astype("<u8").tobytes())
        archive.writestr("dps/weights.float32", weights.astype("<f4").tobytes())


@pytest.mark.parametrize("write", [write_tck, write_trk, write_trx])
def test_one_matrix_from_every_format(app: Any, write: Callable[..., None]) -> None:
    """The same tracks and weights give the same matrices, whatever file they come in."""
    app.copy_bids("03")
    old = app.dwi("03", "streamlines.tck.gz")
    text = app.dwi("03", "desc-sift2_streamlineweights.csv")
    app.out = app.out.with_name("expected")
    flavors = ("SCifod2act_fs86_volnorm", "SCifod2act_fs86_sift2volnorm")
    options = ("--sources", "fusionSC")
    assert app.participant(*options, flavors=flavors).exit_code == 0
    expected = {p.name: read_relmat(p) for p in app.out.rglob("*_relmat.dense.tsv")}
    expected = {name: square for name, square in expected.items() if "kraken" not in name}
    assert len(expected) == 2
    app.out = app.out.with_name("found")
    tracks = read_tracks(old)
    old.unlink()
    write(old.with_name(old.name.removesuffix(".tck.gz")), tracks, read_weights(text))
    if write is write_trx:
        text.unlink()
    assert app.participant(*options, flavors=flavors).exit_code == 0
    for name in expected:
        (path,) = app.out.rglob(name)
        square = read_relmat(path)
        # coordinates of a trk are rounded otherwise, by about 1e-5 mm: one end may change sides
        changed = np.abs(square - expected[name]) > 1e-5 * np.nanmax(square)
        assert changed.sum() <= (4 if write is write_trk else 0), name


def test_all_flavors_and_quality(app: Any) -> None:
    """The eight structural flavors come out, with the numbers on which to judge them."""
    app.copy_bids("03")
    app.participant(flavors=FLAVORS)
    assert len(app.measured("03")) == len(FLAVORS)
    sidecar = app.sidecar("03", "meas-SCifod2actCount_relmat")
    streamlines = sidecar["Streamlines"]
    n = streamlines["n_streamlines"]
    assert n == streamlines["n_both"] + streamlines["n_one"] + streamlines["n_none"]
    assert 0 <= streamlines["n_self"] <= streamlines["n_both"]
    (path,) = app.out.rglob("*meas-SCifod2actCount_relmat.dense.tsv")
    edges = read_relmat(path)[np.triu_indices(86, 1)]
    assert streamlines["density"] == pytest.approx((edges > 0).mean())
    lengths = sidecar["LengthHistogram"]
    assert sum(lengths["Counts"]) + lengths["Longer"] == n
    tracks = read_tracks(app.dwi("03", "streamlines.tck.gz"))
    exact = [np.linalg.norm(np.diff(t, axis=0), axis=1).sum() for t in tracks]
    assert lengths["Mean"] == pytest.approx(np.mean(exact), rel=1e-5)
    assert sidecar["SIFT2Weights"].endswith("desc-sift2_streamlineweights.csv")
    assert sidecar["SIFT2Mu"] > 0


@pytest.mark.parametrize("units", ["krakencoder", "mrtrix"])
def test_missing_regions(app: Any, units: str) -> None:
    """A label image without some regions keeps its 86 × 86: they are listed, and NaN."""
    app.copy_bids("03")
    path = app.dwi("03", "x").with_name("sub-03_space-ACPC_seg-fs86_dseg.nii.gz")
    image = nibabel.load(path)
    labels = np.asarray(image.dataobj).copy()
    gone = [5, 40, 86]
    labels[np.isin(labels, gone)] = 0
    path.unlink()
    nibabel.save(nibabel.Nifti1Image(labels, image.affine), path)
    app.participant("--sc-units", units, flavors=("SCifod2act_fs86_volnorm",))
    (matrix,) = app.out.rglob("*meas-SCifod2actVN_relmat.dense.tsv")
    square = read_relmat(matrix)
    assert square.shape == (86, 86)
    np.testing.assert_array_equal(np.flatnonzero(np.isnan(square).all(axis=0)) + 1, gone)
    kept = np.setdiff1d(np.arange(86), np.array(gone) - 1)
    assert np.isfinite(square[np.ix_(kept, kept)]).all()
    names = load_parcellation("fs86").region_names
    sidecar = app.sidecar("03", "meas-SCifod2actVN_relmat")
    assert sidecar["MissingRegions"] == [names[k - 1] for k in gone]
    assert [sidecar["RegionVoxels"][k - 1] for k in gone] == [0, 0, 0]


def test_too_many_weights(app: Any) -> None:
    """One weight more than streamlines: they are of another tractogram."""
    app.copy_bids("03")
    path = app.dwi("03", "desc-sift2_streamlineweights.csv")
    text = path.read_text()
    path.unlink()
    path.write_text(text + "1.0\n")
    outcome = app.participant(flavors=("SCifod2act_fs86_volnorm",))
    assert outcome.exit_code == 3
    assert outcome.says(path, "one per streamline of", "streamlines.tck.gz")
    assert app.measured("03") == []


def test_nothing_that_the_model_reads(app: Any) -> None:
    """A participant with flavors that the model does not know is told so; they are kept."""
    outcome = app.participant("--participant-label", "03", flavors=("SCifod2act_fs86_count",))
    assert outcome.exit_code == 3
    assert outcome.says("that the model can read", "SCifod2act_fs86_count")
    assert app.measured("03") == ["atlas-fs86_meas-SCifod2actCount"]


def test_turned_tractogram_is_refused(app: Any) -> None:
    """Tracks of a head turned by 90° are refused; the message names both files and spaces."""
    app.copy_bids("03")
    path = app.dwi("03", "streamlines.tck.gz")
    turned = [t[:, [1, 0, 2]] * [1, -1, 1] + [60, 0, 0] for t in read_tracks(path)]
    path.unlink()
    write_tck(path.with_name(path.name.removesuffix(".tck.gz")), turned, np.empty(0))
    outcome = app.participant(flavors=("SCifod2act_fs86_volnorm",))
    assert outcome.exit_code == 3
    labels = path.with_name("sub-03_space-ACPC_seg-fs86_dseg.nii.gz")
    assert outcome.says(f"{path} (space-ACPC)", f"{labels} (space-ACPC)", "same space")


def test_further_edges_come_of_the_same_read(app: Any, tmp_path: Path) -> None:
    """Lengths and a scalar beside the counts: no inputs of a model, and not warned of."""
    app.copy_bids("03")
    tracks = read_tracks(app.dwi("03", "streamlines.tck.gz"))
    ends = np.concatenate([track[[0, -1]] for track in tracks])
    affine = np.diag([4.0, 4.0, 4.0, 1.0])
    affine[:3, 3] = ends.min(axis=0) - 40
    shape = np.ceil((np.ptp(ends, axis=0) + 80) / 4).astype(int)
    image = tmp_path / "sub-03_fa.nii.gz"
    nibabel.save(nibabel.Nifti1Image(np.full(shape, 0.25, np.float32), affine), image)
    given = ("--edges", "meanlength", "--scalar", f"FA={tmp_path}/sub-{{subject}}_fa.nii.gz")

    outcome = app.participant(*given, flavors=("SCifod2act_fs86_volnorm",))

    assert outcome.exit_code == 0, outcome.output
    assert "passed over" not in outcome.output
    squares = {
        meas: read_relmat(path)
        for path in app.out.rglob("*_relmat.dense.tsv")
        for meas in [path.name.partition("_meas-")[2].partition("_")[0]]
        if meas.startswith("SCifod2act") and "kraken" not in path.name
    }
    assert {"SCifod2actMEANLENGTH", "SCifod2actMEANFA", "SCifod2actSIFT2MEANFA"} <= set(squares)
    counts = squares["SCifod2actVN"]
    connected = np.triu(counts, 1) > 0
    np.testing.assert_allclose(squares["SCifod2actMEANFA"][connected], 0.25, rtol=1e-5)
    assert (squares["SCifod2actMEANLENGTH"][connected] > 0).all()
    (sidecar,) = app.out.rglob("*meas-SCifod2actMEANFA_relmat.json")
    assert json.loads(sidecar.read_text())["Rule"] == "mean of the streamlines' means of FA"
    page = (app.out / "sub-03.html").read_text()
    n_edges = int(np.count_nonzero(np.triu(squares["SCifod2actMEANFA"], 1)))
    assert f'<td>fs86</td><td class="num">{n_edges}</td><td class="num">0.25</td>' in page
    assert "sift2meanlength (ΣwL / Σw)" in page

    image.unlink()
    outcome = app.participant(*given, flavors=("SCifod2act_fs86_volnorm",))
    assert outcome.exit_code == 3
    assert "sub-03_fa.nii.gz (--scalar FA=" in outcome.output
