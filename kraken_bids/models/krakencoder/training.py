"""Training: epochs over the paths between flavors, and a model of what comes out."""

import logging
import math
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from itertools import product
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from kraken_bids.exceptions import CheckpointError, ConnectomeError
from kraken_bids.flavors import Flavor
from kraken_bids.models.krakencoder.affine_steps import AffineSteps
from kraken_bids.models.krakencoder.architecture import Architecture, Weights
from kraken_bids.models.krakencoder.devices import namespace, resolve_device, to_numpy
from kraken_bids.models.krakencoder.losses import weigh_losses
from kraken_bids.models.krakencoder.model import Model
from kraken_bids.models.krakencoder.recipe import EpochResult, TrainingData, TrainingSettings
from kraken_bids.models.krakencoder.reduction import Reduction, fit_reduction
from kraken_bids.models.optimizer import GuardedAdamW

if TYPE_CHECKING:
    from kraken_bids.models.krakencoder.network import Network

__all__ = ["EpochResult", "Trainer", "TrainingData", "TrainingSettings", "train_model"]

logger = logging.getLogger(__name__)

Indices = NDArray[np.intp]
Losses = NDArray[np.float64]
"""``[n_flavors, n_flavors]``, sources by targets."""


class Steps(Protocol):
    """Steps of a network: by hand on a CPU, or by autograd."""

    optimizer: GuardedAdamW

    def in_epoch(self, epoch: int) -> AbstractContextManager[None]: ...
    def step_path(
        self, source: int, target: int, batch: Indices, learning_rate: float
    ) -> float: ...
    def step_joint(self, batch: Indices, learning_rate: float) -> Losses: ...
    def step_similarity(self, learning_rate: float) -> float: ...
    def freeze(self) -> Weights: ...


class Trainer:
    """A training that goes on epoch by epoch, and can be saved and continued between epochs.

    Parameters
    ----------
    architecture : Architecture
        The network; ``settings`` says how it is trained, not what it is.
    data : TrainingData
        Reduced connectomes of the training subjects. Subjects who lack a flavor train the paths
        that they have: in the schedule ``paths`` the batches of a path are of those who have both
        flavors (one batch of all of them where they are fewer than a batch); in ``joint`` a path's
        losses are over those of the batch who have both.
    settings : TrainingSettings
    start : Weights, optional
        Weights to begin with; at random, as torch fills linear layers, by default.

    Raises
    ------
    ConnectomeError
        If the data do not fit the network, or are too few for a batch.

    Notes
    -----
    Every random number follows from the seed, the epoch and its place in it. So the same seed
    gives the same bytes on a CPU, whatever the number of threads, and a restored training goes on
    as if it had never stopped. Networks with hidden layers or translations between groups, and
    all on a GPU, are computed by torch: there the number of threads and the device may change the
    last bits.

    Source: Jamison et al. 2025, Methods.
    """

    def __init__(
        self,
        architecture: Architecture,
        data: TrainingData,
        settings: TrainingSettings,
        *,
        start: Weights | None = None,
    ) -> None:
        data.check(architecture, settings.batch_size)
        self.epoch = 0
        """Epochs done."""
        self._architecture = architecture
        self._settings = settings
        self._present = data.find_present()
        is_adding = data.target_latents is not None
        self._has_similarity = not is_adding and bool(weigh_losses(settings.loss).similarity)
        self._paths = _list_paths(self._present, is_adding=is_adding)
        self._steps = _choose_steps(
            start or fill_weights(architecture, settings.seed), data, settings
        )

    @property
    def weights(self) -> Weights:
        """Copy of the current weights."""
        return self._steps.freeze()

    @property
    def network(self) -> "Network":
        """Copy of the current network, in evaluation mode."""
        from kraken_bids.models.krakencoder.network import Network

        return Network.from_weights(self.weights)

    def run_epoch(self) -> EpochResult:
        """Train one epoch: all batches of all paths, then the latent-similarity step."""
        started = time.perf_counter()
        generator = np.random.default_rng([self._settings.seed, self.epoch])
        run = self._run_joint if self._settings.schedule == "joint" else self._run_paths
        with self._steps.in_epoch(self.epoch):
            sums, counts = run(generator)
            similarity = self._steps.step_similarity(self._rate) if self._has_similarity else 0.0
        self.epoch += 1
        names = self._architecture.flavors
        return EpochResult(
            epoch=self.epoch,
            loss=float(sums.sum() / max(1, counts.sum())),
            latent_similarity=similarity if math.isfinite(similarity) else 0.0,
            n_skipped=self._steps.optimizer.n_skipped,
            seconds=time.perf_counter() - started,
            path_losses={
                (names[s], names[t]): float(sums[s, t] / counts[s, t])
                for s, t in np.argwhere(counts).tolist()
            },
        )

    def state(self) -> dict[str, Any]:
        """Give all that an exact continuation needs: arrays, and whole numbers.

        Keys of arrays begin with ``weights.``, ``means.`` and ``squares.`` (AdamW's moments),
        those of numbers with ``n_steps.``; besides ``epoch`` and ``n_skipped``. There is no
        generator to keep: each epoch draws from streams of its own.
        """
        optimizer = self._steps.optimizer
        state: dict[str, Any] = {"epoch": self.epoch, "n_skipped": optimizer.n_skipped}
        for kind, arrays in optimizer.arrays().items():
            state |= {f"{kind}.{name}": to_numpy(values).copy() for name, values in arrays.items()}
        return state | {f"n_steps.{name}": n for name, n in optimizer.n_steps.items()}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from a state, as the training that gave it would have.

        Raises
        ------
        CheckpointError
            If it is of another network.
        """
        optimizer = self._steps.optimizer
        wanted = {(key, np.shape(value)) for key, value in self.state().items()}
        misfits = wanted ^ {(key, np.shape(value)) for key, value in state.items()}
        if misfits:
            raise CheckpointError(
                "expected the saved state of a training of this network; found one that differs "
                f"in {min(misfits)[0]}. Continue with the settings and flavors that it was begun "
                "with, or begin anew."
            )
        for kind, arrays in optimizer.arrays().items():
            for name, values in arrays.items():
                values[:] = namespace(values).asarray(state[f"{kind}.{name}"])
        optimizer.n_steps = {name: int(state[f"n_steps.{name}"]) for name in optimizer.n_steps}
        self.epoch, optimizer.n_skipped = int(state["epoch"]), int(state["n_skipped"])

    @property
    def _rate(self) -> float:
        return self._settings.rate

    def _run_joint(self, generator: np.random.Generator) -> tuple[Losses, Losses]:
        """Step all paths at once, batch by batch; gives sums of losses, and of how many."""
        size = self._settings.batch_size
        order = generator.permutation(np.flatnonzero(self._present.any(axis=0)))
        n_batches = max(1, len(order) // size)
        losses = np.stack(
            [
                self._steps.step_joint(batch, self._rate)
                for batch in np.split(order[: n_batches * size], n_batches)
            ]
        )
        return np.nansum(losses, axis=0), (~np.isnan(losses)).sum(axis=0)

    def _run_paths(self, generator: np.random.Generator) -> tuple[Losses, Losses]:
        """Step path by path, batch by batch; gives sums of losses, and of how many."""
        n_flavors = len(self._present)
        sums, counts = np.zeros((2, n_flavors, n_flavors))
        for (source, target), subjects in self._paths.items():
            order = generator.permutation(subjects)
            n_batches = max(1, len(order) // self._settings.batch_size)
            for batch in np.split(order[: n_batches * self._settings.batch_size], n_batches):
                loss = self._steps.step_path(source, target, batch, self._rate)
                sums[source, target] += loss if math.isfinite(loss) else 0.0
            counts[source, target] = n_batches
        return sums, counts


def _list_paths(present: NDArray[np.bool_], *, is_adding: bool) -> dict[tuple[int, int], Indices]:
    """List subjects by path, those who have both flavors; paths of fewer than two are left out.

    Raises
    ------
    ConnectomeError
        If no path is left.
    """
    flavors = range(len(present))
    pairs = [(k, k) for k in flavors] if is_adding else list(product(flavors, flavors))
    found = {(s, t): np.flatnonzero(present[s] & present[t]) for s, t in pairs}
    paths = {path: subjects for path, subjects in found.items() if len(subjects) > 1}
    if not paths:
        raise ConnectomeError(
            "expected at least two training subjects who have both flavors of some path; found "
            "none. Give subjects who have several flavors."
        )
    return paths


def _choose_steps(weights: Weights, data: TrainingData, settings: TrainingSettings) -> Steps:
    """Compute by hand where that is possible, else by torch, which takes a second to import."""
    device, arch = resolve_device(settings.device), weights.architecture
    if not device.is_gpu and arch.is_affine and not arch.group_paths:
        return AffineSteps(weights, data, settings)
    from kraken_bids.models.krakencoder.autograd_steps import AutogradSteps

    return AutogradSteps(weights, data, settings)


def fill_weights(architecture: Architecture, seed: int) -> Weights:
    """Fill a network at random, as torch fills linear layers.

    Weights and biases are uniform between plus and minus one by the root of a layer's inputs.
    """
    generator = np.random.default_rng([seed])
    arrays = {}
    for branch, layers in architecture.branches().items():
        for k, (n_in, n_out, has_bias) in enumerate(layers):
            bound = n_in**-0.5
            shapes = {"weight": (n_out, n_in), **({"bias": (n_out,)} if has_bias else {})}
            for name, shape in shapes.items():
                values = generator.uniform(-bound, bound, shape).astype(np.float32)
                arrays[f"{branch}.linears.{k}.{name}"] = values
    return Weights(architecture, arrays)


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
    n_skipped = 0
    for _ in range(settings.n_epochs):
        result = trainer.run_epoch()
        n_skipped = result.n_skipped
        if on_epoch:
            on_epoch(result)
    if n_skipped:
        logger.warning("%d training steps were skipped: gradient not finite", n_skipped)
    return Model(
        name=name,
        sha256="",
        flavors=tuple(edges),
        latent_size=settings.latent_size,
        network=trainer.weights,
        reductions=fitted,
        provenance={
            "Training": settings.to_json(),
            "NumberOfSubjects": len(next(iter(edges.values()))),
            "Subjects": list(subjects),
            "SkippedSteps": n_skipped,
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
