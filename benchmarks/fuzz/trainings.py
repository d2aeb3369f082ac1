"""Readers of what a training is given and leaves behind: splits, families, its saved state."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from fuzz.arrays import format_table, pack_mat, rng
from fuzz.cases import Reader, Seed, require

if TYPE_CHECKING:
    from kraken_bids.models.krakencoder.training import Trainer

PEOPLE = [f"{k:03d}" for k in range(1, 13)]
PARTS = ("train", "validation", "test")


def list_readers() -> list[Reader]:
    """List the readers of trainings."""
    return [
        Reader("split", _list_splits, _read_split),
        Reader("families", _list_families, _read_families),
        Reader("training state", _list_states, _read_state),
    ]


def _list_splits() -> Sequence[Seed]:
    parts = [PARTS[k % 3] for k in range(len(PEOPLE))]
    table = format_table({"participant_id": PEOPLE, "split": parts, "family": PEOPLE})
    short = format_table({"participant_id": [f"sub-{k}" for k in PEOPLE], "split": parts})
    indices = {f"subjidx_{part}": np.arange(len(PEOPLE))[k::3] for k, part in enumerate(PARTS)}
    indices["subjidx_val"] = indices.pop("subjidx_validation")
    names = {"subjects": np.array(PEOPLE, dtype=object)}
    return [
        Seed("splits.tsv", table),
        Seed("splits.tsv", short),
        Seed("subject_splits.mat", pack_mat({**names, **indices})),
    ]


def _read_split(path: Path) -> None:
    from kraken_bids.pipeline.train.subject_splits import read_split

    found = read_split(path)
    require(set(found.values()) <= set(PARTS), "parts of another name")
    require(all(isinstance(name, str) and name for name in found), "people without a name")


def _list_families() -> Sequence[Seed]:
    families = [f"F{k // 2}" for k in range(len(PEOPLE))]
    return [Seed("families.tsv", format_table({"participant_id": PEOPLE, "family": families}))]


def _read_families(path: Path) -> None:
    from kraken_bids.pipeline.train.subject_splits import read_families

    found = read_families(str(path), None)
    require(all(isinstance(one, str) for pair in found.items() for one in pair), "no names")


def _list_states() -> Sequence[Seed]:
    from tempfile import TemporaryDirectory

    from kraken_bids.pipeline.training_states import STATE_NAME, SavedState, write_state

    trainer, _ = _start_training()
    trainer.run_epoch()
    with TemporaryDirectory() as folder:
        state = SavedState(trainer.state(), trainer.weights.arrays, 1, 0.5, 2.0)
        write_state(state, Path(folder))
        return [Seed(STATE_NAME, (Path(folder) / STATE_NAME).read_bytes())]


def _read_state(path: Path) -> None:
    from kraken_bids.pipeline.training_states import read_state

    state = read_state(path.parent)
    assert state is not None
    require(isinstance(state.best_epoch, int), "no epoch")
    trainer, names = _start_training()
    trainer.restore(state.trainer)
    require(trainer.epoch >= 0, "an epoch before the first")
    require(set(trainer.weights.arrays) == names, "other weights")


def _start_training() -> tuple["Trainer", set[str]]:
    from kraken_bids.models.krakencoder.training import Trainer, TrainingData, TrainingSettings

    inputs = {
        f"{group}any_mini_hpf": rng().normal(size=(9, 4)).astype(np.float32)
        for group in ("FC", "SC")
    }
    settings = TrainingSettings(latent_size=3, batch_size=4, device="cpu")
    design = settings.design(dict.fromkeys(inputs, 4), {name: name[:2] for name in inputs})
    trainer = Trainer(design, TrainingData(inputs), settings)
    return trainer, set(trainer.weights.arrays)
