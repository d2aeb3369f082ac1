"""Predictions as BIDS-named tables, in a folder and zipped, and read back."""

import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from kraken_bids.bids.outputs import (
    calibrated_archive_path,
    latents_path,
    prediction_archive_path,
    relmat_path,
    sidecar_path,
)
from kraken_bids.cli.commands.predict import predict
from kraken_bids.cohort.from_files import read_connectomes
from kraken_bids.cohort.stored_predictions import read_predictions
from kraken_bids.flavors import parse_flavor
from kraken_bids.io.hdf5 import write_hdf5
from kraken_bids.io.writing import write_json, write_relmat
from kraken_bids.models.krakencoder.load import load_model

FC, SC = parse_flavor("FCcorr_fs86_hpf"), parse_flavor("SCifod2act_fs86_volnorm")
SUBJECTS = ["01", "02_ses-a", "03"]
WORDS = ("--adaptation-mode", "none", "--targets", FC.name, SC.name)


@pytest.fixture
def inputs(tmp_path: Path) -> Path:
    """Two flavors; the last subject has one of them alone."""
    rng = np.random.default_rng(0)
    edges = {flavor.name: rng.normal(size=(3, 3655)) for flavor in (FC, SC)}
    edges[SC.name][2] = np.nan
    np.savez(tmp_path / "inputs.npz", subjects=SUBJECTS, **edges)
    return tmp_path / "inputs.npz"


def run(model: Path, inputs: Path, output: Path, *words: object) -> Result:
    every = ["--model", model, "--input", inputs, "--output", output, *WORDS, *words]
    return CliRunner().invoke(predict, [str(word) for word in every])


@pytest.mark.parametrize("name", ["tables", "tables.zip"])
def test_tables_hold_what_the_arrays_hold(
    model_folder: Path, inputs: Path, tmp_path: Path, name: str
) -> None:
    """Every source and target, by subject and session, to the six digits that are written."""
    for output in (name, "o.npz"):
        result = run(model_folder, inputs, tmp_path / output)
        assert result.exit_code == 0, result.output
    with np.load(tmp_path / "o.npz") as file:
        expected = dict(file)

    found = read_predictions(tmp_path / name)

    assert set(found.subjects) == set(SUBJECTS)
    order = [found.subjects.index(subject) for subject in SUBJECTS]
    keys = {(s, t) for s in ("fusion", "fusionFC", "fusionSC") for t in (FC, SC)}
    assert set(found.readers) == keys
    for source, target in keys:
        rows = found.read(source, target)[order]
        values = expected[f"{source}->{target}"]
        np.testing.assert_allclose(rows, values, atol=1e-5 * np.nanmax(np.abs(values)))
    assert np.isnan(found.read("fusionSC", FC)[order[2]]).all()


def test_calibrated_predictions_are_a_source_of_their_own(tmp_path: Path) -> None:
    """Beside raw ones, in tables and in archives of sessions."""
    entities = {"sub": "01"}
    archives = prediction_archive_path, calibrated_archive_path
    for value, is_calibrated in enumerate((False, True)):
        square = np.full((86, 86), float(value))
        tables, name = tmp_path / "tables", archives[value](tmp_path / "h5", "01", None)
        write_relmat(
            relmat_path(tables, entities, FC, source="fusionSC", is_calibrated=is_calibrated),
            square,
        )
        with write_hdf5(name) as file:
            file[f"fusionSC/{FC.name}"] = square
    for folder in ("tables", "h5"):
        found = read_predictions(tmp_path / folder)
        assert set(found.readers) == {("fusionSC", FC), ("fusionSC.cal", FC)}
        assert np.all(found.read("fusionSC", FC) == 0)
        assert np.all(found.read("fusionSC.cal", FC) == 1)


def test_predictions_of_an_earlier_run_are_not_judged(tmp_path: Path) -> None:
    """Neither an archive of another output format, nor a table of a source no longer asked for."""
    flavor, square = FC, np.eye(86)
    archive = prediction_archive_path(tmp_path, "01", None)
    with write_hdf5(archive) as file:
        file[f"fusionSC/{flavor.name}"] = square + 2
    table = relmat_path(tmp_path, {"sub": "01"}, flavor, source="fusionSC")
    write_relmat(table, square)
    other = relmat_path(tmp_path, {"sub": "01"}, flavor, source="fusion")
    write_relmat(other, square + 3)
    write_json(sidecar_path(latents_path(tmp_path, "01", None)), {"RunDigest": "now"})
    for path, run in ((archive, "before"), (table, "now"), (other, "before")):
        write_json(sidecar_path(path), {"RunDigest": run})

    found = read_predictions(tmp_path)

    assert list(found.readers) == [("fusionSC", flavor)]
    assert not found.read("fusionSC", flavor).any()


def test_the_folder_is_a_dataset(model_folder: Path, inputs: Path, tmp_path: Path) -> None:
    """Described, with regions, one JSON per source and target, and latents per subject."""
    run(model_folder, inputs, tmp_path / "out")
    model = load_model(model_folder)

    names = {str(p.relative_to(tmp_path / "out")) for p in (tmp_path / "out").rglob("*.*")}

    stem = "atlas-fs86_meas-FCcorrHPF_desc-fusionSCkraken_relmat"
    assert {
        "dataset_description.json", "README.md", ".bidsignore", "atlas-fs86_dseg.tsv",
        f"{stem}.json", f"sub-01/func/sub-01_{stem}.dense.tsv",
        f"sub-02/ses-a/func/sub-02_ses-a_{stem}.dense.tsv",
        "sub-02/ses-a/sub-02_ses-a_desc-kraken_latents.tsv",
    } <= names  # fmt: skip
    assert f"sub-03/func/sub-03_{stem}.dense.tsv" not in names
    sidecar = json.loads((tmp_path / "out" / f"{stem}.json").read_text())
    assert (sidecar["Source"], sidecar["Flavor"]) == ("fusionSC", FC.name)
    assert sidecar["ModelSHA256"] == model.sha256
    square = np.loadtxt(tmp_path / f"out/sub-01/func/sub-01_{stem}.dense.tsv")
    np.testing.assert_array_equal(square, square.T)
    np.testing.assert_array_equal(np.diag(square), np.ones(86))
    latents = (tmp_path / "out/sub-03/sub-03_desc-kraken_latents.tsv").read_text().splitlines()
    assert latents[0].split("\t") == ["source", *(f"z{k:03d}" for k in range(model.latent_size))]
    assert [line.split("\t")[0] for line in latents[1:]] == [FC.name, "fusion", "fusionFC"]


def test_predictions_are_not_taken_for_inputs(
    model_folder: Path, inputs: Path, tmp_path: Path
) -> None:
    """Such a folder holds no measured connectome, and that is said."""
    run(model_folder, inputs, tmp_path / "out")

    result = run(model_folder, tmp_path / "out", tmp_path / "again.npz")

    assert result.exit_code == 3
    assert "found none" in result.output


def test_a_zip_of_measured_tables_goes_in_and_out(
    model_folder: Path, inputs: Path, tmp_path: Path
) -> None:
    """Tables in, tables out: the numbers of an array file of the same connectomes."""
    given = read_connectomes(inputs)
    rows, columns = np.triu_indices(86, 1)
    with zipfile.ZipFile(tmp_path / "in.zip", "w") as archive:
        for subject, edges in zip(given.subjects, given.edges[FC], strict=True):
            square = np.eye(86)
            square[rows, columns] = square[columns, rows] = edges
            text = "\n".join("\t".join(f"{v:.9g}" for v in row) for row in square)
            archive.writestr(
                f"data/sub-{subject}_atlas-fs86_meas-FCcorrHPF_relmat.dense.tsv", text
            )

    result = run(model_folder, tmp_path / "in.zip", tmp_path / "o.zip")
    assert result.exit_code == 0, result.output
    run(model_folder, inputs, tmp_path / "o.npz")

    found = read_predictions(tmp_path / "o.zip")
    with np.load(tmp_path / "o.npz") as file:
        values = file[f"fusionFC->{SC}"]
    order = [found.subjects.index(subject) for subject in SUBJECTS]
    np.testing.assert_allclose(
        found.read("fusionFC", SC)[order], values, atol=1e-5 * np.abs(values).max()
    )


def test_what_bids_names_cannot_hold_is_refused(
    model_folder: Path, inputs: Path, tmp_path: Path
) -> None:
    """Labels with other characters, sources that look alike, a file and another's dataset."""
    (tmp_path / "theirs").mkdir()
    theirs = {"Name": "x", "GeneratedBy": [{"Name": "fmriprep"}]}
    (tmp_path / "theirs" / "dataset_description.json").write_text(json.dumps(theirs))
    (tmp_path / "file").write_text("hello")
    content = dict(np.load(inputs)) | {"subjects": np.array(["a b", "c", "d"])}
    np.savez(tmp_path / "labels.npz", **content)
    alike = ["--fusion", "fusionnoself=FC*", "--exclude-self"]

    results = [
        run(model_folder, tmp_path / "labels.npz", tmp_path / "out"),
        run(model_folder, inputs, tmp_path / "out", *alike),
        run(model_folder, inputs, tmp_path / "file"),
        run(model_folder, inputs, tmp_path / "theirs"),
    ]

    assert [result.exit_code for result in results] == [2, 2, 2, 3]
    for result, word in zip(results, ("'a b'", "both desc-", "a file", "fmriprep"), strict=True):
        assert word in result.output
    assert not (tmp_path / "out").exists()
