"""Ways of fitting a network to a reduced cohort; each gives weights that every command takes."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from kraken_bids.exceptions import SettingsError
from kraken_bids.models.krakencoder.architecture import Weights
from kraken_bids.models.krakencoder.pls import PlsSettings, fit_pls
from kraken_bids.models.krakencoder.recipe import TrainingData
from kraken_bids.models.krakencoder.training import Trainer
from kraken_bids.models.training_record import TRAINING
from kraken_bids.pipeline.train.reduced_cohort import ReducedCohort
from kraken_bids.pipeline.train.training_options import TrainingOptions
from kraken_bids.pipeline.train.training_watch import TrainingWatch
from kraken_bids.pipeline.training_states import read_state

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Fitted:
    """What comes out of a fit."""

    weights: Weights
    epoch: int
    """Epochs behind the weights; 0 where there are none."""
    provenance: Mapping[str, Any] = field(default_factory=dict)
    """What else is worth keeping, as plain values."""


def fit_network(
    cohort: ReducedCohort, options: TrainingOptions, watch: TrainingWatch, folder: Path
) -> Fitted:
    """Train a Krakencoder, from random weights or from where it was interrupted.

    Raises
    ------
    ConnectomeError
        If subjects are too few for a batch or a path, or the training diverged.
    InputError
        If the disk is full; the last saved state stays.
    CheckpointError
        If the saved state is damaged.
    """
    settings = options.settings
    data = TrainingData(cohort.take_scores(cohort.split.train))
    trainer = Trainer(settings.design(cohort.sizes, cohort.groups), data, settings)
    state = read_state(folder) if options.resume else None
    if state is None:
        watch.begin(trainer.weights)
    else:
        trainer.restore(state.trainer)
        watch.resume(state)
        logger.info("going on after epoch %d", trainer.epoch)
    is_over = trainer.epoch >= settings.n_epochs or watch.is_enough(trainer.epoch)
    while not is_over:
        is_over = watch.after_epoch(trainer, trainer.run_epoch())
    n_skipped = trainer.count_skipped()
    weights, epoch = watch.choose(trainer.weights, trainer.epoch)
    best = watch.best_epoch or None
    return Fitted(
        weights,
        epoch,
        {
            TRAINING.epochs_run: trainer.epoch,
            TRAINING.best_validation_epoch: best,
            TRAINING.skipped_steps: n_skipped,
        },
    )


def fit_regressions(
    cohort: ReducedCohort, options: TrainingOptions, watch: TrainingWatch, folder: Path
) -> Fitted:
    """Fit a closed-form regression between the scores of every pair of flavors.

    Raises
    ------
    ConnectomeError
        If too few subjects have both flavors of a path.
    """
    del watch, folder  # nothing goes on that could be watched or interrupted
    rows = cohort.split.train
    settings = PlsSettings(method=options.method, seed=options.settings.seed)
    families = [cohort.families[row] for row in rows.tolist()]
    weights, paths = fit_pls(cohort.take_scores(rows), settings, families=families)
    described = [
        {key: value if isinstance(value, str) else float(np.round(value, 6))
         for key, value in asdict(path).items()}
        for path in paths
    ]  # fmt: skip
    return Fitted(weights, 0, {TRAINING.paths: described})


METHODS: dict[str, Callable[[ReducedCohort, TrainingOptions, TrainingWatch, Path], Fitted]] = {
    "krakencoder": fit_network,
    "pls": fit_regressions,
    "ridge": fit_regressions,
}
"""Ways of fitting, by the word of ``--method``."""


def check_method(name: str) -> None:
    """Raise SettingsError unless there is such a method."""
    if name not in METHODS:
        raise SettingsError(f"--method: expected one of {', '.join(METHODS)}; found {name!r}.")
