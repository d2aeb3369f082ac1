"""kraken-tools explain on a small cohort, from files to matrices, knock-outs and pictures."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner, Result
from numpy.typing import NDArray

from kraken_bids.bids.outputs import relmat_path
from kraken_bids.cli.tools import main
from kraken_bids.connectome.matrices import edges_to_square
from kraken_bids.flavors import Flavor, parse_flavor
from kraken_bids.io.tables import read_columns
from kraken_bids.io.writing import write_relmat
from kraken_bids.models.krakencoder.model import Model
from kraken_bids.parcellations import load_parcellation

FC, SC = parse_flavor("FCcorr_fs86_hpf"), parse_flavor("SCifod2act_fs86_volnorm")
EDGE = ("ctx-lh-precuneus", "ctx-rh-precuneus")
MATRIX = "atlas-fs86_meas-SCifod2actVN_desc-sensitivity_relmat.dense.tsv"


def explain(*words: str | Path, model: Path) -> Result:
    return CliRunner().invoke(main, ["explain", "--model", str(model), *map(str, words)])


@pytest.fixture
def people(tmp_path: Path, cohort_edges: dict[Flavor, NDArray[np.float64]]) -> Path:
    """Write the cohort as one file."""
    path = tmp_path / "people.npz"
    labels = [f"{k:02d}" for k in range(1, 13)]
    arrays = {flavor.name: rows for flavor, rows in cohort_edges.items()}
    np.savez(path, subjects=labels, **arrays)
    return path


def predict(model: Path, people: Path, folder: Path, *, source: str) -> NDArray[np.float64]:
    """Predictions of ``kraken-tools predict`` ``[n_subjects, n_edges]`` with the same inputs."""
    output = folder / "predicted.npz"
    words = ["--input", str(people), "--sources", source, "--output", str(output)]
    result = CliRunner().invoke(main, ["predict", "--model", str(model), *words])
    assert result.exit_code == 0, result.output
    found: NDArray[np.float64] = np.load(output)[f"{source}->{FC.name}"]
    return found


def test_an_edge_is_explained_at_the_prediction_that_predict_makes(
    model_folder: Path, people: Path, tmp_path: Path
) -> None:
    """The value is that of predict, adapted alike; all files are there."""
    out = tmp_path / "out"
    words = ["--input", people, "--subject", "sub-03", "--source", "fusionSC"]
    result = explain(
        *words, "--target", FC.name, "--edge", *EDGE, "--output", out, model=model_folder
    )
    assert result.exit_code == 0, result.output

    facts = json.loads((out / "explanation.json").read_text())
    names = load_parcellation("fs86").region_names
    a, b = sorted(names.index(name) for name in EDGE)
    edge = int(edges_to_square(np.arange(3655.0), diagonal=-1)[a, b])
    predicted = predict(model_folder, people, tmp_path, source="fusionSC")
    assert facts["Value"] == pytest.approx(float(predicted[2, edge]), rel=1e-4)
    assert facts["Subject"] == "03"
    assert facts["AdaptationMode"] == "meanfit+meanshift"
    assert facts["NotDifferentiable"] == []

    square = np.loadtxt(out / MATRIX)
    np.testing.assert_array_equal(square, square.T)
    assert square.shape == (86, 86)
    sidecar = json.loads((out / MATRIX.replace(".dense.tsv", ".json")).read_text())
    assert sidecar["Flavor"] == SC.name
    assert "as it was given" in sidecar["Description"]
    assert (out / "atlas-fs86_meas-SCifod2actVN_desc-sensitivity_brain.png").stat().st_size > 5000
    assert (out / "atlas-fs86_dseg.tsv").exists()

    table = pd.read_csv(out / "knockouts.tsv", sep="\t")
    n_networks = len(set(load_parcellation("fs86").groups))
    counts = table.groupby("level").size()
    assert counts["brain"] == 1
    assert counts["network"] == n_networks
    assert counts["region"] == 86
    assert json.loads((out / "knockouts.json").read_text())["change"]["Description"]
    assert table.n_edges[table.level == "region"].eq(85).all()


def test_each_input_of_a_fusion_has_its_own_matrix_and_all_are_knocked_out_together(
    model_folder: Path, people: Path, tmp_path: Path
) -> None:
    """A mean over networks, from everything the person has."""
    words = ["--input", people, "--subject", "05", "--target", FC.name]
    result = explain(
        *words, "--block", "Frontal", "Frontal", "--output", tmp_path / "out", model=model_folder
    )
    assert result.exit_code == 0, result.output
    facts = json.loads((tmp_path / "out/explanation.json").read_text())
    assert facts["Score"] == "mean over edges within Frontal"
    assert len(facts["Inputs"]) == 3
    assert len(list((tmp_path / "out").glob("*_relmat.dense.tsv"))) == 3
    table = pd.read_csv(tmp_path / "out/knockouts.tsv", sep="\t")
    assert set(table.input) == {*facts["Inputs"], "all"}
    whole = table[(table.input == "all") & (table.level == "brain")]
    assert whole.n_edges.tolist() == [3 * 3655]


def test_a_score_is_the_sum_of_products_with_the_weights_of_a_file(
    model_folder: Path, people: Path, tmp_path: Path, rng: np.random.Generator
) -> None:
    """In a text file, as matrices are."""
    weights = rng.normal(size=3655)
    write_relmat(tmp_path / "w.tsv", edges_to_square(weights, diagonal=0))
    words = ["--input", people, "--subject", "02", "--target", FC.name, "--source", SC.name]
    result = explain(
        *words, "--weights", tmp_path / "w.tsv", "--output", tmp_path / "out", model=model_folder
    )
    assert result.exit_code == 0, result.output
    facts = json.loads((tmp_path / "out/explanation.json").read_text())
    predicted = predict(model_folder, people, tmp_path, source=SC.name)
    assert facts["Value"] == pytest.approx(float(predicted[1] @ weights), rel=1e-3)


def test_without_people_a_latent_is_explained_at_the_training_mean(
    model_folder: Path, model: Model, tmp_path: Path
) -> None:
    """Where nothing can be knocked out; the derivative is that of the model written out."""
    words = ["--latent", "1", "--source", SC.name, "--output", tmp_path / "out"]
    result = explain(*words, model=model_folder)
    assert result.exit_code == 0, result.output
    facts = json.loads((tmp_path / "out/explanation.json").read_text())
    assert facts["Subject"] == "training mean"
    assert not (tmp_path / "out/knockouts.tsv").exists()
    mean = model.training_means()[SC].astype(np.float64)
    assert facts["Value"] == pytest.approx(float(model.encode(SC, mean[None])[0, 1]), rel=1e-5)
    arrays = model.network.arrays
    weight = arrays[f"encoders.{SC.name}.linears.0.weight"].astype(np.float64)
    bias = arrays[f"encoders.{SC.name}.linears.0.bias"].astype(np.float64)
    affine = model.reductions[SC].to_affine()
    assert affine.matrix is not None
    unit = bias / np.linalg.norm(bias)
    inner = (np.eye(4)[1] - unit * unit[1]) / np.linalg.norm(bias)
    expected = (inner @ weight * affine.scale) @ affine.matrix
    found = np.loadtxt(tmp_path / "out" / MATRIX)[np.triu_indices(86, 1)]
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5 * np.abs(expected).max())


def test_missing_regions_are_missing_in_the_matrix_too(
    model_folder: Path, cohort_edges: dict[Flavor, NDArray[np.float64]], tmp_path: Path
) -> None:
    """And the sidecar names them."""
    square = edges_to_square(cohort_edges[SC][0], diagonal=0)
    square[7] = square[:, 7] = np.nan
    path = relmat_path(tmp_path, {"sub": "01"}, SC, source=None)
    write_relmat(path, square)
    out = tmp_path / "out"
    words = ["--input", f"{SC.name}={path}", "--latent", "0", "--output", out]
    result = explain(*words, model=model_folder)
    assert result.exit_code == 0, result.output
    found = np.loadtxt(out / MATRIX)
    assert np.isnan(found[7]).all()
    assert np.isfinite(np.delete(np.delete(found, 7, 0), 7, 1)).all()
    sidecar = json.loads((out / MATRIX.replace(".dense.tsv", ".json")).read_text())
    assert sidecar["MissingRegions"] == [load_parcellation("fs86").region_names[7]]


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["--target", FC.name], 2, "expected one of --edge REGION REGION"),
        (["--edge", *EDGE], 2, "expected --target FLAVOR with --edge"),
        (["--target", FC.name, "--edge", EDGE[0]], 2, "expected two names with --edge"),
        (["--target", FC.name, "--edge", EDGE[0], "ctx-lh-precuneu"], 3, "Did you mean"),
        (["--target", FC.name, "--edge", "3", "3"], 3, "two different regions"),
        (["--target", FC.name, "--block", "Frontal", "Visual"], 3, "networks of fs86 (Cerebellum"),
        (["--latent", "4"], 2, "a number from 0 to 3; found 4"),
        (["--latent", "0", "--subject", "99"], 2, "expected one of the 12 subjects"),
        (["--latent", "0"], 2, "expected one of the 12 subjects"),
        (["--latent", "0", "--subject", "1", "--source", "fusionXY"], 3, "expected a source"),
    ],
)
def test_wrong_questions_are_refused(
    words: Sequence[str], code: int, message: str, model_folder: Path, people: Path, tmp_path: Path
) -> None:
    """With what was expected and what was found."""
    out = tmp_path / "out"
    result = explain("--input", people, *words, "--output", out, model=model_folder)
    assert result.exit_code == code, result.output
    assert message in result.output
    assert not out.exists()


def test_who_is_explained_needs_an_input(model_folder: Path, tmp_path: Path) -> None:
    """At the training mean there is nobody."""
    words = ["--latent", "0", "--subject", "01", "--output", tmp_path / "out"]
    result = explain(*words, model=model_folder)
    assert result.exit_code == 2
    assert "expected --input with --subject" in result.output


def test_networks_of_ones_own_are_read_from_a_table(
    model_folder: Path, people: Path, tmp_path: Path
) -> None:
    """Its column group; other numbers of regions are refused."""
    names = load_parcellation("fs86").region_names
    table = tmp_path / "own.tsv"
    rows = [f"{k + 1}\t{name}\t{'front' if k < 40 else 'back'}" for k, name in enumerate(names)]
    table.write_text("\n".join(["index\tname\tgroup", *rows]) + "\n")
    words = ["--input", people, "--subject", "1", "--target", FC.name, "--source", SC.name]
    out = tmp_path / "out"
    chosen = ["--block", "front", "back", "--atlas", f"fs86={table}", "--output", out]
    result = explain(*words, *chosen, model=model_folder)
    assert result.exit_code == 0, result.output
    found = read_columns(out / "knockouts.tsv")
    assert set(found["name"][found["level"] == "network"]) == {"front", "back"}
    table.write_text("\n".join(["index\tname\tgroup", *rows[:-1]]) + "\n")
    result = explain(*words, *chosen, model=model_folder)
    assert result.exit_code == 4
    assert "expected the 86 regions of fs86" in result.output
