"""The training that gives the model of a decoding: its course, and what the model says of it."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kraken_bids.cohort.sidecar_records import VERSION
from kraken_bids.io.records import write_records
from kraken_bids.models.decoding_records import (
    PRETRAINED,
    SCRATCH,
    DecodingScore,
    TrainingPoint,
)
from kraken_bids.models.step_training import StepSettings
from kraken_bids.pipeline.decoding.held_out_trials import LabelledTrials


class TrainingCourse:
    """Notes the mean loss and the rate a hundred times in a training; given as its ``watch``."""

    def __init__(self, n_steps: int) -> None:
        self._n_steps = n_steps
        self._points: list[tuple[float, float, float]] = []
        """Step, mean loss since the one before, and rate."""
        self._losses: list[float] = []

    def __call__(self, _: object, result: Any) -> bool:
        """Note a step; the training never ends early."""
        self._losses.append(result.loss)
        if result.step % max(1, self._n_steps // 100) == 0 or result.step == self._n_steps:
            self._points.append((
                result.step, float(np.mean(self._losses)), result.learning_rate
            ))  # fmt: skip
            self._losses.clear()
        return False

    @property
    def arrays(self) -> dict[str, NDArray[np.float64]]:
        """What was noted so far, for :meth:`restore`."""
        return {
            "points": np.array(self._points, np.float64).reshape(-1, 3),
            "losses": np.array(self._losses, np.float64),
        }

    def restore(self, arrays: Mapping[str, NDArray[np.float64]]) -> None:
        """Go on where a training was interrupted."""
        self._points = [(step, loss, rate) for step, loss, rate in arrays["points"].tolist()]
        self._losses = arrays["losses"].tolist()

    def write(self, folder: Path) -> None:
        """Write what was noted."""
        rows = [
            [TrainingPoint(int(step), "train", metric, value)]
            for step, *found in self._points
            for metric, value in zip(("loss", "learning_rate"), found, strict=True)
        ]
        write_records(
            folder / "history.tsv", [TrainingPoint], rows,
            description="Course of the training on everyone, which gave the model",
        )  # fmt: skip


def describe_training(
    trials: LabelledTrials,
    steps: StepSettings,
    scores: Sequence[DecodingScore],
    *,
    batch_size: int,
    pretraining: Mapping[str, Any] | None,
    **facts: Any,
) -> dict[str, Any]:
    """Say on whom and how a model was trained, and how well its like decode people held out.

    Parameters
    ----------
    pretraining : mapping or None
        The same of the model that it was trained further from; None from scratch.
    **facts
        What else is to be told of it.
    """
    return {
        "Method": SCRATCH if pretraining is None else PRETRAINED,
        "Subjects": sorted({*trials.people}),
        **facts,
        "Steps": asdict(steps),
        "BatchSize": batch_size,
        "HeldOutScores": [asdict(one) for one in scores],
        "Pretraining": None if pretraining is None else dict(pretraining),
        **VERSION,
    }
