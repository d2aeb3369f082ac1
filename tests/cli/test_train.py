"""kraken-tools train on the command line."""

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from kraken_bids.cli.commands.train import LOSS, train
from kraken_bids.cli.tools import main
from kraken_bids.models.krakencoder.losses import PUBLISHED_LOSS
from kraken_bids.models.krakencoder.recipe import TrainingSettings
from kraken_bids.pipeline.train.methods import METHODS
from kraken_bids.pipeline.train.training_options import TrainingOptions

FC, SC = "FCcorr_glasser20_hpf", "SCcount_glasser20_raw"


def run(*words: object) -> Result:
    return CliRunner().invoke(main, [str(word) for word in words])


@pytest.fixture
def inputs(tmp_path: Path) -> tuple[str, ...]:
    rng = np.random.default_rng(0)
    person = rng.standard_normal((24, 4))
    names = np.array([f"{k:02d}" for k in range(24)])
    for flavor in (FC, SC):
        rows = 0.1 * person @ rng.standard_normal((4, 190)) + rng.standard_normal(190)
        rows += 0.02 * rng.standard_normal(rows.shape)
        np.savez(tmp_path / f"{flavor}.npz", subjects=names, data=np.abs(rows))
    return tuple(f"{flavor}={tmp_path / flavor}.npz" for flavor in (FC, SC))


def test_the_defaults_are_those_of_the_settings() -> None:
    """The published recipe stands in one place; the command's help repeats it."""
    given = train.make_context("train", ["--input", "x", "--output", "y"]).params
    settings, options = TrainingSettings(), TrainingOptions()

    assert LOSS == PUBLISHED_LOSS
    for name in set(given) - {"inputs", "output", "atlases", "verbose"}:
        known = settings if hasattr(settings, name) else options
        assert given[name] == getattr(known, name), name
    method = next(option for option in train.params if option.name == "method")
    assert set(method.type.choices) == set(METHODS)


def test_an_atlas_that_nobody_knows_goes_from_training_to_evaluation(
    tmp_path: Path, inputs: tuple[str, ...]
) -> None:
    """Train, describe, predict, evaluate; by size alone."""
    model = tmp_path / "model"
    small = ("--transform", "pca5", "--latent_size", 4, "--batch-size", 6, "--epochs", 5)
    done = run("train", "--input", *inputs, "--output", model, *small)
    assert done.exit_code == 0, done.output
    assert f"2 flavors, 17 training subjects: {model}" in done.output

    told = run("describe", model)
    assert told.exit_code == 0, told.output
    assert "glasser20" in told.output

    predicted = tmp_path / "p.npz"
    done = run("predict", "--model", model, "--input", *inputs, "--output", predicted)
    assert done.exit_code == 0, done.output
    words = ("--output", tmp_path / "e.tsv", "--permutations", 0, "--bootstraps", 0)
    done = run("evaluate", "--predicted", predicted, "--observed", *inputs, *words)
    assert done.exit_code == 0, done.output
    assert f"fusionSC\t{FC}" in (tmp_path / "e.tsv").read_text()


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("--loss", "magic"), 2, "expected loss terms"),
        (("--transform", "ica5"), 5, "expected a transform pcaK"),
        (("--batch-size", 6), 4, "--transform pca17"),
        (("--splits", "nowhere.mat"), 3, "found no nowhere.mat"),
        (("--families", "family"), 2, "--participants FILE"),
        (("--atlas", "glasser21=x.tsv"), 3, "Spell it as in the flavor"),
        (("--patience", -1), 2, "--patience of 0 or more"),
        (("--test-share", 0.97), 4, "Give a smaller --test-share"),
        (("--seed", -1), 2, "a seed from 0 on"),
        (("--hidden", 0), 2, "hidden layers of at least 1"),
        (("--negative-slope", "nan"), 2, "a finite slope"),
        (("--loss", "mse.w-5"), 2, "an optional weight from 0 on"),
        (("--loss", "mse.w1-2"), 2, "an optional weight from 0 on"),
        (("--device", "cuda:99"), 2, "CUDA devices"),
        (("--method", "pls", "--epochs", 5, "--hidden", 9), 2, "found --hidden, --epochs"),
        (("--intergroup-hidden", 9), 2, "expected --intergroup"),
        (("--epochs", 0), 2, "nothing is learned"),
        (("--learning-rate", 0), 2, "nothing is learned"),
    ],
)
def test_wrong_options_are_told(
    tmp_path: Path, inputs: tuple[str, ...], words: tuple[object, ...], code: int, said: str
) -> None:
    """With what to do, and without a folder."""
    done = run("train", "--input", *inputs, "--output", tmp_path / "m", *words)

    assert done.exit_code == code, done.output
    assert said in done.output
    assert not (tmp_path / "m").exists()


@pytest.mark.filterwarnings("ignore:overflow", "ignore:invalid value")
def test_a_training_that_diverges_is_no_result(tmp_path: Path, inputs: tuple[str, ...]) -> None:
    """Most of its steps are not finite: it says so and what to do, and writes no model."""
    small = ("--transform", "pca5", "--latent_size", 4, "--batch-size", 6, "--epochs", 20)
    words = (*small, "--learning-rate", 1e9, "--output", tmp_path / "m")

    done = run("train", "--input", *inputs, *words)

    assert done.exit_code == 4, done.output
    assert "Give a lower --learning-rate" in done.output
    assert not (tmp_path / "m" / "model.json").exists()


def test_ctrl_c_says_how_to_go_on(
    tmp_path: Path, inputs: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not by the same command, which would be refused."""

    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("kraken_bids.pipeline.model_training.reduce_cohort", stop)
    small = ("--transform", "pca5", "--batch-size", 6, "--output", tmp_path / "m")

    done = run("train", "--input", *inputs, *small)

    assert done.exit_code == 130
    assert "Stopped by Ctrl-C." in done.output
    assert "the same command with --resume" in done.output


@pytest.mark.parametrize("method", ["pls", "ridge"])
def test_regressions_on_everybody_are_a_model(
    tmp_path: Path, inputs: tuple[str, ...], method: str
) -> None:
    """With nobody held out there is nothing to draw, and the model is complete all the same."""
    everybody = ("--test-share", 0, "--validation-share", 0, "--transform", "pca6")
    words = ("--method", method, *everybody, "--output", tmp_path / "m")

    done = run("train", "--input", *inputs, *words)

    assert done.exit_code == 0, done.output
    assert "24 training subjects" in done.output
    told = run("describe", tmp_path / "m")
    assert told.exit_code == 0, told.output
