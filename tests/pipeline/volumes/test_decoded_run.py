"""A run decoded from files to files, held to the network itself."""

import json
from dataclasses import replace

import nibabel
import numpy as np
import pandas as pd
import pytest
import torch
from click.testing import CliRunner

from kraken_bids.cli.tools import main
from kraken_bids.models.volumes.architecture import VolumeArchitecture, VolumeCleaning
from kraken_bids.models.volumes.checkpoint import VolumeModel, write_volume_model
from kraken_bids.models.volumes.network import build_network
from kraken_bids.models.volumes.relevance import explain_volume
from kraken_bids.pipeline.volumes.cleaned_volumes import (
    AFFINE,
    open_cleaned_volumes,
)
from kraken_bids.pipeline.volumes.decoded_run import decode_run
from kraken_bids.pipeline.volumes.decoders import compare_times
from kraken_bids.pipeline.volumes.decoding_request import DecodingRequest
from tests.pipeline.volumes.conftest import N_VOLUMES, SHAPE, TR, write_noise, write_run

START = "sub-01_task-motor_space-MNI152NLin6Asym_res-2"
NAMES = ("left", "right", "left2")
"""Of the states; two tasks may have one of the same name."""


@pytest.fixture(scope="module")
def decoded(model, tmp_path_factory):
    """Decode by the command, and give the volumes that the network saw; read only."""
    folder = tmp_path_factory.mktemp("decoded")
    run = write_noise(folder / "func")
    labels = np.zeros(SHAPE, np.uint8)
    labels[3:6, 3:-3, 3:-3], labels[6:9, 3:-3, 3:-3] = 1, 2
    image = folder / "space-MNI152NLin6Asym_dseg.nii.gz"
    nibabel.save(nibabel.Nifti1Image(labels, AFFINE), image)
    out = folder / "out"
    decoder = write_volume_model(model, folder / "decoder")
    outcome = CliRunner().invoke(
        main,
        ["decode-volumes", str(run[0]), "--mask", str(run[1]), "--decoder", str(decoder),
         "--output-dir", str(out), "--relevance", "--labels", f"halves={image}"],
    )  # fmt: skip
    assert outcome.exit_code == 0, outcome.output
    with open_cleaned_volumes(
        *run, space="MNI152NLin6Asym", cleaning=VolumeCleaning(), folder=folder, shape=SHAPE
    ) as volumes:
        return out, torch.from_numpy(volumes.read(0, N_VOLUMES)), labels


def test_probabilities_are_the_networks(decoded, model) -> None:
    out, volumes, _ = decoded
    table = pd.read_csv(out / f"{START}_desc-decode_probabilities.tsv", sep="\t")
    with torch.no_grad():
        expected = model.network(volumes).double().softmax(1).numpy()
    np.testing.assert_allclose(table[[f"p_{name}" for name in NAMES]], expected, atol=1e-5)
    assert list(table["onset"]) == [TR * k for k in range(N_VOLUMES)]
    assert list(table["state"]) == [NAMES[k] for k in expected.argmax(1)]
    told = json.loads((out / f"{START}_desc-decode_probabilities.json").read_text())
    assert told["SmoothingFWHM"] == 3.0
    assert told["Notes"] == []  # nothing is known of the times of its training
    assert told["Architecture"] == model.network.architecture.kind.upper()
    assert set(table) <= set(told)


def test_another_repetition_time_than_that_of_the_training_is_told(run, model, tmp_path) -> None:
    known = replace(model, provenance={"RepetitionTimes": [0.72, 1.9]})
    assert compare_times(known, [1.9, 2.0, 0.735]) == []
    assert compare_times(model, [TR]) == []
    known = replace(model, provenance={"RepetitionTimes": [0.72]})
    paths = decode_run(known, DecodingRequest(*run, tmp_path / "out"))
    (note,) = json.loads(paths[0].with_suffix(".json").read_text())["Notes"]
    assert "volumes every 2 s; the decoder was trained on those every 0.72 s" in note


def test_relevance_is_written_per_volume_and_adds_up_in_regions(decoded, model) -> None:
    out, volumes, labels = decoded
    image = nibabel.load(out / f"{START}_desc-decode_relevance.nii.gz")
    assert image.shape == (*SHAPE, N_VOLUMES)
    assert image.header.get_zooms() == (2, 2, 2, TR)
    np.testing.assert_array_equal(image.affine, AFFINE)
    table = pd.read_csv(out / f"{START}_desc-decode_probabilities.tsv", sep="\t")
    probabilities = table.filter(like="p_").to_numpy()
    values = image.get_fdata()
    for k in (0, 7):
        flow = explain_volume(model.network, volumes[k], int(probabilities[k].argmax()))
        expected = flow.relevance.numpy()
        np.testing.assert_allclose(values[..., k], expected, atol=1e-4 * np.abs(expected).max())
    sums = pd.read_csv(out / f"{START}_atlas-halves_desc-decode_relevance.tsv", sep="\t")
    decoded_as = probabilities.argmax(1)
    for k in np.unique(decoded_as):
        mean = values[..., decoded_as == k].mean(-1)
        name = NAMES[k]
        np.testing.assert_allclose(
            sums[name], [mean[labels == 1].sum(), mean[labels == 2].sum()],
            rtol=1e-4, atol=1e-6,
        )  # fmt: skip
        assert (out / f"{START}_stat-mean_label-{name}_desc-decode_relevance.nii.gz").is_file()
    told = json.loads((out / f"{START}_desc-decode_relevance.json").read_text())
    assert told["LostRelevance"]


def test_the_command_draws_a_page_of_its_run(decoded) -> None:
    out = decoded[0]
    html = (out / f"{START}_desc-decode_report.html").read_text()
    table = pd.read_csv(out / f"{START}_desc-decode_probabilities.tsv", sep="\t")
    for words in (f"in every volume of {START}", "arrived at the voxels",
                  "Relevance in regions of halves", "cleaning deeplight"):  # fmt: skip
        assert words in html, words
    pictures = {path.name for path in (out / "figures").iterdir()}
    assert len(pictures) == 1 + table["state"].nunique()
    assert html.count("data:image/png") == len(pictures)


def test_regions_beside_the_volumes_have_no_sum_and_an_atlas_of_such_is_refused(
    run, model, tmp_path
) -> None:
    """A sum over nothing would be a relevance of 0."""
    decoder = write_volume_model(model, tmp_path / "decoder")
    labels = np.zeros((*SHAPE[:2], SHAPE[2] + 4), np.uint8)
    labels[3:6, 3:6, 3:6], labels[3:6, 3:6, -2:] = 1, 2
    image = tmp_path / "space-MNI152NLin6Asym_dseg.nii.gz"
    words = [
        "decode-volumes", str(run[0]), "--mask", str(run[1]), "--decoder", str(decoder),
        "--output-dir", str(tmp_path / "out"), "--relevance", "--labels", f"two={image}",
    ]  # fmt: skip
    nibabel.save(nibabel.Nifti1Image(labels, AFFINE), image)
    assert CliRunner().invoke(main, words).exit_code == 0
    (path,) = (tmp_path / "out").glob("*_atlas-two_*.tsv")
    sums = pd.read_csv(path, sep="\t").drop(columns="region").to_numpy()
    assert np.isfinite(sums[0]).all()
    assert np.isnan(sums[1]).all()
    path.unlink()
    labels[..., : SHAPE[2]] = 0
    labels[3, 3, -1] = 1
    nibabel.save(nibabel.Nifti1Image(labels, AFFINE), image)
    outcome = CliRunner().invoke(main, words)
    assert outcome.exit_code == 3
    assert "expected regions of the atlas" in outcome.output
    assert not path.exists()


def test_another_template_and_labels_of_another_space_are_refused(run, model, tmp_path) -> None:
    decoder = write_volume_model(model, tmp_path / "decoder")
    other = run[0].with_name(run[0].name.replace("NLin6Asym", "NLin2009cAsym"))
    run[0].rename(other)
    outcome = CliRunner().invoke(
        main,
        ["decode-volumes", str(other), "--mask", str(run[1]), "--decoder", str(decoder),
         "--output-dir", str(tmp_path / "out")],
    )  # fmt: skip
    assert outcome.exit_code == 3
    assert "--output-spaces MNI152NLin6Asym:res-2" in outcome.output


def test_weights_that_are_none_are_refused(run, tmp_path) -> None:
    for name, content in (("weights.npy", b"no numbers"), ("weights.hdf5", b"nor here")):
        path = tmp_path / name
        path.write_bytes(content)
        outcome = CliRunner().invoke(
            main,
            ["decode-volumes", str(run[0]), "--mask", str(run[1]), "--decoder", str(path),
             "--output-dir", str(tmp_path / "out")],
        )  # fmt: skip
        assert outcome.exit_code == 5
        assert str(path) in outcome.output


def test_a_run_too_short_for_the_filter_is_named(run, model, tmp_path) -> None:
    values = nibabel.load(run[0]).get_fdata()[..., :8]
    other = write_run(
        tmp_path / "short", values, nibabel.load(run[1]).get_fdata().astype(np.uint8)
    )
    outcome = CliRunner().invoke(
        main,
        ["decode-volumes", str(other[0]), "--mask", str(other[1]), "--decoder",
         str(write_volume_model(model, tmp_path / "decoder")), "--output-dir", str(tmp_path)],
    )  # fmt: skip
    assert outcome.exit_code != 0
    assert "8 volumes" in outcome.output


def test_states_of_like_names_have_files_and_columns_of_their_own(run, tmp_path) -> None:
    """Those that differ in a sign alone, which no name of a file may hold, among them."""
    states = ("win", "win", "win2", "win+", "win-")
    torch.manual_seed(3)
    network = build_network(VolumeArchitecture("2d", states, SHAPE, (3, 4), (1, 2)))
    with torch.no_grad():
        network.output.weight.mul_(100)
    decoder = write_volume_model(VolumeModel(network.eval()), tmp_path / "decoder")

    outcome = CliRunner().invoke(
        main,
        ["decode-volumes", str(run[0]), "--mask", str(run[1]), "--decoder", str(decoder),
         "--output-dir", str(tmp_path / "out"), "--relevance"],
    )  # fmt: skip

    assert outcome.exit_code == 0, outcome.output
    (path,) = (tmp_path / "out").glob("*_probabilities.tsv")
    table = pd.read_csv(path, sep="\t")
    columns = ["p_win", "p_win2", "p_win22", "p_win+", "p_win-"]
    assert list(table.filter(like="p_")) == columns
    np.testing.assert_allclose(table[columns].sum(axis=1), 1, rtol=1e-6)
    assert list(table["state"]) == [columns[k][2:] for k in table[columns].to_numpy().argmax(1)]
    assert len(list((tmp_path / "out").glob("*_stat-mean_*.nii.gz"))) == table["state"].nunique()


def test_the_rule_of_the_2d_release_is_refused_of_a_3d_decoder(run, model, tmp_path) -> None:
    """It would change nothing there; before the run is read, and without a file."""
    decoder = write_volume_model(model, tmp_path / "decoder")
    words = [
        "decode-volumes", str(run[0]), "--mask", str(run[1]), "--decoder", str(decoder),
        "--output-dir", str(tmp_path / "out"), "--lrp", "original",
    ]  # fmt: skip
    alone = CliRunner().invoke(main, words)
    assert alone.exit_code == 2
    assert "expected --relevance" in alone.output
    outcome = CliRunner().invoke(main, [*words, "--relevance"])
    if model.network.architecture.kind == "2d":
        assert outcome.exit_code == 0, outcome.output
        (path,) = (tmp_path / "out").glob("*res-2_desc-decode_relevance.json")
        assert json.loads(path.read_text())["Rule"] == "epsilon, original"
        return
    assert outcome.exit_code == 2
    assert "alpha 2 and beta 1" in " ".join(outcome.output.split())
    assert not (tmp_path / "out").exists()


def test_regions_without_relevance_are_refused(run, model, tmp_path) -> None:
    outcome = CliRunner().invoke(
        main,
        ["decode-volumes", str(run[0]), "--mask", str(run[1]), "--decoder",
         str(write_volume_model(model, tmp_path / "decoder")), "--output-dir", str(tmp_path),
         "--labels", "halves=x.nii.gz"],
    )  # fmt: skip
    assert outcome.exit_code == 2
    assert "expected --relevance" in outcome.output
