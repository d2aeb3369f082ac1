"""The trainer: epochs over the paths between flavors, which can be saved and continued."""

import logging
import math
import time
from collections.abc import Mapping
from contextlib import AbstractContextManager
from itertools import product
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from kraken_bids.exceptions import CheckpointError, ConnectomeError
from kraken_bids.models.devices import namespace, resolve_device, to_numpy
from kraken_bids.models.krakencoder.affine_steps import AffineSteps
from kraken_bids.models.krakencoder.architecture import Architecture, Weights
from kraken_bids.models.krakencoder.losses import weigh_losses
from kraken_bids.models.krakencoder.recipe import EpochResult, TrainingData, TrainingSettings
from kraken_bids.models.optimizer import GuardedAdamW

if TYPE_CHECKING:
    from kraken_bids.models.krakencoder.network import Network

logger = logging.getLogger(__name__)

Indices = NDArray[np.intp]
Losses = NDArray[np.float64]
"""``[n_flavors, n_flavors]``, sources by targets."""


class Steps(Protocol):
    """Steps of a network: by hand on a CPU, or by autograd."""

    optimizer: GuardedAdamW

    def in_epoch(self, epoch: int) -> AbstractContextManager[None]:
        """Draw from the random streams of an epoch, inside."""

    def step_path(self, source: int, target: int, batch: Indices, learning_rate: float) -> float:
        """Take a step of one path; gives its loss."""

    def step_joint(self, batch: Indices, learning_rate: float) -> Losses:
        """Take one step of all paths; gives their losses, NaN without one."""

    def step_similarity(self, learning_rate: float) -> float:
        """Take the step that pulls the flavors' latents together; gives the weighted loss."""

    def freeze(self) -> Weights:
        """Copy the weights as they are now."""


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

    def count_skipped(self) -> int:
        """Count the steps that were left out since they were not finite, and warn of them.

        Raises
        ------
        ConnectomeError
            If they are the most: the weights are then no result.
        """
        optimizer = self._steps.optimizer
        n_skipped, n_all = optimizer.n_skipped, optimizer.n_skipped + optimizer.n_taken
        if n_skipped > optimizer.n_taken:
            raise ConnectomeError(
                f"expected a training whose steps are finite; found {n_skipped} of {n_all} that "
                f"are not, at a learning rate of {self._rate:g}. Give a lower --learning-rate."
            )
        if n_skipped:
            logger.warning(
                "%d of %d training steps were skipped: gradient not finite", n_skipped, n_all
            )
        return n_skipped

    def state(self) -> dict[str, Any]:
        """Give all that an exact continuation needs: arrays, and whole numbers.

        Keys of arrays begin with ``weights.``, ``totals.`` and ``squares.`` (AdamW's moments),
        those of numbers with ``n_steps.``; besides ``epoch``, ``n_taken`` and ``n_skipped``. There
        is no generator to keep: each epoch draws from streams of its own.
        """
        optimizer = self._steps.optimizer
        state: dict[str, Any] = {
            "epoch": self.epoch,
            "n_taken": optimizer.n_taken,
            "n_skipped": optimizer.n_skipped,
        }
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
        self.epoch = int(state["epoch"])
        optimizer.n_taken, optimizer.n_skipped = int(state["n_taken"]), int(state["n_skipped"])

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
                for batch in order[: n_batches * size].reshape(n_batches, -1)
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
            order = order[: n_batches * self._settings.batch_size]
            for batch in order.reshape(n_batches, -1):
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
