"""The training loop: every ordered pair of flavors is a path, one step per batch and path."""

import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from itertools import product

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from kraken_bids.exceptions import ConnectomeError, SettingsError
from kraken_bids.flavors import Flavor
from kraken_bids.models.krakencoder.architecture import Architecture
from kraken_bids.models.krakencoder.devices import Device, resolve_device
from kraken_bids.models.krakencoder.losses import (
    LATENT_SIMILARITY,
    PUBLISHED_LOSS,
    LossTerm,
    compute_loss_and_gradients,
    latent_similarity_loss,
    parse_loss,
)
from kraken_bids.models.krakencoder.model import Model
from kraken_bids.models.krakencoder.network import Network
from kraken_bids.models.krakencoder.reduction import Reduction, fit_reduction
from kraken_bids.models.optimizer import GuardedAdamW

logger = logging.getLogger(__name__)

SMALL_WIDTH = 1024
"""Reduced inputs up to this length are trained on one thread."""


@dataclass(frozen=True)
class TrainingSettings:
    """What fixes a training; the defaults are the published recipe."""

    transform: str = "pca256"
    """``pcaK``, ``cfeat`` or ``none``."""
    latent_size: int = 128
    """Length of a latent."""
    hidden_sizes: tuple[int, ...] = ()
    """Widths of hidden layers."""
    loss: str = PUBLISHED_LOSS
    """Terms and weights."""
    dropout: float = 0.5
    """On the output of each linear layer."""
    learning_rate: float = 1e-4
    """Of AdamW."""
    weight_decay: float = 0.01
    """Of AdamW."""
    batch_size: int = 41
    """Subjects per step; a last batch that is not full is left out."""
    n_epochs: int = 2000
    """Times that every path sees the subjects."""
    seed: int = 0
    """Of initial weights, batches and dropout."""
    device: str = "auto"
    """Where to train."""

    def __post_init__(self) -> None:
        """Check ranges and the loss string."""
        parse_loss(self.loss)
        if self.batch_size < 2 or self.n_epochs < 0 or self.latent_size < 2:
            raise SettingsError(
                "expected a batch of at least 2 subjects, a latent of at least 2 numbers and "
                f"no negative number of epochs; found {self.batch_size}, {self.latent_size} and "
                f"{self.n_epochs}."
            )
        if not 0 <= self.dropout < 1:
            raise SettingsError(f"expected a dropout from 0 up to 1; found {self.dropout}.")


@dataclass(frozen=True)
class EpochResult:
    """What is known after an epoch."""

    epoch: int
    """From 1."""
    loss: float
    """Mean batch loss over the paths' steps."""
    latent_similarity: float
    """Weighted latent-similarity loss; 0 without that term."""
    n_skipped: int
    """Steps left out because a loss or gradient was not finite."""
    seconds: float
    """Wall-clock time of the epoch."""


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
        The published recipe by default.
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
    device = resolve_device(settings.device)
    torch.manual_seed(settings.seed)
    fitted = dict(
        reductions or {f: fit_reduction(rows, settings.transform) for f, rows in edges.items()}
    )
    network = Network(_design(fitted, edges, settings)).to(device.name)
    inputs = {
        f.name: torch.from_numpy(fitted[f].forward(rows)).to(device.name)
        for f, rows in edges.items()
    }
    with _few_threads(device, max(rows.shape[1] for rows in inputs.values())):
        n_skipped = _fit_network(network, inputs, settings, on_epoch)
    return Model(
        name=name,
        sha256="",
        flavors=tuple(edges),
        latent_size=settings.latent_size,
        network=network.freeze(),
        reductions=fitted,
        provenance={
            "Training": {**asdict(settings), "hidden_sizes": list(settings.hidden_sizes)},
            "NumberOfSubjects": len(next(iter(edges.values()))),
            "Subjects": list(subjects),
            "SkippedSteps": n_skipped,
        },
        device=device,
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


def _design(
    reductions: Mapping[Flavor, Reduction],
    edges: Mapping[Flavor, object],
    settings: TrainingSettings,
) -> Architecture:
    return Architecture(
        flavors=tuple(flavor.name for flavor in edges),
        input_sizes=tuple(reductions[flavor].n_components for flavor in edges),
        latent_size=settings.latent_size,
        hidden_sizes=settings.hidden_sizes,
        dropout=settings.dropout,
    )


@contextmanager
def _few_threads(device: Device, width: int) -> Iterator[None]:
    """Use one thread for small arrays: a second one waits more than it works on busy cores."""
    n_threads = torch.get_num_threads()
    if not device.is_gpu and width <= SMALL_WIDTH:
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(n_threads)


def _fit_network(
    network: Network,
    inputs: Mapping[str, Tensor],
    settings: TrainingSettings,
    on_epoch: Callable[[EpochResult], None] | None,
) -> int:
    """Run all epochs; returns the number of steps that were skipped."""
    terms = parse_loss(settings.loss)
    weight = sum(term.weight for term in terms if term.name == LATENT_SIMILARITY)
    optimizer = GuardedAdamW(
        network, learning_rate=settings.learning_rate, weight_decay=settings.weight_decay
    )
    for epoch in range(1, settings.n_epochs + 1):
        started = time.perf_counter()
        loss = _train_paths(
            network, inputs, optimizer, terms=terms, batch_size=settings.batch_size
        )
        similarity = _train_similarity(network, inputs, optimizer, weight) if weight else loss * 0
        if on_epoch:
            on_epoch(
                EpochResult(
                    epoch=epoch,
                    loss=float(loss),
                    latent_similarity=float(similarity),
                    n_skipped=optimizer.n_skipped,
                    seconds=time.perf_counter() - started,
                )
            )
    if optimizer.n_skipped:
        logger.warning("%d training steps were skipped: gradient not finite", optimizer.n_skipped)
    return optimizer.n_skipped


def _train_paths(
    network: Network,
    inputs: Mapping[str, Tensor],
    optimizer: GuardedAdamW,
    *,
    terms: tuple[LossTerm, ...],
    batch_size: int,
) -> Tensor:
    """One epoch over all paths; returns the mean loss."""
    paths = list(product(inputs, inputs))
    first = next(iter(inputs.values()))
    n_batches = len(first) // batch_size
    # one sort makes the shuffles of all paths of the epoch
    orders = torch.rand(len(paths), len(first), device=first.device).argsort(dim=1)
    total = torch.zeros((), device=first.device)
    network.train()
    for (source, target), order in zip(paths, orders, strict=True):
        for batch in order[: n_batches * batch_size].split(batch_size):
            latents, predicted = network(inputs[source][batch], source, target)
            loss, by_predicted, by_latents = compute_loss_and_gradients(
                terms, inputs[target][batch], predicted.detach(), latents.detach()
            )
            optimizer.step([predicted, latents], [by_predicted, by_latents])
            total += loss.nan_to_num()
    return total / (len(paths) * n_batches)


def _train_similarity(
    network: Network, inputs: Mapping[str, Tensor], optimizer: GuardedAdamW, weight: float
) -> Tensor:
    """One step that pulls the latents of all flavors together, all subjects at once."""
    network.eval()
    with torch.no_grad():
        references = torch.stack([network.encoders[name](rows) for name, rows in inputs.items()])
    network.train()
    latents = torch.stack([network.encoders[name](rows) for name, rows in inputs.items()])
    loss = weight * latent_similarity_loss(latents, references)
    optimizer.step([loss])
    return loss.detach().nan_to_num()
