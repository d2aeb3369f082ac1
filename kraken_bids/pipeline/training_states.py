"""What an interrupted training goes on from: one file, written whole or not at all."""

import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kraken_bids.exceptions import CheckpointError
from kraken_bids.io.files import atomic_path
from kraken_bids.io.named_arrays import read_arrays

STATE_NAME = "training_state.npz"
NUMBERS = "numbers"
BEST = "best/"


@dataclass(frozen=True)
class SavedState:
    """A training between two epochs."""

    trainer: Mapping[str, Any]
    """Arrays and whole numbers, as the trainer gives and takes them."""
    best: Mapping[str, NDArray[np.float32]]
    """Weights of the best epoch; empty where none is kept."""
    best_epoch: int
    best_value: float
    seconds: float
    """How long the training took so far."""


def write_state(state: SavedState, folder: Path) -> None:
    """Write a state in place of the one before, which stays if this fails.

    Raises
    ------
    InputError
        If the disk is full or the folder cannot be written.
    """
    arrays = {
        name: value for name, value in state.trainer.items() if isinstance(value, np.ndarray)
    }
    numbers = {name: value for name, value in state.trainer.items() if name not in arrays}
    text = json.dumps(
        {
            "trainer": numbers,
            "best_epoch": state.best_epoch,
            "best_value": state.best_value,
            "seconds": state.seconds,
        }
    )
    everything: dict[str, Any] = {
        NUMBERS: np.array(text),
        **arrays,
        **{f"{BEST}{name}": values for name, values in state.best.items()},
    }
    with atomic_path(folder / STATE_NAME) as temporary, temporary.open("wb") as file:
        np.savez(file, **everything)


def read_state(folder: Path) -> SavedState | None:
    """State of an interrupted training; None where there is none.

    Raises
    ------
    CheckpointError
        If the file is damaged.
    """
    path = folder / STATE_NAME
    if not path.is_file():
        return None
    try:
        arrays = read_arrays(path)
        numbers = json.loads(str(arrays.pop(NUMBERS)))
        return SavedState(
            trainer={
                **numbers["trainer"],
                **{name: values for name, values in arrays.items() if not name.startswith(BEST)},
            },
            best={
                name.removeprefix(BEST): values
                for name, values in arrays.items()
                if name.startswith(BEST)
            },
            best_epoch=int(numbers["best_epoch"]),
            best_value=float(numbers["best_value"]),
            seconds=float(numbers["seconds"]),
        )
    except (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
        raise CheckpointError(
            f"expected the state of an interrupted training in {path}; the file is damaged: "
            "train anew, into another folder."
        ) from error
