"""``kraken-tools export``: other tools read back what OUTPUT_DIR holds, region by region."""

import json
from pathlib import Path

import networkx as nx
import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner, Result
from nilearn.connectome import sym_matrix_to_vec
from numpy.typing import NDArray
from scipy.io import loadmat, whosmat

from kraken_bids.bids.outputs import (
    calibrated_archive_path,
    latents_path,
    prediction_archive_path,
    relmat_path,
    sidecar_path,
)
from kraken_bids.cli.tools import main
from kraken_bids.cohort.latent_tables import write_latent_table
from kraken_bids.connectome.labels.region_places import load_centres
from kraken_bids.connectome.matrices import edges_to_square
from kraken_bids.flavors import Flavor, parse_flavor
from kraken_bids.io.hdf5 import write_hdf5
from kraken_bids.io.writing import write_json, write_relmat
from kraken_bids.parcellations import load_parcellation

FC, SC = parse_flavor("FCcorr_fs86_hpf"), parse_flavor("SCifod2act_fs86_volnorm")
REGIONS = load_parcellation("fs86")
NAMES = REGIONS.region_names
SESSIONS = ({"sub": "01", "ses": "a"}, {"sub": "01", "ses": "b"}, {"sub": "02", "ses": "a"})
UNSEEN = 7
Squares = dict[tuple[int, Flavor, str], NDArray[np.float64]]


def make_square(flavor: Flavor, seed: int) -> NDArray[np.float64]:
    """Write three digits, which every format keeps; a third of the structural edges are 0."""
    rng = np.random.default_rng(seed)
    edges = rng.integers(1, 999, REGIONS.n_edges) / 1000
    if flavor.group == "SC":
        edges[rng.random(edges.size) < 1 / 3] = 0
    return np.asarray(edges_to_square(edges, diagonal=flavor.diagonal))


@pytest.fixture
def written(tmp_path: Path) -> tuple[Path, Squares]:
    """Three sessions: measured, predicted from fusionSC, calibrated; one lacks a region."""
    root, squares = tmp_path / "out", {}
    for row, own in enumerate(SESSIONS):
        latents = latents_path(root, own["sub"], own["ses"])
        write_latent_table(latents, {"fusionSC": np.ones(4, np.float32)})
        write_json(sidecar_path(latents), {"RunDigest": "now", "InputSources": {"fusionSC": {}}})
        for k, flavor in enumerate((FC, SC)):
            for j, source in enumerate(("", "fusionSC", "calibrated")):
                square = make_square(flavor, 100 * row + 10 * k + j)
                if (row, source, flavor) == (1, "", FC):
                    square[UNSEEN] = square[:, UNSEEN] = np.nan
                path = relmat_path(
                    root,
                    own,
                    flavor,
                    source="fusionSC" if source else None,
                    is_calibrated=source == "calibrated",
                )
                write_relmat(path, square)
                if source:
                    write_json(sidecar_path(path), {"RunDigest": "now"})
                squares[row, flavor, source] = square
    return root, squares


def export(root: Path, folder: Path, *words: str) -> Result:
    return CliRunner().invoke(main, ["export", str(root), str(folder), *words])


def check(result: Result) -> None:
    assert result.exit_code == 0, result.output


def find(folder: Path, row: int, flavor: Flavor, ending: str, desc: str = "") -> Path:
    own = SESSIONS[row]
    middle = f"_desc-{desc}" if desc else ""
    name = f"sub-{own['sub']}_ses-{own['ses']}_atlas-fs86_meas-{flavor.meas}{middle}_relmat"
    return folder / (name + ending)


@pytest.mark.parametrize("flavor", [FC, SC])
def test_networkx_reads_the_graph_with_names_places_and_networks(
    written: tuple[Path, Squares], tmp_path: Path, flavor: Flavor
) -> None:
    """Edges are those that are neither 0 nor unseen; every region is a node."""
    root, squares = written
    check(export(root, tmp_path / "x", "--format", "graphml", "--stacked"))
    for row in range(3):
        graph = nx.read_graphml(find(tmp_path / "x", row, flavor, ".graphml"))
        assert not graph.is_directed()
        assert list(graph) == list(NAMES)
        wanted = np.triu(np.nan_to_num(squares[row, flavor, ""]), 1)
        np.testing.assert_array_equal(nx.to_numpy_array(graph, nodelist=NAMES), wanted + wanted.T)
        assert graph.number_of_edges() == np.count_nonzero(wanted)
        for k, name in enumerate(NAMES):
            node = graph.nodes[name]
            assert (node["network"], node["hemisphere"]) == (
                REGIONS.groups[k],
                REGIONS.hemispheres[k],
            )
            place = [node[axis] for axis in "xyz"]
            np.testing.assert_allclose(place, load_centres("fs86")[k])
        facts = graph.graph
        assert (facts["participant_id"], facts["flavor"]) == (
            f"sub-{SESSIONS[row]['sub']}",
            flavor.name,
        )


def test_pandas_and_networkx_read_the_edge_lists(
    written: tuple[Path, Squares], tmp_path: Path
) -> None:
    """One of each session, and one of everyone with a column that says whose."""
    root, squares = written
    check(export(root, tmp_path / "each", "--format", "edges", "--flavors", SC.name))
    check(export(root, tmp_path / "all", "--format", "edges", "--flavors", SC.name, "--stacked"))
    everyone = pd.read_csv(
        tmp_path / "all/atlas-fs86_meas-SCifod2actVN_relmat.edges.tsv", sep="\t", dtype=str
    )
    for row, own in enumerate(SESSIONS):
        table = pd.read_csv(find(tmp_path / "each", row, SC, ".edges.tsv"), sep="\t")
        graph = nx.from_pandas_edgelist(table, "region_1", "region_2", "weight")
        wanted = squares[row, SC, ""]
        seen = [name for name in NAMES if name in graph]
        index = [NAMES.index(name) for name in seen]
        found = nx.to_numpy_array(graph, nodelist=seen)
        np.testing.assert_array_equal(found, wanted[np.ix_(index, index)])
        assert len(table) == np.count_nonzero(np.triu(wanted, 1))
        is_own = (everyone.participant_id == f"sub-{own['sub']}") & (
            everyone.session_id == f"ses-{own['ses']}"
        )
        own_rows = everyone[is_own][["region_1", "region_2", "weight"]].reset_index(drop=True)
        pd.testing.assert_frame_equal(own_rows.astype({"weight": float}), table)


@pytest.mark.parametrize("order", ["rows", "columns"])
def test_vectors_stand_in_the_order_that_is_stated(
    written: tuple[Path, Squares], tmp_path: Path, order: str
) -> None:
    """Rows: numpy's upper triangle. Columns: MATLAB's, which runs down the columns."""
    root, squares = written
    words = ("--format", "vectors", "--flavors", FC.name, "--stacked", "--order", order)
    check(export(root, tmp_path / "x", *words))
    stem = "atlas-fs86_meas-FCcorrHPF_relmat"
    table = pd.read_csv(tmp_path / f"x/{stem}.vectors.tsv", sep="\t", na_values="n/a")
    assert list(table.participant_id) == ["sub-01", "sub-01", "sub-02"]
    assert list(table.session_id) == ["ses-a", "ses-b", "ses-a"]
    for row in range(3):
        square = squares[row, FC, ""]
        # find(triu(ones(n), 1)) counts down the columns, one after the other
        upper = np.flatnonzero(np.triu(np.ones_like(square), 1).ravel(order="F"))
        wanted = {
            "rows": square[np.triu_indices(86, 1)],
            "columns": square.ravel(order="F")[upper],
        }[order]
        np.testing.assert_array_equal(table.iloc[row, 2:].to_numpy(float), wanted)
        if order == "columns":
            np.testing.assert_array_equal(sym_matrix_to_vec(square, discard_diagonal=True), wanted)
        by_name = [
            square[NAMES.index(a), NAMES.index(b)]
            for a, b in (c.split("~") for c in table.columns[2:])
        ]
        np.testing.assert_array_equal(by_name, wanted)
    third = {"rows": (0, 3), "columns": (1, 2)}[order]
    assert table.columns[4] == "~".join(NAMES[k] for k in third)
    facts = json.loads((tmp_path / f"x/{stem}.json").read_text())
    assert {"rows": "row by row", "columns": "column by column"}[order] in facts["VectorOrder"]


def test_scipy_reads_the_mat_file(written: tuple[Path, Squares], tmp_path: Path) -> None:
    """Regions x regions x sessions, no self-connections, cells of names, NaN where unseen."""
    root, squares = written
    check(export(root, tmp_path / "x", "--format", "mat", "--stacked", "--flavors", FC.name))
    found = loadmat(tmp_path / "x/atlas-fs86_meas-FCcorrHPF_relmat.mat")
    assert found["connectivity"].shape == (86, 86, 3)
    for row in range(3):
        wanted = squares[row, FC, ""].copy()
        np.fill_diagonal(wanted, 0)
        np.testing.assert_array_equal(found["connectivity"][:, :, row], wanted)
    assert found["names"].shape == (86, 1)
    assert [cell.item() for cell in found["names"][:, 0]] == list(NAMES)
    assert [cell.item() for cell in found["participants"][:, 0]] == ["sub-01", "sub-01", "sub-02"]
    np.testing.assert_array_equal(found["coordinates"], load_centres("fs86"))
    assert found["flavor"].item() == FC.name


def test_nbs_finds_one_variable_alone_in_its_folder(
    written: tuple[Path, Squares], tmp_path: Path
) -> None:
    """It takes the first variable of a file, and every text file beside it for a matrix."""
    root, squares = written
    check(export(root, tmp_path / "x", "--format", "nbs", "--flavors", SC.name))
    folder = tmp_path / "x/atlas-fs86_meas-SCifod2actVN_relmat_nbs"
    (matrices,) = (folder / "matrices").iterdir()
    ((name, shape, _),) = whosmat(matrices)
    assert shape == (86, 86, 3)
    for row in range(3):
        np.testing.assert_array_equal(loadmat(matrices)[name][:, :, row], squares[row, SC, ""])
    coordinates = np.loadtxt(folder / "coordinates.txt")
    np.testing.assert_array_equal(coordinates, load_centres("fs86"))
    assert (folder / "labels.txt").read_text().split() == list(NAMES)
    people = pd.read_csv(folder / "sessions.tsv", sep="\t")
    assert list(people.participant_id) == ["sub-01", "sub-01", "sub-02"]


def test_conn_finds_its_matrix_nifti(written: tuple[Path, Squares], tmp_path: Path) -> None:
    """Regions x regions x 1 x sessions, no diagonal, and names, centres and samples in JSON."""
    root, squares = written
    check(export(root, tmp_path / "x", "--format", "conn", "--stacked", "--flavors", SC.name))
    path = tmp_path / "x/atlas-fs86_meas-SCifod2actVN_relmat.mtx.nii"
    values = nib.load(path).get_fdata()
    assert values.shape == (86, 86, 1, 3)
    for row in range(3):
        wanted = squares[row, SC, ""].copy()
        np.fill_diagonal(wanted, np.nan)
        np.testing.assert_array_equal(values[:, :, 0, row], wanted.astype(np.float32))
    facts = json.loads(path.with_suffix(".json").read_text())
    assert facts["names"] == list(NAMES)
    assert np.array(facts["coords"]).shape == (86, 3)
    assert facts["samples"] == ["sub-01_ses-a", "sub-01_ses-b", "sub-02_ses-a"]


def test_regions_that_one_session_lacks_are_said_or_left_out(
    written: tuple[Path, Squares], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """NaN by default; with --drop-missing names, places and matrix shrink together."""
    root, squares = written
    words = ("--format", "mat", "--stacked", "--flavors", FC.name)
    check(export(root, tmp_path / "kept", *words))
    assert NAMES[UNSEEN] in caplog.text
    check(export(root, tmp_path / "dropped", *words, "--drop-missing"))
    found = loadmat(tmp_path / "dropped/atlas-fs86_meas-FCcorrHPF_relmat.mat")
    keep = [k for k in range(86) if k != UNSEEN]
    assert [cell.item() for cell in found["names"][:, 0]] == [NAMES[k] for k in keep]
    np.testing.assert_array_equal(found["coordinates"], load_centres("fs86")[keep])
    wanted = squares[2, FC, ""][np.ix_(keep, keep)].copy()
    np.fill_diagonal(wanted, 0)
    np.testing.assert_array_equal(found["connectivity"][:, :, 2], wanted)


def test_predicted_and_calibrated_are_told_apart(
    written: tuple[Path, Squares], tmp_path: Path
) -> None:
    """By the names of the files and the facts beside them."""
    root, squares = written
    words = ("--format", "vectors", "--what", "predicted", "calibrated", "--flavors", SC.name)
    check(export(root, tmp_path / "x", *words))
    assert not find(tmp_path / "x", 0, SC, ".vectors.tsv").exists()
    kinds = {"fusionSC": ("kraken", "predicted"), "calibrated": ("krakencal", "calibrated")}
    for key, (ending, what) in kinds.items():
        path = find(tmp_path / "x", 2, SC, ".vectors.tsv", f"fusionSC{ending}")
        row = pd.read_csv(path, sep="\t").iloc[0, 2:].to_numpy(float)
        np.testing.assert_array_equal(row, squares[2, SC, key][np.triu_indices(86, 1)])
        facts = json.loads(find(tmp_path / "x", 2, SC, ".json", f"fusionSC{ending}").read_text())
        assert (facts["What"], facts["PredictedFrom"]) == (what, "fusionSC")


def test_predictions_in_archives_are_found_too(
    written: tuple[Path, Squares], tmp_path: Path
) -> None:
    """As --output-format h5 writes them."""
    root, squares = written
    for place, key, ending in (
        (prediction_archive_path, "fusionSC", "kraken"),
        (calibrated_archive_path, "calibrated", "krakencal"),
    ):
        for table in root.rglob(f"*_desc-fusionSC{ending}_relmat*"):
            table.unlink()
        archive = place(root, "02", "a")
        with write_hdf5(archive) as file:
            file[f"fusionSC/{SC.name}"] = squares[2, SC, key].astype(np.float32)
        write_json(sidecar_path(archive), {"RunDigest": "now"})
    words = ("--format", "vectors", "--what", "predicted", "calibrated")
    check(export(root, tmp_path / "x", *words))
    for key, ending in (("fusionSC", "kraken"), ("calibrated", "krakencal")):
        path = find(tmp_path / "x", 2, SC, ".vectors.tsv", f"fusionSC{ending}")
        row = pd.read_csv(path, sep="\t").iloc[0, 2:].to_numpy(float)
        wanted = squares[2, SC, key][np.triu_indices(86, 1)]
        np.testing.assert_array_equal(row, wanted.astype(np.float32))


def test_predictions_of_an_earlier_run_stay_behind(
    written: tuple[Path, Squares], tmp_path: Path
) -> None:
    """Their sidecar names another run than that of the latents."""
    root, _ = written
    old = relmat_path(root, SESSIONS[0], SC, source="fusionSC")
    write_json(sidecar_path(old), {"RunDigest": "before"})
    result = export(root, tmp_path / "x", "--format", "vectors", "--what", "predicted")
    check(result)
    assert not find(tmp_path / "x", 0, SC, ".vectors.tsv", "fusionSCkraken").exists()
    lacking = (
        "predicted SCifod2act_fs86_volnorm from fusionSC: 1 session(s) have none: sub-01_ses-a"
    )
    assert lacking in " ".join(result.output.split())
    assert find(tmp_path / "x", 1, SC, ".vectors.tsv", "fusionSCkraken").exists()


def test_tables_of_an_earlier_run_do_not_stand_for_the_archive_of_the_last(
    written: tuple[Path, Squares], tmp_path: Path
) -> None:
    """--output-format h5 leaves the tables of a run before it where they are."""
    root, squares = written
    old = relmat_path(root, SESSIONS[2], SC, source="fusionSC")
    write_json(sidecar_path(old), {"RunDigest": "before"})
    archive = prediction_archive_path(root, "02", "a")
    now = squares[2, SC, "fusionSC"] / 2
    with write_hdf5(archive) as file:
        file[f"fusionSC/{SC.name}"] = now
    write_json(sidecar_path(archive), {"RunDigest": "now"})
    check(export(root, tmp_path / "x", "--format", "vectors", "--what", "predicted"))
    path = find(tmp_path / "x", 2, SC, ".vectors.tsv", "fusionSCkraken")
    row = pd.read_csv(path, sep="\t").iloc[0, 2:].to_numpy(float)
    np.testing.assert_array_equal(row, now[np.triu_indices(86, 1)])


def test_a_damaged_file_fails_its_session_alone(
    written: tuple[Path, Squares], tmp_path: Path
) -> None:
    """It is named, the others are written, and the exit code says so."""
    root, squares = written
    path = relmat_path(root, SESSIONS[1], SC, source=None)
    path.write_text(path.read_text()[:1000])
    result = export(root, tmp_path / "x", "--format", "mat", "--stacked", "--flavors", SC.name)
    assert result.exit_code == 1
    found = loadmat(tmp_path / "x/atlas-fs86_meas-SCifod2actVN_relmat.mat")
    assert found["connectivity"].shape == (86, 86, 2)
    assert [cell.item() if cell.size else "" for cell in found["sessions"][:, 0]] == [
        "ses-a",
        "ses-a",
    ]
    np.testing.assert_array_equal(found["connectivity"][:, :, 1], squares[2, SC, ""])


def test_a_damaged_archive_fails_its_session_alone(
    written: tuple[Path, Squares], tmp_path: Path
) -> None:
    """As a copy that was cut leaves it; what the others have is written."""
    root, squares = written
    archive = prediction_archive_path(root, "02", "a")
    archive.write_bytes(b"\x89HDF\r\n\x1a\n and no more")
    words = ("--format", "vectors", "--what", "measured", "predicted", "--stacked")
    result = export(root, tmp_path / "x", *words)
    assert result.exit_code == 1
    assert str(archive) in result.output
    rows = pd.read_csv(
        tmp_path / "x/atlas-fs86_meas-SCifod2actVN_desc-fusionSCkraken_relmat.vectors.tsv",
        sep="\t",
    )
    assert list(rows.iloc[:, 1]) == ["ses-a", "ses-b"]
    wanted = squares[1, SC, "fusionSC"][np.triu_indices(86, 1)]
    np.testing.assert_array_equal(rows.iloc[1, 2:].to_numpy(float), wanted)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--flavors", "FCcorr_fs86_hpx"), "Did you mean FCcorr_fs86_hpf"),
        (("--sources", "fusion"), "expected what OUTPUT_DIR has (fusionSC)"),
        (("--participant-label", "sub-07"), "of 07 in"),
    ],
)
def test_what_is_not_there_is_named(
    written: tuple[Path, Squares], tmp_path: Path, words: tuple[str, ...], message: str
) -> None:
    """Exit code 3, with what is there."""
    result = export(written[0], tmp_path / "x", "--format", "mat", *words)
    assert result.exit_code == 3
    assert message in " ".join(result.output.split())
    assert not (tmp_path / "x").exists()


def test_wrong_folders_are_refused(written: tuple[Path, Squares], tmp_path: Path) -> None:
    """The dataset itself, its folders, whose sidecars are called the same, and none."""
    root, _ = written
    assert export(root, root, "--format", "mat").exit_code == 2
    before = sorted(root.rglob("*"))
    assert export(root, root / "sub-01" / "func", "--format", "mat").exit_code == 2
    assert sorted(root.rglob("*")) == before
    assert export(tmp_path / "nowhere", tmp_path / "x", "--format", "mat").exit_code == 3


def test_a_custom_atlas_has_the_names_of_its_table(tmp_path: Path) -> None:
    """Where nothing is known of places and networks, none are made up."""
    root = tmp_path / "out"
    square = np.array([[1, 0.5, -0.25], [0.5, 1, 0], [-0.25, 0, 1]])
    flavor = Flavor("FCcorr", "mine", "hpf")
    write_relmat(relmat_path(root, {"sub": "x"}, flavor, source=None), square)
    (root / "atlas-mine_dseg.tsv").write_text("index\tname\n1\tA B\n2\tC\n3\tD\n")
    check(export(root, tmp_path / "x", "--format", "graphml", "nbs", "conn"))
    stem = "sub-x_atlas-mine_meas-FCcorrHPF_relmat"
    graph = nx.read_graphml(tmp_path / f"x/{stem}.graphml")
    assert dict(graph.edges) == {("A B", "C"): {"weight": 0.5}, ("A B", "D"): {"weight": -0.25}}
    assert "x" not in graph.nodes["C"]
    folder = tmp_path / "x/atlas-mine_meas-FCcorrHPF_relmat_nbs"
    assert (folder / "labels.txt").read_text() == "A_B\nC\nD\n"
    assert not (folder / "coordinates.txt").exists()
    assert "coords" not in json.loads((tmp_path / f"x/{stem}.mtx.json").read_text())
