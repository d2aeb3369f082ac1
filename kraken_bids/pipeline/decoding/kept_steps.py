"""What one training among those of a decoding goes on from, where it is interrupted."""

import time
from typing import Any

import numpy as np

from kraken_bids.models.step_training import StepState
from kraken_bids.pipeline.decoding.decoding_folder import DecodingFolder
from kraken_bids.pipeline.decoding.training_course import TrainingCourse

SAVE_SECONDS = 60.0
"""Least time between two saved states."""
STEP, N_SKIPPED, COURSE = "step", "n_skipped", "course/"


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
