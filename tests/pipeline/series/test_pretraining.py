"""Pretraining from files: what the folder holds, an interrupted one, what is refused."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from kraken_bids.cli.tools import main
from kraken_bids.exceptions import KrakenBidsError, SettingsError
from kraken_bids.io.tables import read_columns
from kraken_bids.io.writing import write_table
from kraken_bids.models.series.checkpoint import read_series_model
from kraken_bids.models.series.recipe import SeriesRecipe
from kraken_bids.models.series.training import make_network
from kraken_bids.models.step_training import StepSettings
from kraken_bids.pipeline.series import pretraining_watch
from kraken_bids.pipeline.series.pretraining_options import PretrainingOptions
from kraken_bids.pipeline.series_pretraining import pretrain_series

SIZES = {"embedding": 16, "n_layers": 1, "longest": 12, "shortest": 8, "batch_size": 4}


@pytest.fixture
def files(tmp_path: Path) -> list[str]:
    folder = tmp_path / "series"
    folder.mkdir()
    rng = np.random.default_rng(0)
    names = [f"sub-{k // 2:02d}_task-rest_run-{k % 2 + 1}" for k in range(8)]
    for name in names:
        values = rng.standard_normal((30, 3)) @ rng.standard_normal((3, 5))
        np.save(folder / f"{name}_timeseries.npy", values + 0.1 * rng.standard_normal((30, 5)))
    return sorted(map(str, folder.glob("*.npy")))


def choose(framework: str = "csm", n_steps: int = 40, **options: object) -> PretrainingOptions:
    recipe = SeriesRecipe(
        framework, **SIZES, steps=StepSettings(n_steps=n_steps, device="cpu", seed=3)
    )
    return PretrainingOptions(recipe, {"repetition_time": 2.0}, **options)


@pytest.mark.parametrize("framework", ["csm", "bert", "netbert", "autoencoder"])
def test_a_pretraining_writes_a_model_and_what_it_is_worth(
    framework: str, files: list[str], tmp_path: Path
) -> None:
    output = tmp_path / "model"
    model = pretrain_series(files, output, choose(framework, 10))
    found = read_series_model(output)
    assert found.data == model.data
    assert found.data.splits["validation"]
    assert not {*found.data.splits["train"]} & {*found.data.splits["validation"]}
    peers = read_columns(output / "peers.tsv")
    assert {*peers["predictor"]} == {"network", "mean", "last volume", "ridge"}
    assert {*peers["subject"]} == {"all", *found.data.splits["validation"]}
    history = read_columns(output / "history.tsv")
    assert {"loss", "error", "learning_rate"} <= {*history["metric"]}
    assert ("order" in history["metric"]) == (framework in {"bert", "netbert"})
    assert (output / "report.html").exists()
    assert not list(output.glob("*.npz"))
    assert found.embed([np.zeros((30, 5))], [2.0]).shape == (1, 16)


def test_an_interrupted_pretraining_ends_as_an_undisturbed_one(
    files: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, halved = tmp_path / "whole", tmp_path / "halved"
    pretrain_series(files, whole, choose())
    monkeypatch.setattr(pretraining_watch, "SAVE_SECONDS", 0.0)
    say = pretraining_watch.PretrainingWatch._say

    def stop(self: object, step: int, error: float, *, is_last: bool) -> None:
        if step == 30:
            raise KeyboardInterrupt
        say(self, step, error, is_last=is_last)

    monkeypatch.setattr(pretraining_watch.PretrainingWatch, "_say", stop)
    with pytest.raises(KeyboardInterrupt):
        pretrain_series(files, halved, choose())
    monkeypatch.undo()
    with pytest.raises(SettingsError, match="--resume"):
        pretrain_series(files, halved, choose())
    with pytest.raises(SettingsError, match="steps"):
        pretrain_series(files, halved, choose(n_steps=50, resume=True))
    with pytest.raises(SettingsError, match="Series"):
        pretrain_series(files[2:], halved, choose(resume=True))
    pretrain_series(files, halved, choose(resume=True))
    for name in ("weights.safetensors", "history.tsv", "peers.tsv", "splits.tsv"):
        assert (whole / name).read_bytes() == (halved / name).read_bytes(), name
    page = halved / "report.html"
    page.unlink()  # as where it was stopped before it was drawn
    (halved / "training_state.npz").touch()
    again = pretrain_series(files, halved, choose(resume=True))
    assert page.exists()
    assert not (halved / "training_state.npz").exists()
    assert again.data == read_series_model(whole).data


def test_weights_of_an_earlier_pretraining_are_gone_on_with(
    files: list[str], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    first = pretrain_series(files, tmp_path / "first", choose(n_steps=10))
    options = choose(n_steps=10, weights=tmp_path / "first")
    second = pretrain_series(files, tmp_path / "second", options)
    moved = [
        float((a - b).detach().abs().mean())
        for a, b in zip(first.network.parameters(), second.network.parameters(), strict=True)
    ]
    assert 0 < max(moved) < 0.05
    recipe = replace(options.recipe, embedding=64, n_layers=3, dropout=0.3)  # not of the weights
    third = pretrain_series(files, tmp_path / "third", replace(options, recipe=recipe))
    said, made = third.provenance["Recipe"], third.architecture
    assert (made.embedding, made.n_layers, made.dropout) == (16, 1, 0.3)
    assert (said["embedding"], said["n_layers"], said["dropout"]) == (16, 1, 0.3)
    with pytest.raises(SettingsError, match="--framework csm"):
        pretrain_series(files, tmp_path / "fourth", choose("bert", 10, weights=tmp_path / "first"))
    slower = replace(options, reading={"repetition_time": 3.0})  # it may learn another time
    fifth = pretrain_series(files, tmp_path / "fifth", slower)
    assert "repetition time 3 s: the model has learned from 2 s so far" in caplog.text
    assert fifth.data.repetition_times == (3.0,)


def test_released_weights_are_given_series_of_their_regions(tmp_path: Path) -> None:
    path = tmp_path / "pytorch_model.bin"
    torch.save(make_network(choose().recipe, 5).state_dict(), path)
    for n_regions in (5, 6):
        for subject in ("01", "02"):
            values = np.random.default_rng(n_regions).standard_normal((30, n_regions))
            write_table(
                tmp_path / f"sub-{subject}_regions-{n_regions}_timeseries.tsv",
                {f"R{k}": column for k, column in enumerate(values.T)},
            )
    found = pretrain_series(
        sorted(tmp_path.glob("*-5_*.tsv")), tmp_path / "model", choose(n_steps=10, weights=path)
    )
    assert found.data.regions == ("R0", "R1", "R2", "R3", "R4")
    with pytest.raises(KrakenBidsError, match="expected 5 regions, as the model has; found 6"):
        pretrain_series(
            sorted(tmp_path.glob("*-6_*.tsv")), tmp_path / "other", choose(weights=path)
        )


@pytest.mark.parametrize("n_runs", [1, 2])
def test_what_is_judged_in_steps_is_what_peers_are_judged_on(
    n_runs: int, files: list[str], tmp_path: Path
) -> None:
    """Errors are over the same entries; of one run alone, no pair can be told right or wrong."""
    split = tmp_path / "split.tsv"
    write_table(split, {"participant_id": ["00", "01"], "split": ["train", "validation"]})
    pretrain_series(files[: 2 + n_runs], tmp_path / "model", choose("bert", 10, splits=split))
    history = read_columns(tmp_path / "model" / "history.tsv")
    peers = read_columns(tmp_path / "model" / "peers.tsv")
    (error,) = history["value"][history["metric"] == "error"]
    network = (peers["predictor"] == "network") & (peers["subject"] == "all")
    assert error == pytest.approx(float(peers["loss"][network][0]), rel=1e-6)
    assert ("order" in history["metric"]) == (n_runs == 2)


def test_what_cannot_be_learned_from_is_refused(files: list[str], tmp_path: Path) -> None:
    output = tmp_path / "model"
    with pytest.raises(KrakenBidsError, match="repetition time"):
        pretrain_series(files, output, replace(choose(), reading={}))
    with pytest.raises(KrakenBidsError, match="300 s"):
        pretrain_series(files, output, replace(choose(), reading={"repetition_time": 40.0}))
    with pytest.raises(KrakenBidsError, match="one repetition time"):
        pretrain_series(files[:1], output, choose("bert"))
    recipe = choose().recipe
    short = replace(choose(), recipe=replace(recipe, shortest=31, longest=40))
    with pytest.raises(KrakenBidsError, match="31"):
        pretrain_series(files, output, short)
    long = replace(choose(), recipe=replace(recipe, longest=600))
    with pytest.raises(SettingsError, match="509"):
        pretrain_series(files, output, long)


def test_one_person_alone_trains_without_anybody_held_out(
    files: list[str], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    pretrain_series(files[:2], tmp_path / "model", choose(n_steps=10))
    assert "nobody is held out" in caplog.text
    assert not (tmp_path / "model" / "peers.tsv").exists()


def test_a_family_is_held_out_even_if_it_is_more_than_the_share(
    files: list[str], tmp_path: Path
) -> None:
    families = tmp_path / "families.tsv"
    people = ["00", "01", "02", "03"]
    write_table(families, {"participant_id": people, "family": ["a", "b", "a", "b"]})
    model = pretrain_series(files, tmp_path / "model", choose(n_steps=10, families=str(families)))
    splits = model.data.splits
    assert {splits["train"], splits["validation"]} == {("00", "02"), ("01", "03")}


def test_the_command_pretrains_and_says_what_is_wrong(files: list[str], tmp_path: Path) -> None:
    output = tmp_path / "model"
    words = [
        "pretrain", *files, "--output", str(output), "--repetition-time", "2", "--steps", "10",
        "--embedding", "16", "--layers", "1", "--longest", "12", "--device", "cpu", "--parity",
    ]  # fmt: skip
    found = CliRunner().invoke(main, words)
    assert found.exit_code == 0, found.output
    with np.load(output / "parity.npz") as parity:
        assert parity["csm_outputs"].shape == (*parity["inputs"].shape[:2], 5)
    assert CliRunner().invoke(main, words).exit_code == 2
    assert CliRunner().invoke(main, [*words, "--resume"]).exit_code == 0
    shutil.rmtree(output)
    for wrong, said in (
        (["--framework", "netbert", "--shortest", "8"], "--parity"), (["--steps", "0"], "step"),
        (["--masking-rate", "2"], "masking rate"), (["--device", "cuda:9"], "cuda:9"),
        (["--embedding", "100", "--validation-share", "1"], "--validation-share"),
    ):  # fmt: skip
        found = CliRunner().invoke(main, [*words, *wrong])
        assert found.exit_code == 2, found.output
        assert said in found.output
        assert not output.exists()
    found = CliRunner().invoke(main, ["pretrain", "nowhere.tsv", "--output", str(output)])
    assert found.exit_code == 2
    assert "nowhere.tsv" in found.output
