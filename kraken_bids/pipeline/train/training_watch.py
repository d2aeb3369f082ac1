"""Watches a training: figures, pictures, saved states, the best epoch, and when to stop."""

import logging
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from kraken_bids.exceptions import SettingsError
from kraken_bids.models.krakencoder.architecture import Weights
from kraken_bids.models.krakencoder.recipe import EpochResult
from kraken_bids.pipeline.progress import EVERY_SECONDS, format_seconds
from kraken_bids.pipeline.train.reduced_cohort import ReducedCohort
from kraken_bids.pipeline.train.training_history import History
from kraken_bids.pipeline.train.training_options import TrainingOptions
from kraken_bids.pipeline.train.training_pictures import draw_heatmaps, draw_history
from kraken_bids.pipeline.train.validation import BEST_METRIC, Figure, Validator, average
from kraken_bids.pipeline.training_states import SavedState, write_state

logger = logging.getLogger(__name__)

SAVE_SECONDS = 20.0
"""Least time between two saved states."""
DRAW_SECONDS = 60.0
"""Least time between two drawings of the same pictures."""
GAIN = 1e-9
"""By which a validation is better than another one."""


class Trainable(Protocol):
    """A training between two epochs."""

    @property
    def weights(self) -> Weights:
        """Copy of the current weights."""

    def state(self) -> dict[str, Any]:
        """Give all that an exact continuation needs."""


class TrainingWatch:
    """Watches a training.

    Parameters
    ----------
    folder : Path
        Gets ``history.tsv``, the pictures and the saved state.

    Raises
    ------
    SettingsError
        If the best epoch is asked for and there is nobody to choose it by.
    """

    def __init__(self, cohort: ReducedCohort, options: TrainingOptions, folder: Path) -> None:
        self._options, self._folder = options, folder
        self._n_train = len(cohort.split.train)
        self._validator = Validator(cohort)
        if options.patience and not self._validator.has_validation:
            raise SettingsError(
                "--patience: expected at least two validation subjects to choose an epoch by; "
                f"found {len(cohort.split.validation)} among {len(cohort.subjects)}. Give more "
                "subjects, --validation-share or --splits."
            )
        self.history = History()
        self.best_epoch, self.best_value = 0, float("-inf")
        self._best: Mapping[str, Any] = {}
        self._figures: list[Figure] = []
        self._begun = self._said = self._saved = self._drawn = time.monotonic()
        self._first_epoch = 0
        self.seconds_before = 0.0
        """Seconds that the training took until it was interrupted, connectomes read before."""

    def resume(self, state: SavedState) -> None:
        """Go on watching where an interrupted training was saved."""
        epoch = int(state.trainer["epoch"])
        self.history = History.read(self._folder / "history.tsv", up_to=epoch)
        self.best_epoch, self.best_value, self._best = (
            state.best_epoch, state.best_value, state.best,
        )  # fmt: skip
        self._first_epoch, self.seconds_before = epoch, state.seconds

    def begin(self, weights: Weights) -> None:
        """Note what untrained weights, and the group mean, are worth."""
        splits = self._list_splits()
        self.history.add(0, self._validator.judge_group_mean(*splits))
        self.history.add(0, self._validator.judge(weights, *splits))

    def after_epoch(self, training: Trainable, result: EpochResult) -> bool:
        """Judge, draw and save where that is due; returns whether training should end."""
        is_last = result.epoch == self._options.settings.n_epochs
        is_due = self._options.is_due(result.epoch)
        self.history.add_loss(result, self._n_train, by_path=is_due)
        if is_due:
            weights = training.weights
            self._figures = self._validator.judge(weights, *self._list_splits())
            self.history.add(result.epoch, self._figures)
            self._keep_best(result.epoch, weights)
            is_last = is_last or self.is_enough(result.epoch)
            self._keep_up(training, is_last=is_last)
        self._say(result, is_last=is_last)
        return is_last

    def choose(self, weights: Weights, epoch: int) -> tuple[Weights, int]:
        """Give the weights to keep, and their epoch: the best one's if one was looked for."""
        if not self._options.patience or not self._best:
            return weights, epoch
        return Weights(weights.architecture, dict(self._best)), self.best_epoch

    def conclude(self, weights: Weights, epoch: int) -> list[Figure]:
        """Judge what is kept, on the test subjects too, and write everything a last time."""
        figures = self._validator.judge(weights, *self._list_splits(), "test")
        mean = self._validator.judge_group_mean("test")
        self.history.add(epoch, [f for f in [*figures, *mean] if f.split == "test"])
        self.history.write(self._folder)
        draw_history(self.history, self._folder, best_epoch=epoch)
        draw_heatmaps(figures, self._list_splits()[-1], self._folder)
        return [*figures, *self._validator.judge_group_mean(*self._list_splits(), "test")]

    def _list_splits(self) -> tuple[str, ...]:
        return ("train", "validation") if self._validator.has_validation else ("train",)

    def _keep_best(self, epoch: int, weights: Weights) -> None:
        value = average(self._figures, "validation", BEST_METRIC)
        if value > self.best_value + GAIN:
            self.best_epoch, self.best_value = epoch, value
            self._best = weights.arrays if self._options.patience else {}

    def is_enough(self, epoch: int) -> bool:
        """Tell whether training ends after an epoch since no validation got better."""
        patience = self._options.patience
        if not patience or epoch - self.best_epoch < patience:
            return False
        logger.info(
            "no better validation for %d epochs: training ends after epoch %d, and epoch %d is "
            "kept", patience, epoch, self.best_epoch,
        )  # fmt: skip
        return True

    def _keep_up(self, training: Trainable, *, is_last: bool) -> None:
        """Write what an interrupted training would be missed for, now and then."""
        now = time.monotonic()
        if is_last or now - self._saved >= SAVE_SECONDS:
            self.history.write(self._folder)  # first: a state must not be ahead of it
            state = SavedState(
                training.state(), self._best, self.best_epoch, self.best_value,
                seconds=self.seconds_before + now - self._begun,
            )  # fmt: skip
            write_state(state, self._folder)
            self._saved = now
        if now - self._drawn >= DRAW_SECONDS:
            draw_history(self.history, self._folder, best_epoch=None)
            draw_heatmaps(self._figures, self._list_splits()[-1], self._folder)
            self._drawn = time.monotonic()

    def _say(self, result: EpochResult, *, is_last: bool) -> None:
        now = time.monotonic()
        if not is_last and now - self._said < EVERY_SECONDS:
            return
        self._said = now
        n_epochs = self._options.settings.n_epochs
        each = (now - self._begun) / max(1, result.epoch - self._first_epoch)
        left = (
            "" if is_last else f" (about {format_seconds(each * (n_epochs - result.epoch))} left)"
        )
        split = self._list_splits()[-1]
        rank, resid = (average(self._figures, split, name) for name in ("avgrank", BEST_METRIC))
        judged = (
            f"; {split} subjects, edge space: average rank {rank:.3f}, r less mean {resid:.3f}"
            if self._figures
            else ""
        )
        logger.info(
            "epoch %d of %d%s: loss %.4g%s", result.epoch, n_epochs, left, result.loss, judged
        )
