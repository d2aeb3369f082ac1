"""Trainings that are killed, stopped by a full disk, and gone on with."""

import errno
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kraken_bids.exceptions import CheckpointError, InputError, SettingsError
from kraken_bids.flavors import Flavor
from kraken_bids.io.texts import read_json
from kraken_bids.io.writing import write_json
from kraken_bids.models.krakencoder.load import load_model
from kraken_bids.models.krakencoder.training import Trainer
from kraken_bids.pipeline import model_training, training_states
from kraken_bids.pipeline.model_training import train_files
from kraken_bids.pipeline.train import training_watch
from kraken_bids.pipeline.train.training_options import TrainingOptions

Ask = Callable[..., TrainingOptions]
Save = Callable[[Path, Mapping[Flavor, np.ndarray]], Path]


@pytest.fixture(autouse=True)
def _save_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training_watch, "SAVE_SECONDS", 0.0)


def train_until(epoch: int, inputs: Path, folder: Path, options: TrainingOptions) -> None:
    """Train, and stop before an epoch as if by Ctrl-C."""
    run = Trainer.run_epoch

    def run_some(self: Trainer) -> Any:
        if self.epoch == epoch:
            raise KeyboardInterrupt
        return run(self)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Trainer, "run_epoch", run_some)
        with pytest.raises(KeyboardInterrupt):
            train_files([str(inputs)], folder, options)


@pytest.mark.parametrize(
    "changes",
    [{}, {"patience": 9}, {"hidden_sizes": (5,), "intergroup": True}, {"schedule": "paths"}],
    ids=["joint", "best epoch", "deep", "path by path"],
)
def test_a_resumed_training_ends_with_the_very_same_weights(
    tmp_path: Path, cohort: Path, ask: Ask, changes: dict[str, Any]
) -> None:
    """Weights and history of one that was never interrupted, to the byte."""
    train_files([str(cohort)], tmp_path / "whole", ask(**changes, validate_every=2))

    train_until(7, cohort, tmp_path / "parts", ask(**changes, validate_every=2))
    train_files([str(cohort)], tmp_path / "parts", ask(**changes, validate_every=2, resume=True))

    for name in ("weights.safetensors", "maps.safetensors", "history.tsv", "splits.tsv"):
        parts, whole = (tmp_path / run / name for run in ("parts", "whole"))
        assert parts.read_bytes() == whole.read_bytes(), name
    assert not (tmp_path / "parts/training_state.npz").exists()


def stop_at_the_end(inputs: Path, folder: Path, options: TrainingOptions) -> None:
    """Train to the end, and stop before the model is written."""

    def stop(*_: Any) -> None:
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training_watch.TrainingWatch, "conclude", stop)
        with pytest.raises(KeyboardInterrupt):
            train_files([str(inputs)], folder, options)


def test_one_that_had_ended_early_is_not_trained_further(
    tmp_path: Path, cohort: Path, ask: Ask
) -> None:
    """Its history is that of one that was never stopped, and so are the epochs that were run."""
    changes = {"n_epochs": 400, "learning_rate": 0.05, "patience": 6, "validate_every": 2}
    train_files([str(cohort)], tmp_path / "whole", ask(**changes))

    stop_at_the_end(cohort, tmp_path / "parts", ask(**changes))
    train_files([str(cohort)], tmp_path / "parts", ask(**changes, resume=True))

    parts, whole = (tmp_path / run for run in ("parts", "whole"))
    assert (parts / "history.tsv").read_bytes() == (whole / "history.tsv").read_bytes()
    epochs = [read_json(run / "training.json")["EpochsRun"] for run in (parts, whole)]
    assert epochs[0] == epochs[1] < 400


@pytest.mark.parametrize("patience", [0, 9])
def test_one_that_was_stopped_after_its_last_figures_has_them_once(
    tmp_path: Path, cohort: Path, ask: Ask, patience: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those of the test subjects are in the history before the model is written."""
    changes = {"validate_every": 2, "patience": patience}
    train_files([str(cohort)], tmp_path / "whole", ask(**changes))

    def stop(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(model_training, "write_model", stop)
    with pytest.raises(KeyboardInterrupt):
        train_files([str(cohort)], tmp_path / "parts", ask(**changes))
    monkeypatch.undo()
    train_files([str(cohort)], tmp_path / "parts", ask(**changes, resume=True))

    parts, whole = (tmp_path / run / "history.tsv" for run in ("parts", "whole"))
    assert parts.read_bytes() == whole.read_bytes()


def test_what_a_complete_training_has_left_of_its_states_goes(
    tmp_path: Path, cohort: Path, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was stopped between the word that it is complete and their removal."""

    def stop(path: Path, **_: Any) -> None:
        if path.suffix == ".npz":
            raise KeyboardInterrupt

    monkeypatch.setattr(Path, "unlink", stop)
    with pytest.raises(KeyboardInterrupt):
        train_files([str(cohort)], tmp_path / "m", ask(validate_every=2))
    monkeypatch.undo()
    left = [tmp_path / "m" / name for name in ("training_state.npz", "training_data.json")]
    assert all(path.is_file() for path in left)

    train_files([str(cohort)], tmp_path / "m", ask(validate_every=2, resume=True))

    assert not any(path.exists() for path in left)


def test_seconds_before_the_interruption_count(tmp_path: Path, cohort: Path, ask: Ask) -> None:
    """A training of which one epoch was slow took as long as that."""
    stop_at_the_end(cohort, tmp_path / "m", ask(validate_every=2))
    state = training_states.read_state(tmp_path / "m")
    assert state is not None
    assert state.seconds > 0
    training_states.write_state(replace(state, seconds=3600.0), tmp_path / "m")

    told = train_files([str(cohort)], tmp_path / "m", ask(validate_every=2, resume=True))

    assert 3600 < told.provenance["TrainingSeconds"] < 3700


def test_an_interrupted_training_is_no_model_and_says_so(
    tmp_path: Path, cohort: Path, ask: Ask
) -> None:
    """In its folder, to who loads it, and to who trains into it again."""
    train_until(5, cohort, tmp_path / "m", ask(validate_every=2))

    told = read_json(tmp_path / "m/training.json")
    assert told["Status"] == "unfinished"
    assert "--resume" in told["Note"]
    with pytest.raises(CheckpointError, match=r"not finished.*--resume"):
        load_model(tmp_path / "m")
    with pytest.raises(SettingsError, match=r"an interrupted one in .*--resume"):
        train_files([str(cohort)], tmp_path / "m", ask(validate_every=2))


def test_other_settings_or_connectomes_are_not_gone_on_with(
    tmp_path: Path, cohort: Path, ask: Ask, people: dict[Flavor, np.ndarray], save: Save
) -> None:
    """The message says what differs."""
    train_until(5, cohort, tmp_path / "m", ask(validate_every=2))

    with pytest.raises(SettingsError, match=r"learning_rate: 0.01 then, 0.3 now"):
        train_files(
            [str(cohort)], tmp_path / "m",
            ask(validate_every=2, resume=True, learning_rate=0.3),
        )  # fmt: skip
    changed = {flavor: rows.copy() for flavor, rows in people.items()}
    changed[next(iter(changed))][3, 5] += 0.1
    other = save(tmp_path / "other.npz", changed)
    with pytest.raises(SettingsError, match=r"connectomes of FCcorr_mini12_hpf\. "):
        train_files([str(other)], tmp_path / "m", ask(validate_every=2, resume=True))


def test_a_full_disk_leaves_the_last_state(
    tmp_path: Path, cohort: Path, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error says so; with room again the training ends as if nothing had been."""
    train_files([str(cohort)], tmp_path / "whole", ask(validate_every=2))
    save, n_saved = np.savez, []

    def fill_up(file: Any, **arrays: Any) -> None:
        n_saved.append(1)
        if len(n_saved) == 3:
            file.write(b"half")
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        save(file, **arrays)

    monkeypatch.setattr(training_states.np, "savez", fill_up)
    with pytest.raises(InputError, match=r"disk .* is full.* Add --resume to it"):
        train_files([str(cohort)], tmp_path / "m", ask(validate_every=2))
    state = training_states.read_state(tmp_path / "m")
    assert state is not None
    assert state.trainer["epoch"] == 4
    train_files([str(cohort)], tmp_path / "m", ask(validate_every=2, resume=True))

    weights = [(tmp_path / run / "weights.safetensors").read_bytes() for run in ("m", "whole")]
    assert weights[0] == weights[1]


def test_a_full_disk_while_connectomes_are_read(tmp_path: Path, cohort: Path, ask: Ask) -> None:
    """Nothing half-written is left."""
    child = os.fork()
    if not child:
        resource.setrlimit(resource.RLIMIT_FSIZE, (3000, 3000))
        code = 1
        try:
            train_files([str(cohort)], tmp_path / "m", ask())
        except InputError as error:
            code = 0 if "mini12" in str(error) else 2
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert [path.name for path in (tmp_path / "m").iterdir()] == ["training.json"]


def test_resume_begins_where_nothing_was_begun(tmp_path: Path, cohort: Path, ask: Ask) -> None:
    """A job that always says so need not know whether it is the first one."""
    train_files([str(cohort)], tmp_path / "a", ask())
    train_files([str(cohort)], tmp_path / "b", ask(resume=True))

    weights = [(tmp_path / run / "weights.safetensors").read_bytes() for run in ("a", "b")]
    assert weights[0] == weights[1]


def test_what_failed_before_it_was_saved_leaves_its_folder_free(
    tmp_path: Path, cohort: Path, ask: Ask
) -> None:
    """Another training may have it, of other settings too."""
    train_until(0, cohort, tmp_path / "m", ask())
    assert read_json(tmp_path / "m/training.json")["Status"] == "unfinished"

    model = train_files([str(cohort)], tmp_path / "m", ask(latent_size=3))

    assert model.latent_size == 3


def test_a_killed_training_is_gone_on_with(tmp_path: Path, cohort: Path) -> None:
    """SIGKILL in the middle; the last saved state survives."""
    words = [
        "-c", "from kraken_bids.pipeline.train import training_watch as w; w.SAVE_SECONDS = 0\n"
        "from kraken_bids.cli.tools import main; main()",
        "train", "--input", cohort, "--output", tmp_path / "m", "--transform", "pca6",
        "--latent-size", "4", "--batch-size", "7", "--epochs", "100000", "--validate-every", "5",
    ]  # fmt: skip
    command = [sys.executable, *map(str, words)]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
        while not (tmp_path / "m/training_state.npz").is_file():
            assert process.poll() is None
            time.sleep(0.05)
        process.send_signal(signal.SIGKILL)

    state = training_states.read_state(tmp_path / "m")
    assert state is not None
    assert state.trainer["epoch"] % 5 == 0
    assert not (tmp_path / "m/model.json").exists()


def test_a_complete_training_is_left_as_it_is(tmp_path: Path, cohort: Path, ask: Ask) -> None:
    """--resume finds nothing to do; without it the folder is taken."""
    train_files([str(cohort)], tmp_path / "m", ask())
    before = (tmp_path / "m/model.json").stat().st_mtime_ns

    model = train_files([str(cohort)], tmp_path / "m", ask(resume=True))

    assert len(model.flavors) == 3
    assert (tmp_path / "m/model.json").stat().st_mtime_ns == before
    with pytest.raises(SettingsError, match="found a model in"):
        train_files([str(cohort)], tmp_path / "m", ask())


def test_a_complete_training_is_not_taken_for_one_of_others(
    tmp_path: Path, cohort: Path, ask: Ask, people: dict[Flavor, np.ndarray], save: Save
) -> None:
    """The same command finds nothing left to do; fewer people, or flavors, are refused."""
    train_files([str(cohort)], tmp_path / "m", ask())
    train_files([str(cohort)], tmp_path / "m", ask(resume=True))

    first = next(iter(people))
    others = {
        "fewer": {flavor: rows[:25] for flavor, rows in people.items()},
        "without": {flavor: rows for flavor, rows in people.items() if flavor != first},
    }
    for name, edges in others.items():
        other = save(tmp_path / f"{name}.npz", edges)
        with pytest.raises(SettingsError, match=r"which is complete, was trained on: 22 training"):
            train_files([str(other)], tmp_path / "m", ask(resume=True))


def test_a_complete_training_is_not_taken_for_one_of_other_connectomes(
    tmp_path: Path,
    cohort: Path,
    ask: Ask,
    people: dict[Flavor, np.ndarray],
    save: Save,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """One number of one person; an older folder, which does not know, says so."""
    train_files([str(cohort)], tmp_path / "m", ask())
    changed = {flavor: rows.copy() for flavor, rows in people.items()}
    list(changed.values())[1][4, 7] += 0.01
    other = save(tmp_path / "other.npz", changed)

    with pytest.raises(SettingsError, match=r"connectomes of FCpcorr_mini12_hpf\. "):
        train_files([str(other)], tmp_path / "m", ask(resume=True))

    facts = read_json(tmp_path / "m/training.json")
    del facts["Connectomes"]
    write_json(tmp_path / "m/training.json", facts)
    with caplog.at_level("INFO"):
        train_files([str(other)], tmp_path / "m", ask(resume=True))
    assert "connectomes could not be compared" in caplog.text


def test_a_damaged_state_is_told(tmp_path: Path, cohort: Path, ask: Ask) -> None:
    """A file that was cut is no state."""
    train_until(5, cohort, tmp_path / "m", ask(validate_every=2))
    path = tmp_path / "m/training_state.npz"
    path.write_bytes(path.read_bytes()[:500])

    with pytest.raises(CheckpointError, match="is damaged: train anew"):
        train_files([str(cohort)], tmp_path / "m", ask(validate_every=2, resume=True))


def test_a_damaged_history_is_told(tmp_path: Path, cohort: Path, ask: Ask) -> None:
    """A row that lacks cells is no figure."""
    train_until(5, cohort, tmp_path / "m", ask(validate_every=2))
    with (tmp_path / "m/history.tsv").open("a") as file:
        file.write("4\tall\n")

    with pytest.raises(InputError, match=r"rows of 9 cells in .*history\.tsv"):
        train_files([str(cohort)], tmp_path / "m", ask(validate_every=2, resume=True))
