"""Trainings of a decoding: course, what an interrupted one goes on from, what a model says."""

import time
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
from kraken_bids.models.step_training import StepSettings, StepState
from kraken_bids.models.training_record import TRAINING
from kraken_bids.pipeline.decoding.decoding_folder import DecodingFolder
from kraken_bids.pipeline.decoding.held_out_trials import LabelledTrials

SAVE_SECONDS = 60.0
"""Least time between two saved states."""
STEP, N_SKIPPED, COURSE = "step", "n_skipped", "course/"


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
    """Say on whom and how a model was trained, and how well its like decode subjects held out.

    Parameters
    ----------
    pretraining : mapping or None
        The same of the model that it was trained further from; None from scratch.
    **facts
        What else is to be told of it.
    """
    return {
        TRAINING.method: SCRATCH if pretraining is None else PRETRAINED,
        TRAINING.subjects: sorted({*trials.subjects}),
        **facts,
        "Steps": asdict(steps),
        "BatchSize": batch_size,
        "HeldOutScores": [asdict(one) for one in scores],
        "Pretraining": None if pretraining is None else dict(pretraining),
        **VERSION,
    }


class KeptSteps:
    """Keeps the state of a training now and then; given as its ``watch``.

    Parameters
    ----------
    folder : DecodingFolder
        Holds the state while the training lasts.
    name : str
        Of the training among those of the folder.
    course : TrainingCourse, optional
        Notes every step; kept with the state.
    """

    def __init__(
        self, folder: DecodingFolder, name: str, course: TrainingCourse | None = None
    ) -> None:
        self._folder, self._name, self._course = folder, f"steps_{name}", course
        self._saved = time.monotonic()

    def recall(self) -> StepState | None:
        """Read the state that an interrupted training left; None where there is none.

        Raises
        ------
        CheckpointError
            If the file is damaged.
        """
        arrays = self._folder.recall(self._name)
        if arrays is None:
            return None
        if self._course is not None:
            own = {k.removeprefix(COURSE): v for k, v in arrays.items() if k.startswith(COURSE)}
            self._course.restore(own)
        kept = {k: v for k, v in arrays.items() if not k.startswith(COURSE)}
        step, n_skipped = (int(kept.pop(name)) for name in (STEP, N_SKIPPED))
        return StepState(step, n_skipped, kept)

    def __call__(self, training: Any, result: Any) -> bool:
        """Note a step, and keep the state where that is due; the training never ends early."""
        if self._course is not None:
            self._course(training, result)
        if time.monotonic() - self._saved >= SAVE_SECONDS:
            self._keep(training.state())
            self._saved = time.monotonic()
        return False

    def _keep(self, state: StepState) -> None:
        course = self._course.arrays if self._course is not None else {}
        self._folder.keep(self._name, {
            STEP: np.array(state.step), N_SKIPPED: np.array(state.n_skipped), **state.arrays,
            **{f"{COURSE}{name}": values for name, values in course.items()},
        })  # fmt: skip

    def forget(self) -> None:
        """Remove the state of a training that is done."""
        self._folder.forget(self._name)
