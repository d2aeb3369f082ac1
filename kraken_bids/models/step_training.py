"""Training step by step: the one loop of networks whose batches are drawn, with exact resume."""

import logging
import math
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from kraken_bids.exceptions import CheckpointError, ConnectomeError, SettingsError
from kraken_bids.models.devices import resolve_device

logger = logging.getLogger(__name__)

Network = TypeVar("Network", bound=nn.Module)
Batch = TypeVar("Batch")
MOMENTS = {"means": "exp_avg", "squares": "exp_avg_sq", "counts": "step"}
"""What AdamW remembers of each weight, by our names."""


@dataclass(frozen=True)
class StepSettings:
    """How a network is trained, whatever it learns."""

    n_steps: int = 4000
    """Steps."""
    learning_rate: float = 1e-3
    """Highest rate of AdamW: warmed up to, then lowered to nothing, both in a straight line."""
    warmup_share: float = 0.01
    """Share of the steps in which the rate rises."""
    weight_decay: float = 0.1
    """Of weights; biases and normalisations have none."""
    beta_2: float = 0.999
    """Of AdamW: how slowly the mean of squared gradients changes."""
    clip: float = 1.0
    """Longest gradient; longer ones are scaled to it."""
    seed: int = 0
    """Of initial weights, batches and dropout."""
    device: str = "auto"
    """``auto``, ``cpu`` or ``cuda[:N]``."""

    def __post_init__(self) -> None:
        """Check ranges.

        Raises
        ------
        SettingsError
        """
        if self.n_steps < 1:
            raise SettingsError(f"expected --steps of 1 or more; found {self.n_steps}.")
        if self.seed < 0:
            raise SettingsError(f"expected a --seed of 0 or more; found {self.seed}.")
        if not (0 < self.learning_rate < math.inf and 0 <= self.warmup_share <= 1):
            raise SettingsError(
                "expected a learning rate above 0 and a share of warm-up from 0 to 1; found "
                f"{self.learning_rate:g} and {self.warmup_share:g}."
            )
        if not (0 <= self.weight_decay < math.inf and 0 <= self.beta_2 < 1 and self.clip > 0):
            raise SettingsError(
                "expected a weight decay that is not negative, a beta_2 from 0 up to 1 and a clip "
                f"above 0; found {self.weight_decay:g}, {self.beta_2:g} and {self.clip:g}."
            )

    def rate(self, step: int) -> float:
        """Learning rate of a step, counted from 0."""
        n_warm = math.ceil(self.warmup_share * self.n_steps)
        if step < n_warm:
            return self.learning_rate * (step + 1) / n_warm
        return self.learning_rate * (self.n_steps - step) / max(1, self.n_steps - n_warm)


@dataclass(frozen=True)
class StepState:
    """All that an exact continuation needs: random numbers follow from seed and step."""

    step: int
    """Steps done, those left out counted."""
    n_skipped: int
    """Steps left out since their gradient was not finite."""
    arrays: Mapping[str, NDArray[Any]]
    """``weights.NAME`` (buffers too), and AdamW's ``means.``, ``squares.`` and ``counts.NAME``."""


@dataclass(frozen=True)
class StepResult:
    """One step."""

    step: int
    """Steps done."""
    loss: float
    """Of its batch."""
    learning_rate: float
    """That it was made with."""


class StepTraining(Generic[Network, Batch]):
    """A training between two steps.

    Parameters
    ----------
    network : nn.Module
        Trained in place, on the device of the settings.
    draw_batch : callable
        Gives the batch of a step from a generator that is that step's own.
    loss : callable
        Loss of a batch, a number that can be differentiated.

    Raises
    ------
    SettingsError
        If there is no such device.

    Notes
    -----
    Batches and dropout are drawn from streams that follow from seed and step, so that a restored
    training goes on as if it had never stopped. On a CPU the same seed and number of threads give
    the same bytes. A GPU computes in bfloat16 where it can, and keeps weights in float32.

    Source: Loshchilov & Hutter 2019 (AdamW); torch's fused kernels, which need one pass.
    """

    def __init__(
        self,
        network: Network,
        draw_batch: Callable[[np.random.Generator, int], Batch],
        loss: Callable[[Network, Batch], Tensor],
        settings: StepSettings,
    ) -> None:
        self.device = find_device(settings.device)
        self.network = network.to(self.device)
        self.step, self.n_skipped = 0, 0
        self._draw_batch, self._loss, self._settings = draw_batch, loss, settings
        # torch.manual_seed notes where it was called from, which takes longer than a small step
        self._generators = [torch.default_generator]
        if self.device.type == "cuda":
            self._generators.append(torch.cuda.default_generators[self.device.index or 0])
        self._named = {n: p for n, p in network.named_parameters() if p.requires_grad}
        decays = {n: p.ndim > 1 for n, p in self._named.items()}
        groups: list[dict[str, Any]] = [
            {"params": [p for n, p in self._named.items() if decays[n]]},
            {"params": [p for n, p in self._named.items() if not decays[n]], "weight_decay": 0.0},
        ]
        self._optimizer = torch.optim.AdamW(
            groups, lr=settings.learning_rate, betas=(0.9, settings.beta_2),
            weight_decay=settings.weight_decay, fused=True,
        )  # fmt: skip

    def run_step(self) -> StepResult:
        """Make one step, or leave it out where its gradient is not finite."""
        settings, step = self._settings, self.step
        batch = self._draw_batch(np.random.default_rng([settings.seed, step]), step)
        (seed,) = np.random.SeedSequence([settings.seed, step, 1]).generate_state(1, np.uint64)
        for generator in self._generators:
            generator.manual_seed(int(seed))
        with self._casting():
            loss = self._loss(self.network, batch)
        loss.backward()  # type: ignore[no-untyped-call]
        length = torch.nn.utils.clip_grad_norm_(self._named.values(), settings.clip)
        rate = settings.rate(step)
        if torch.isfinite(length):
            for group in self._optimizer.param_groups:
                group["lr"] = rate
            self._optimizer.step()
        else:
            self.n_skipped += 1
        self._optimizer.zero_grad(set_to_none=True)
        self.step += 1
        return StepResult(self.step, float(loss.detach()), rate)

    def state(self) -> StepState:
        """Copy all that a continuation needs."""
        arrays = {
            f"weights.{name}": values.cpu().numpy().copy()
            for name, values in self.network.state_dict().items()
        }
        for name, parameter in self._named.items():
            for ours, theirs in MOMENTS.items():
                if parameter in self._optimizer.state:
                    values = self._optimizer.state[parameter][theirs]
                    arrays[f"{ours}.{name}"] = values.cpu().numpy().copy()
        return StepState(self.step, self.n_skipped, arrays)

    def restore(self, state: StepState) -> None:
        """Go on from a state, as the training that gave it would have.

        Raises
        ------
        CheckpointError
            If it is of another network.
        """
        own = self.network.state_dict()
        try:
            for name, values in own.items():
                values.copy_(
                    torch.from_numpy(state.arrays[f"weights.{name}"].reshape(values.shape))
                )
            for name, parameter in self._named.items():
                if f"counts.{name}" in state.arrays:
                    self._optimizer.state[parameter] = {
                        theirs: torch.from_numpy(
                            state.arrays[f"{ours}.{name}"].astype(np.float32)
                        ).to(parameter.device)
                        for ours, theirs in MOMENTS.items()
                    }
        except (KeyError, ValueError, RuntimeError) as error:
            raise CheckpointError(
                "expected the saved state of a training of this network; found that of another "
                f"one: {error}. Go on with the settings it was begun with, or begin anew."
            ) from error
        self.step, self.n_skipped = state.step, state.n_skipped

    def _casting(self) -> Any:
        if self.device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False):
            return torch.autocast("cuda", torch.bfloat16)
        return nullcontext()


def train_steps(
    network: Network,
    draw_batch: Callable[[np.random.Generator, int], Batch],
    loss: Callable[[Network, Batch], Tensor],
    settings: StepSettings,
    *,
    state: StepState | None = None,
    watch: Callable[[StepTraining[Network, Batch], StepResult], bool] | None = None,
) -> StepState:
    """Train a network to the last step; it is left in evaluation mode.

    Parameters
    ----------
    state : StepState, optional
        What to go on from.
    watch : callable, optional
        Called after every step; True ends the training.

    Raises
    ------
    ConnectomeError
        If most steps were not finite: the weights are then no result.
    """
    training = StepTraining(network, draw_batch, loss, settings)
    if state is not None:
        training.restore(state)
    with torch.random.fork_rng(devices=_list_gpus(training.device)):
        network.train()
        while training.step < settings.n_steps:
            result = training.run_step()
            if watch is not None and watch(training, result):
                break
        network.eval()
    if 2 * training.n_skipped > training.step:
        raise ConnectomeError(
            f"expected a training whose steps are finite; found {training.n_skipped} of "
            f"{training.step} that are not. Give a lower learning rate."
        )
    if training.n_skipped:
        logger.warning(
            "%d of %d training steps were left out: gradient not finite",
            training.n_skipped, training.step,
        )  # fmt: skip
    return training.state()


def find_device(name: str) -> torch.device:
    """Device of torch, by the words of :func:`~kraken_bids.models.devices.resolve_device`."""
    return torch.device(resolve_device(name).name)


def _list_gpus(device: torch.device) -> list[torch.device]:
    return [device] if device.type == "cuda" else []
