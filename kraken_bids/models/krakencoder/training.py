"""Training of a model from arrays of edges; what is needed to train in other ways beside it."""

import logging
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from kraken_bids.exceptions import ConnectomeError
from kraken_bids.flavors import Flavor
from kraken_bids.models.devices import resolve_device, to_numpy
from kraken_bids.models.krakencoder.model import Model
from kraken_bids.models.krakencoder.recipe import EpochResult, TrainingData, TrainingSettings
from kraken_bids.models.krakencoder.reduction import Reduction, fit_reduction
from kraken_bids.models.krakencoder.trainer import Trainer
from kraken_bids.models.training_record import TRAINING

__all__ = ["EpochResult", "Trainer", "TrainingData", "TrainingSettings", "train_model"]

logger = logging.getLogger(__name__)


def train_model(
    edges: Mapping[Flavor, NDArray[np.floating]],
    *,
    settings: TrainingSettings | None = None,
    reductions: Mapping[Flavor, Reduction] | None = None,
    name: str = "kraken",
    subjects: Sequence[str] = (),
    on_epoch: Callable[[EpochResult], None] | None = None,
) -> Model:
    """Train a model from scratch.

    Parameters
    ----------
    edges : mapping of Flavor to ndarray of shape (n_subjects, n_edges)
        Training subjects only, the same ones in the same order for every flavor.
    settings : TrainingSettings, optional
        The published recipe, in the joint schedule, by default.
    reductions : mapping of Flavor to Reduction, optional
        Transforms; fitted on ``edges`` by default.
    name : str
        Of the model.
    subjects : sequence of str, optional
        Labels of the training subjects, kept as provenance.
    on_epoch : callable, optional
        Told after every epoch.

    Returns
    -------
    Model
        In evaluation mode, on the training device.

    Raises
    ------
    ConnectomeError
        If flavors differ in their subjects, connectomes are not finite, or subjects are too few.

    Source: Jamison et al. 2025, Methods; the losses and their weights are the published ones.
    """
    settings = settings or TrainingSettings()
    _check_cohort(edges, settings)
    fitted = dict(
        reductions or {f: fit_reduction(rows, settings.transform) for f, rows in edges.items()}
    )
    architecture = settings.design(
        {flavor.name: fitted[flavor].n_components for flavor in edges},
        {flavor.name: flavor.group for flavor in edges},
    )
    inputs = {f.name: to_numpy(fitted[f].forward(rows)) for f, rows in edges.items()}
    trainer = Trainer(architecture, TrainingData(inputs), settings)
    for _ in range(settings.n_epochs):
        result = trainer.run_epoch()
        if on_epoch:
            on_epoch(result)
    n_skipped = trainer.count_skipped()
    return Model(
        name=name,
        sha256="",
        flavors=tuple(edges),
        latent_size=settings.latent_size,
        network=trainer.weights,
        reductions=fitted,
        provenance={
            TRAINING.training: settings.to_json(),
            TRAINING.number_of_subjects: len(next(iter(edges.values()))),
            TRAINING.subjects: list(subjects),
            TRAINING.skipped_steps: n_skipped,
        },
        device=resolve_device(settings.device),
    )


def _check_cohort(
    edges: Mapping[Flavor, NDArray[np.floating]], settings: TrainingSettings
) -> None:
    sizes = {flavor.name: len(rows) for flavor, rows in edges.items()}
    if not sizes or len(set(sizes.values())) != 1:
        raise ConnectomeError(
            f"expected the same subjects for every flavor; found {sizes or 'no flavor'}. "
            "Keep the subjects that have all flavors."
        )
    n_subjects = next(iter(sizes.values()))
    if n_subjects < settings.batch_size:
        raise ConnectomeError(
            f"expected at least one batch of {settings.batch_size} training subjects; found "
            f"{n_subjects}. Give more subjects or a smaller batch size."
        )
    broken = [f.name for f, rows in edges.items() if not np.isfinite(rows).all()]
    if broken:
        raise ConnectomeError(
            f"expected finite connectomes; found NaN or infinite edges in {', '.join(broken)}. "
            "Leave those subjects out or fill their edges."
        )
