"""``kraken-tools sc`` writes the very bytes of tck2connectome, and more in one read."""

import json
import shutil
import subprocess
import zipfile

import nibabel as nib
import numpy as np
import pytest
from click.testing import CliRunner

from kraken_bids.cli.tools import main
from kraken_bids.connectome.labels.label_orders import list_orders

TCK2CONNECTOME = shutil.which("tck2connectome")
needs_mrtrix = pytest.mark.skipif(TCK2CONNECTOME is None, reason="tck2connectome is not installed")

CODES = {"Float32LE": "<f4", "Float32BE": ">f4", "Float64LE": "<f8", "Float64BE": ">f8"}


def turned(sizes, angle=0.0, axes=(0, 1, 2), flips=(1, 1, 1)):
    rotation = np.eye(3)
    rotation[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    rotation[1:, 1:] = rotation[1:, 1:] @ [
        [np.cos(angle), -np.sin(angle)],
        [np.sin(angle), np.cos(angle)],
    ]
    affine = np.eye(4)
    affine[:3, :3] = (rotation * flips * np.array(sizes))[:, list(axes)]
    affine[:3, 3] = [-7.3, 5.1, -9.7]
    return affine.astype(np.float32).astype(np.float64)


GEOMETRIES = {
    "isotropic": turned((1.25, 1.25, 1.25)),
    "anisotropic": turned((1, 2, 3)),
    "oblique": turned((0.9, 1.1, 1.6), angle=0.3),
    "flipped": turned((1.5, 1.5, 1.5), flips=(-1, -1, 1)),
    "permuted": turned((1, 1.5, 2), axes=(2, 0, 1), flips=(1, -1, 1)),
}


def write_case(folder, affine, *, n=1500, datatype="Float32LE", n_regions=7, seed=0):
    """Write a label image, tracks of 1 … 40 vertices in and around it, weights and values."""
    rng = np.random.default_rng(seed)
    labels = np.zeros((18, 16, 14), np.int16)
    for k in range(1, n_regions + 1):
        corner = [rng.integers(0, size - 4) for size in labels.shape]
        labels[tuple(slice(c, c + rng.integers(2, 6)) for c in corner)] = k
    labels[0, 0, 0] = n_regions
    nib.save(nib.Nifti1Image(labels, affine), folder / "labels.nii.gz")
    parts = []
    for length in rng.integers(1, 41, n):
        start = affine[:3, :3] @ rng.uniform(-4, [21, 19, 17]) + affine[:3, 3]
        parts += [start + np.cumsum(rng.normal(0, 0.7, (length, 3)), axis=0), [[np.nan] * 3]]
    vertices = np.concatenate([*parts, [[np.inf] * 3]]).astype(CODES[datatype])
    header = f"mrtrix tracks\ncount: {n}\ndatatype: {datatype}\nfile: . 100\nEND\n".encode()
    (folder / "tracks.tck").write_bytes(header.ljust(100) + vertices.tobytes())
    for name in ("weights", "values"):
        numbers = rng.lognormal(size=n)
        (folder / f"{name}.txt").write_text("\n".join(f"{x:.6g}" for x in numbers) + "\n")
    return labels


def run_ours(folder, *words, units="mrtrix"):
    """Return the outcome of kraken-tools sc in a folder."""
    command = ["sc", str(folder / "tracks.tck"), "--output-dir", str(folder / "out")]
    command += ["--labels", f"a={folder / 'labels.nii.gz'}", "--units", units]
    outcome = CliRunner().invoke(main, [*command, "--skip-space-check", *map(str, words)])
    assert outcome.exception is None or isinstance(outcome.exception, SystemExit)
    return outcome


def run_mrtrix(folder, *options):
    """Return the matrix and assignments that the real tck2connectome writes, as text."""
    names = ["tracks.tck", "labels.nii.gz", "mrtrix.csv", "-out_assignments", "mrtrix.txt"]
    fixed = ["-symmetric", "-force", "-quiet", "-nthreads", "0"]
    subprocess.run(
        [TCK2CONNECTOME, *names, *fixed, *map(str, options)],
        cwd=folder,
        check=True,
        capture_output=True,
    )
    return [without_comments(folder / name) for name in ("mrtrix.csv", "mrtrix.txt")]


def without_comments(path):
    lines = path.read_text().splitlines(keepends=True)
    return "".join(line for line in lines if not line.startswith("#"))


ALL_METRICS = {
    "count": [],
    "volnorm": ["-scale_invnodevol"],
    "sift2": ["-tck_weights_in", "weights.txt"],
    "sift2volnorm": ["-tck_weights_in", "weights.txt", "-scale_invnodevol"],
    "meanlength": ["-scale_length", "-stat_edge", "mean"],
    "sift2meanlength": ["-tck_weights_in", "weights.txt", "-scale_length", "-stat_edge", "mean"],
    "invlength": ["-scale_invlength"],
    "meanscale": ["-scale_file", "values.txt", "-stat_edge", "mean"],
}
MODES = {
    "radial": ["-assignment_radial_search", 4],
    "end-voxels": ["-assignment_end_voxels"],
    "reverse 0": ["-assignment_reverse_search", 0],
    "reverse 3": ["-assignment_reverse_search", 3],
    "all-voxels": ["-assignment_all_voxels"],
}


@needs_mrtrix
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("geometry", ["oblique", "permuted"])
def test_every_metric_and_assignment_is_mrtrix_byte_for_byte(geometry, mode, tmp_path):
    """All metrics of one read equal as many runs of tck2connectome; so do the assignments."""
    write_case(tmp_path, GEOMETRIES[geometry])
    files = ["--weights", tmp_path / "weights.txt", "--scale-file", tmp_path / "values.txt"]
    metrics = [metric for metric in ALL_METRICS if not metric.endswith("scale")]
    outcome = run_ours(
        tmp_path, *files, "--metric", *metrics, "--assignment", *mode.split(), "--out-assignments"
    )
    assert outcome.exit_code == 0, outcome.output
    for metric, options in ALL_METRICS.items():
        matrix, assignments = run_mrtrix(tmp_path, *MODES[mode], *options)
        assert (tmp_path / f"out/a_{metric}.csv").read_text() == matrix, metric
    assert without_comments(tmp_path / "out/a_assignments.csv") == assignments


@needs_mrtrix
@pytest.mark.parametrize("radius", [1, 2, 4])
@pytest.mark.parametrize("geometry", GEOMETRIES)
def test_radial_search_in_every_geometry(geometry, radius, tmp_path):
    """Five orientations, three radii, ends outside the image, tracks of one vertex."""
    write_case(tmp_path, GEOMETRIES[geometry], seed=radius)
    run_ours(tmp_path, "--radius", radius, "--metric", "volnorm", "--out-assignments")
    options = ["-assignment_radial_search", radius, "-scale_invnodevol"]
    matrix, assignments = run_mrtrix(tmp_path, *options)
    assert (tmp_path / "out/a_volnorm.csv").read_text() == matrix
    assert without_comments(tmp_path / "out/a_assignments.csv") == assignments


@needs_mrtrix
@pytest.mark.parametrize("datatype", CODES)
def test_every_data_type(datatype, tmp_path):
    """Byte orders and precisions; MRtrix rounds vertices to single precision, and so do we."""
    write_case(tmp_path, GEOMETRIES["oblique"], datatype=datatype)
    run_ours(tmp_path, "--metric", "count", "meanlength")
    for metric in ("count", "meanlength"):
        matrix, _ = run_mrtrix(tmp_path, *ALL_METRICS[metric])
        assert (tmp_path / f"out/a_{metric}.csv").read_text() == matrix


@needs_mrtrix
@pytest.mark.parametrize("statistic", ["sum", "min", "max"])
def test_other_statistics_of_a_file(statistic, tmp_path):
    """Sum, least and greatest of a value per streamline; edges without any are nan."""
    write_case(tmp_path, GEOMETRIES["isotropic"], n=200)
    run_ours(tmp_path, "--scale-file", tmp_path / "values.txt", "--stat", statistic)
    matrix, _ = run_mrtrix(tmp_path, "-scale_file", "values.txt", "-stat_edge", statistic)
    assert (tmp_path / f"out/a_{statistic}scale.csv").read_text() == matrix
    assert ("nan" in matrix) == (statistic != "sum")


def write_scalar(folder, affine, *, shape=(18, 16, 14), name="fa.nii.gz"):
    values = np.random.default_rng(11).random(shape).astype(np.float32)
    nib.save(nib.Nifti1Image(values, affine), folder / name)
    return folder / name


@needs_mrtrix
@pytest.mark.parametrize("geometry", GEOMETRIES)
def test_scalars_are_those_of_tcksample(geometry, tmp_path):
    """Means along streamlines of 1 to 40 vertices, some outside the image, as edges of MRtrix."""
    write_case(tmp_path, GEOMETRIES[geometry], n=600)
    image = write_scalar(tmp_path, GEOMETRIES[geometry])
    sample = ["tcksample", "tracks.tck", "fa.nii.gz", "fa.txt", "-stat_tck", "mean", "-quiet"]
    subprocess.run(sample, cwd=tmp_path, check=True, capture_output=True)

    weights = ["--weights", tmp_path / "weights.txt"]
    outcome = run_ours(tmp_path, *weights, "--scalar", f"FA={image}", "--metric", "meanlength")

    assert outcome.exit_code == 0, outcome.output
    for metric, options in {
        "meanFA": [],
        "sift2meanFA": ["-tck_weights_in", "weights.txt"],
    }.items():
        text, _ = run_mrtrix(tmp_path, "-scale_file", "fa.txt", "-stat_edge", "mean", *options)
        (tmp_path / "theirs.csv").write_text(text)
        theirs = np.loadtxt(tmp_path / "theirs.csv", delimiter=",")
        ours = np.loadtxt(tmp_path / f"out/a_{metric}.csv", delimiter=",")
        np.testing.assert_allclose(ours, theirs, rtol=2e-6, atol=1e-8)
    sidecar = json.loads((tmp_path / "out/a_meanFA.json").read_text())
    assert sidecar["Rule"] == "mean of the streamlines' means of FA"
    assert any("of 600 streamlines leave the image of FA" in one for one in sidecar["Warnings"])
    matrix, _ = run_mrtrix(tmp_path, *ALL_METRICS["meanlength"])
    assert (tmp_path / "out/a_meanlength.csv").read_text() == matrix


def test_a_scalar_along_a_line_is_its_mean_by_length(tmp_path):
    """By hand: values 0, 1, 4 at the ends of steps of 1 and 3 mm; NaN is said to be NaN."""
    affine = np.eye(4)
    values = np.zeros((8, 4, 4), np.float32)
    values[:] = np.arange(8)[:, None, None]
    values[7] = np.nan
    nib.save(nib.Nifti1Image(values, affine), tmp_path / "x.nii.gz")
    labels = np.zeros((8, 4, 4), np.int16)
    labels[0], labels[4:] = 1, 2
    nib.save(nib.Nifti1Image(labels, affine), tmp_path / "labels.nii.gz")
    track = np.array([[0, 1, 1], [1, 1, 1], [4, 1, 1], [np.nan] * 3, [np.inf] * 3], "<f4")
    head = b"mrtrix tracks\ndatatype: Float32LE\nfile: . 100\nEND\n".ljust(100)
    (tmp_path / "tracks.tck").write_bytes(head + track.tobytes())

    outcome = run_ours(tmp_path, "--scalar", f"X={tmp_path / 'x.nii.gz'}", "--radius", 0.9)

    assert outcome.exit_code == 0, outcome.output
    expected = (0 * 0.5 + 1 * 2 + 4 * 1.5) / 4
    assert np.loadtxt(tmp_path / "out/a_meanX.csv", delimiter=",")[0, 1] == expected


@pytest.mark.parametrize("name", ["length", "scale", "f-a", "1"])
def test_scalars_are_called_so_that_files_can_be(name, tmp_path):
    """No name that another metric has, or that is no word."""
    write_case(tmp_path, GEOMETRIES["isotropic"], n=5)
    outcome = run_ours(tmp_path, "--scalar", f"{name}={tmp_path / 'labels.nii.gz'}")
    assert outcome.exit_code == 2
    assert f"--scalar {name}=IMAGE" in outcome.output


def test_scalars_whose_names_differ_in_case_alone_are_refused(tmp_path):
    """The app writes names in capitals: one would replace the other."""
    write_case(tmp_path, GEOMETRIES["isotropic"], n=5)
    image = tmp_path / "labels.nii.gz"
    outcome = run_ours(tmp_path, "--scalar", f"FA={image}", "--scalar", f"fa={image}")
    assert outcome.exit_code == 2
    assert "--scalar fa=IMAGE" in outcome.output


@pytest.mark.parametrize("words", [[], ["--assignment", "reverse", "3"]])
def test_many_images_give_what_each_gives_alone(words, tmp_path):
    """Streamlines are kept, or read again, while images come a few at a time."""
    write_case(tmp_path, GEOMETRIES["oblique"])
    image = write_scalar(tmp_path, GEOMETRIES["oblique"], shape=(16, 14, 12))
    names = [f"a{k}" for k in range(9)]
    options = [*words, "--weights", tmp_path / "weights.txt", "--scalar", f"FA={image}"]
    options += ["--metric", "sift2volnorm", "invlength", "--out-assignments"]
    labels = [f"{name}={tmp_path / 'labels.nii.gz'}" for name in names]
    assert run_ours(tmp_path, *options).exit_code == 0
    outcome = run_ours(tmp_path, *options, "--labels", *labels, "--n-threads", "2")
    assert outcome.exit_code == 0, outcome.output

    for metric in ("sift2volnorm.csv", "invlength.csv", "sift2meanFA.csv", "assignments.csv"):
        alone = (tmp_path / f"out/a_{metric}").read_text()
        assert {(tmp_path / f"out/{name}_{metric}").read_text() for name in names} == {alone}
    warned = json.loads((tmp_path / "out/a8_meanFA.json").read_text())["Warnings"]
    assert warned == json.loads((tmp_path / "out/a_meanFA.json").read_text())["Warnings"] != []


def test_a_missing_image_among_many_is_said_first(tmp_path):
    """Before anything is counted."""
    write_case(tmp_path, GEOMETRIES["isotropic"], n=5)
    labels = [f"a{k}={tmp_path / 'labels.nii.gz'}" for k in range(6)]
    outcome = run_ours(tmp_path, "--labels", *labels, f"z={tmp_path / 'gone.nii.gz'}")
    assert outcome.exit_code == 3
    assert "gone.nii.gz" in outcome.output
    assert not list((tmp_path / "out").glob("*.csv"))


@needs_mrtrix
def test_many_regions_in_single_precision(tmp_path):
    """From 1024 regions on MRtrix counts in single precision and writes six digits."""
    labels = write_case(tmp_path, GEOMETRIES["isotropic"])
    labels[labels == 7] = 1100
    nib.save(nib.Nifti1Image(labels, GEOMETRIES["isotropic"]), tmp_path / "labels.nii.gz")
    run_ours(tmp_path, "--weights", tmp_path / "weights.txt", "--metric", "sift2volnorm", "count")
    for metric in ("count", "sift2volnorm"):
        matrix, _ = run_mrtrix(tmp_path, *ALL_METRICS[metric])
        assert (tmp_path / f"out/a_{metric}.csv").read_text() == matrix


def test_recorded_numbers(tmp_path):
    """What tck2connectome 3.0.3 wrote for one case, where it is not installed."""
    write_case(tmp_path, GEOMETRIES["oblique"], n=300, n_regions=3, seed=5)
    metrics = ["count", "volnorm", "sift2volnorm", "meanlength"]
    weights = tmp_path / "weights.txt"
    assert run_ours(tmp_path, "--weights", weights, "--metric", *metrics).exit_code == 0
    for metric in metrics:
        assert (tmp_path / f"out/a_{metric}.csv").read_text() == RECORDED[metric]


RECORDED = {
    "count": ("4,0,3\n0,5,0\n3,0,4\n"),
    "volnorm": (
        "0.0666666701436043,0,0.0869565233588219\n"
        "0,0.277777779847383,0\n"
        "0.0869565233588219,0,0.444444447755814\n"
    ),
    "sift2volnorm": (
        "0.122111989965915,0,0.25557484122362\n"
        "0,0.530322676543481,0\n"
        "0.25557484122362,0,0.351514560616373\n"
    ),
    "meanlength": (
        "17.9123396873474,0,21.9772720336914\n"
        "0,13.7361117362976,0\n"
        "21.9772720336914,0,21.7264037132263\n"
    ),
}


@pytest.mark.parametrize("mode", ["radial", "all-voxels"])
def test_threads_change_not_one_bit(mode, tmp_path, monkeypatch):
    """One, two and five threads write the same bytes, also over many blocks."""
    monkeypatch.setattr("kraken_bids.io.tck.BLOCK_VERTICES", 500)
    write_case(tmp_path, GEOMETRIES["oblique"])
    texts = []
    for n in (1, 2, 5):
        words = ["--weights", tmp_path / "weights.txt", "--assignment", mode, "--n-threads", n]
        assert run_ours(tmp_path, *words, "--metric", "sift2volnorm", "sift2").exit_code == 0
        texts.append([p.read_text() for p in sorted((tmp_path / "out").glob("*.csv"))])
    assert texts[0] == texts[1] == texts[2]


def test_sidecar_and_model_units(tmp_path):
    """Default units: 1.25 mm voxels, 5 million streamlines; the sidecar holds what made them."""
    labels = write_case(tmp_path, GEOMETRIES["isotropic"])
    run_ours(tmp_path, "--metric", "volnorm", "count", units="krakencoder")
    sidecar = json.loads((tmp_path / "out/a_volnorm.json").read_text())
    volumes = np.bincount(labels.ravel())[1:]
    assert sidecar["RegionVoxels"] == volumes.tolist()
    assert sidecar["Streamlines"]["n_streamlines"] == 1500
    assert sidecar["StreamlineFactor"] == pytest.approx(5e6 / 1500)
    assert sidecar["Rule"] == "N · 2/(V_i + V_j)"
    assert len(sidecar["Tracks"]["SHA256OfEnds"]) == 64
    read = {
        m: np.loadtxt(tmp_path / f"out/a_{m}.csv", delimiter=",") for m in ("count", "volnorm")
    }
    total = (volumes[:, None] + volumes) * sidecar["VoxelVolume"] / 1.25**3
    np.testing.assert_allclose(read["volnorm"], read["count"] * 2 / total, rtol=1e-6)
    assert not np.diag(read["count"]).any()


def test_a_known_atlas_keeps_its_size(tmp_path):
    """fs86 with FreeSurfer's numbers: 86 regions in the table's order, missing ones NaN."""
    labels = write_case(tmp_path, GEOMETRIES["isotropic"])
    table = {1: 8, 2: 10, 3: 11, 4: 12, 5: 2035, 6: 41, 7: 9999}
    numbers = np.array([0, *table.values()], np.int16)[labels]
    nib.save(nib.Nifti1Image(numbers, GEOMETRIES["isotropic"]), tmp_path / "labels.nii.gz")
    command = ["sc", str(tmp_path / "tracks.tck"), "--output-dir", str(tmp_path / "out")]
    command += ["--labels", f"fs86={tmp_path / 'labels.nii.gz'}", "--skip-space-check"]
    assert CliRunner().invoke(main, command).exit_code == 0
    square = np.loadtxt(tmp_path / "out/fs86_count.csv", delimiter=",")
    assert square.shape == (86, 86)
    assert np.isfinite(np.diag(square)).sum() == 5


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["--metric", "sift2"], 2, "Give the file that tcksift2 wrote"),
        (["--metric", "fa"], 2, "found fa"),
        (["--assignment", "reverse"], 2, "`reverse MM`"),
        (["--assignment", "radial", "3"], 2, "found `radial 3`"),
        (["--radius", "0"], 2, "radius above 0"),
        (["--weights", "short.txt", "--metric", "sift2"], 3, "found 3 for at least 1500"),
        (["--weights", "long.txt", "--metric", "sift2"], 3, "expected 1500 weights"),
        (
            ["--weights", "weights.txt"],
            2,
            "--weights: expected a metric that takes them; found count",
        ),
        (["--stat", "min"], 2, "--stat min: expected --scalar"),
        (["--radius", "2", "--assignment", "end-voxels"], 2, "--radius 2: expected --assignment"),
    ],
)
def test_mistakes_are_explained(words, code, message, tmp_path, monkeypatch):
    """Contradicting options, and weights of another tractogram: an error, never a matrix."""
    monkeypatch.chdir(tmp_path)
    write_case(tmp_path, GEOMETRIES["isotropic"])
    (tmp_path / "short.txt").write_text("1 2 3\n")
    (tmp_path / "long.txt").write_text("1 " * 1501)
    outcome = run_ours(tmp_path, *words)
    assert outcome.exit_code == code
    assert message in outcome.output
    assert not list(tmp_path.glob("out/*.csv"))


@pytest.mark.parametrize("name", ["../up", "a/b", "", ".hidden", "a b"])
def test_names_of_atlases_that_are_no_file_names_are_refused(name, tmp_path):
    """They become part of file names: nothing is written outside the folder."""
    write_case(tmp_path, GEOMETRIES["isotropic"])
    command = ["sc", str(tmp_path / "tracks.tck"), "--output-dir", str(tmp_path / "out")]
    labels = f"{name}={tmp_path / 'labels.nii.gz'}"
    outcome = CliRunner().invoke(main, [*command, "--labels", labels])
    assert outcome.exit_code == 2
    assert "--labels" in outcome.output
    assert not list(tmp_path.rglob("*.csv"))


def test_few_small_regions_are_told_of_the_option_that_helps(tmp_path):
    """--parcellation is an option of kraken-bids, and none here."""
    write_case(tmp_path, GEOMETRIES["isotropic"])
    labels = nib.load(tmp_path / "labels.nii.gz")
    few = np.where(np.asarray(labels.dataobj) > 0, 0, 0).astype(np.int16)
    few[0, 0, 0], few[-1, -1, -1] = 1, 2
    nib.save(nib.Nifti1Image(few, labels.affine), tmp_path / "labels.nii.gz")
    command = ["sc", str(tmp_path / "tracks.tck"), "--output-dir", str(tmp_path / "out")]
    outcome = CliRunner().invoke(main, [*command, "--labels", f"a={tmp_path / 'labels.nii.gz'}"])
    assert outcome.exit_code == 3
    assert "--skip-space-check" in outcome.output
    assert "--parcellation" not in outcome.output


@pytest.mark.parametrize("units", ["krakencoder", "mrtrix"])
def test_a_known_atlas_in_another_order_is_refused_in_the_models_units(units, tmp_path):
    """In MRtrix's units rows are labels, whatever they mean."""
    (order,) = [o for o in list_orders("fs86") if "MRtrix" in o.title]
    affine = np.diag([4.0, 4, 4, 1])
    affine[:3, 3] = (-96, -132, -96)
    labels = np.zeros((49, 57, 49), np.int16)
    voxels = np.rint((order.places - affine[:3, 3]) / 4).astype(int)
    labels[tuple(voxels.T)] = np.arange(1, 85)
    nib.save(nib.Nifti1Image(labels, affine), tmp_path / "nodes.nii.gz")
    ends = np.random.default_rng(0).permutation(order.places)
    tracks = [np.stack(pair) for pair in zip(ends[::2], ends[1::2], strict=True)]
    tractogram = nib.streamlines.Tractogram(tracks, affine_to_rasmm=np.eye(4))
    nib.streamlines.save(tractogram, str(tmp_path / "tracks.tck"))
    command = ["sc", str(tmp_path / "tracks.tck"), "--output-dir", str(tmp_path / "out")]
    words = ["--labels", f"fs86={tmp_path / 'nodes.nii.gz'}", "--units", units]
    outcome = CliRunner().invoke(main, [*command, *words])
    assert outcome.exit_code == (3 if units == "krakencoder" else 0), outcome.output
    assert ("MRtrix's 84 regions" in outcome.output) is (units == "krakencoder")


def test_all_voxels_have_no_model_units(tmp_path):
    """The model knows streamlines with two ends only."""
    write_case(tmp_path, GEOMETRIES["isotropic"])
    outcome = run_ours(tmp_path, "--assignment", "all-voxels", units="krakencoder")
    assert outcome.exit_code == 2
    assert "Add --units mrtrix" in outcome.output


def test_another_space_is_refused(tmp_path):
    """Tracks 60 mm away from the labels: the message names both files."""
    affine = GEOMETRIES["isotropic"].copy()
    write_case(tmp_path, affine)
    affine[0, 3] += 60
    labels = nib.load(tmp_path / "labels.nii.gz")
    nib.save(nib.Nifti1Image(np.asarray(labels.dataobj), affine), tmp_path / "labels.nii.gz")
    command = ["sc", str(tmp_path / "tracks.tck"), "--output-dir", str(tmp_path / "out")]
    outcome = CliRunner().invoke(main, [*command, "--labels", f"a={tmp_path / 'labels.nii.gz'}"])
    assert outcome.exit_code == 3
    assert "same space" in outcome.output
    assert "tracks.tck" in outcome.output
    assert "labels.nii.gz" in outcome.output


def test_groups_of_a_trx_are_ready_assignments(tmp_path):
    """Counted by hand: groups named as regions, in any spelling; a bundle is passed over."""
    n = 6
    header = {"NB_STREAMLINES": n, "NB_VERTICES": 2 * n}
    groups = {"lh_insula": [0, 1, 2, 5], "Left-Caudate": [0, 2], "ctx-rh-insula": [1], "AF": [3]}
    with zipfile.ZipFile(tmp_path / "tracks.trx", "w") as archive:
        archive.writestr("header.json", json.dumps(header))
        vertices = np.random.default_rng(0).random((2 * n, 3))
        archive.writestr("positions.3.float32", vertices.astype("<f4").tobytes())
        archive.writestr("offsets.uint64", np.arange(0, 2 * n + 1, 2, dtype="<u8").tobytes())
        for name, members in groups.items():
            archive.writestr(f"groups/{name}.uint32", np.array(members, "<u4").tobytes())
    tracks = tmp_path / "tracks.trx"
    command = ["sc", str(tracks), "--output-dir", str(tmp_path / "out"), "--units", "mrtrix"]

    outcome = CliRunner().invoke(main, [*command, "--labels", f"fs86={tracks}"])

    assert outcome.exit_code == 0, outcome.output
    found = np.loadtxt(tmp_path / "out/fs86_count.csv", delimiter=",")
    left, right, caudate = 51, 85, 2
    assert found[left, caudate] == found[caudate, left] == 2
    assert found[left, right] == 1
    assert found.sum() == 6
    sidecar = json.loads((tmp_path / "out/fs86_count.json").read_text())
    assert sidecar["Streamlines"]["n_one"] == 1
    assert "RegionVoxels" not in sidecar

    words = ["--labels", f"fs86={tracks}", "--metric", "volnorm"]
    refused = CliRunner().invoke(main, [*command, *words])
    assert refused.exit_code == 2
    assert "groups of a TRX have no volumes" in refused.output
    other = CliRunner().invoke(main, [*command, "--labels", f"shen268={tracks}"])
    assert other.exit_code == 3
    assert "found lh_insula, Left-Caudate" in other.output


@pytest.mark.parametrize("atlases", [1, 6])
def test_a_tractogram_without_lengths_is_said(tmp_path, atlases, caplog):
    """In the log and beside every matrix, however many label images there are."""
    write_case(tmp_path, GEOMETRIES["isotropic"], n=5)
    vertices = []
    for k in range(20):
        vertices += [np.full((3, 3), k / 2.0), [[np.nan] * 3]]
    body = np.concatenate([*vertices, [[np.inf] * 3]]).astype("<f4").tobytes()
    header = b"mrtrix tracks\ncount: 20\ndatatype: Float32LE\nfile: . 100\nEND\n"
    (tmp_path / "tracks.tck").write_bytes(header.ljust(100) + body)
    words = [w for k in range(1, atlases) for w in ("--labels", f"b{k}={tmp_path}/labels.nii.gz")]
    outcome = run_ours(tmp_path, *words)
    assert outcome.exit_code == 0, outcome.output
    assert caplog.text.count("both ends at one point in each of the 20 streamlines") == 1
    for path in (tmp_path / "out").glob("*_count.json"):
        (warning,) = json.loads(path.read_text())["Warnings"]
        assert "expected streamlines between regions" in warning
    assert len(list((tmp_path / "out").glob("*_count.csv"))) == atlases
