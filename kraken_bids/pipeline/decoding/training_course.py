"""The course of the training that gives the model of a decoding: ``history.tsv``."""

from pathlib import Path
from typing import Any

import numpy as np

from kraken_bids.io.records import write_records
from kraken_bids.models.decoding_records import TrainingPoint


class TrainingCourse:
    """Notes the mean loss and the rate a hundred times in a training; given as its ``watch``."""

    def __init__(self, n_steps: int) -> None:
        self._n_steps = n_steps
        self._points: list[TrainingPoint] = []
        self._losses: list[float] = []

    def __call__(self, _: object, result: Any) -> bool:
        """Note a step; the training never ends early."""
        self._losses.append(result.loss)
        if result.step % max(1, self._n_steps // 100) == 0 or result.step == self._n_steps:
            found = {"loss": float(np.mean(self._losses)), "learning_rate": result.learning_rate}
            self._points += [TrainingPoint(result.step, "train", *one) for one in found.items()]
            self._losses.clear()
        return False

    def write(self, folder: Path) -> None:
        """Write what was noted."""
        write_records(
            folder / "history.tsv", [TrainingPoint], [[one] for one in self._points],
            description="Course of the training on everyone, which gave the model",
        )  # fmt: skip
