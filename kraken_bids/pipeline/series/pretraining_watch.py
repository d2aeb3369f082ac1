"""Watches a pretraining: history, a line in the log, saved states."""

import logging
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from kraken_bids.io.facts import read_table
from kraken_bids.io.records import from_columns, name_columns, write_records
from kraken_bids.models.decoding_records import TrainingPoint
from kraken_bids.models.series.network import SeriesNetwork
from kraken_bids.models.series.peers import MEAN, RIDGE
from kraken_bids.models.series.tokens import Tokens
from kraken_bids.models.step_training import StepResult, StepState, StepTraining
from kraken_bids.pipeline.progress import EVERY_SECONDS, format_seconds
from kraken_bids.pipeline.series.held_out_sequences import HeldOutSequences, pick_overall
from kraken_bids.pipeline.training_states import SavedState, write_state

logger = logging.getLogger(__name__)

HISTORY_NAME = "history.tsv"
SAVE_SECONDS = 20.0
"""Least time between two saved states."""


@dataclass
class PretrainingWatch:
    """Watches a pretraining."""

    folder: Path
    """Gets ``history.tsv`` and the saved state."""
    n_steps: int
    interval: int
    """Steps between two evaluations."""
    held_out: HeldOutSequences | None
    seconds_before: float = 0.0
    """Seconds that it took until it was interrupted."""
    _points: list[TrainingPoint] = field(default_factory=list)
    _losses: list[float] = field(default_factory=list)
    _first: int = 0
    _peers: str = ""

    def __post_init__(self) -> None:
        """Begin to count time, and judge the peers."""
        self._begun = self._said = self._saved = time.monotonic()
        if self.held_out is not None:
            losses = pick_overall(self.held_out.tabulate())
            self._peers = f" (mean {losses[MEAN]:.4f}, ridge {losses[RIDGE]:.4f})"

    @property
    def seconds(self) -> float:
        """Seconds that the training has taken."""
        return self.seconds_before + time.monotonic() - self._begun

    def resume(self, state: SavedState) -> StepState:
        """Go on watching where an interrupted training was saved."""
        numbers = state.trainer
        kept = StepState(
            int(numbers["step"]),
            int(numbers["n_skipped"]),
            {name: values for name, values in numbers.items() if isinstance(values, np.ndarray)},
        )
        columns, texts = name_columns(TrainingPoint)
        table = read_table(self.folder / HISTORY_NAME, numbers=columns, texts=texts)
        points = from_columns(TrainingPoint, table)
        self._points = [one for one in points if one.step <= kept.step]
        self._first, self.seconds_before = kept.step, state.seconds
        return kept

    def __call__(self, training: StepTraining[SeriesNetwork, Tokens], result: StepResult) -> bool:
        """Judge and save after a step where that is due; the training never ends early."""
        self._losses.append(result.loss)
        is_last = result.step == self.n_steps
        if result.step % self.interval and not is_last:
            return False
        self._note(result.step, "train", "loss", float(np.mean(self._losses)))
        self._note(result.step, "train", "learning_rate", result.learning_rate)
        found = self.held_out.judge(training.network) if self.held_out is not None else {}
        for name, value in found.items():
            self._note(result.step, "validation", name, value)
        self._say(result.step, found.get("error"), is_last=is_last)
        self._losses.clear()
        now = time.monotonic()
        if is_last or now - self._saved >= SAVE_SECONDS:
            self._save(training.state())
            self._saved = time.monotonic()
        return False

    def _note(self, step: int, split: str, metric: str, value: float) -> None:
        self._points.append(TrainingPoint(step, split, metric, value))

    def _save(self, state: StepState) -> None:
        """Write history first: a state must not be ahead of it."""
        write_records(
            self.folder / HISTORY_NAME, [TrainingPoint], [[one] for one in self._points],
            description="Course of the pretraining",
        )  # fmt: skip
        trainer = {"step": state.step, "n_skipped": state.n_skipped, **state.arrays}
        write_state(SavedState(trainer, {}, 0, 0.0, self.seconds), self.folder)

    def _say(self, step: int, error: float | None, *, is_last: bool) -> None:
        now = time.monotonic()
        if not is_last and now - self._said < EVERY_SECONDS:
            return
        self._said = now
        left = (now - self._begun) / max(1, step - self._first) * (self.n_steps - step)
        judged = f"; held-out error {error:.4f}{self._peers}" if error is not None else ""
        logger.info(
            "step %d of %d%s: loss %.4g%s", step, self.n_steps,
            "" if is_last else f" (about {format_seconds(left)} left)",
            np.mean(self._losses), judged,
        )  # fmt: skip
