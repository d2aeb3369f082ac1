"""Training steps of networks that are one linear layer each way, on a CPU: numpy, no autograd.

The derivatives are written out. Every multiplication runs on one thread, several of them at once,
so that the number of threads changes no bit.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kraken_bids.models.krakencoder.alike_paths import SINGLE, AlikePaths, group_paths
from kraken_bids.models.krakencoder.architecture import Weights
from kraken_bids.models.krakencoder.devices import CPU, Array, run_parts, single_thread
from kraken_bids.models.krakencoder.dropout import Dropout
from kraken_bids.models.krakencoder.layers import MIN_NORM
from kraken_bids.models.krakencoder.losses import compute_similarity_loss, weigh_losses
from kraken_bids.models.krakencoder.pair_losses import (
    Rows,
    Slopes,
    compute_pair_losses,
    describe_rows,
)
from kraken_bids.models.krakencoder.recipe import TrainingData, TrainingSettings
from kraken_bids.models.krakencoder.trained_layers import Workspace, lay_out
from kraken_bids.models.optimizer import GuardedAdamW

MAX_VALUES = 1 << 18
"""Predicted numbers of a block: what is worked on at once stays near a core's cache."""

LATENTS = -1
"""In the place of a target: the losses of latents."""

Indices = NDArray[np.intp]


def let_overflow() -> np.errstate:
    """Compute on without a warning: what is not finite is found where the step is taken."""
    return np.errstate(over="ignore", invalid="ignore")


@dataclass(frozen=True, eq=False)
class _Encoded:
    """Latents of a batch, and what their derivatives need."""

    inputs: Array
    kept: Array | None
    inverse: Array | None
    latents: Array


class AffineSteps:
    """Steps of an affine network; weights and gradients lie in one flat array per branch.

    Parameters
    ----------
    weights : Weights
        To begin with; copied.
    data : TrainingData
    settings : TrainingSettings
    """

    def __init__(self, weights: Weights, data: TrainingData, settings: TrainingSettings) -> None:
        arch = weights.architecture
        self._arch = arch
        self._present = data.find_present()
        self._seed, self._is_joint = settings.seed, settings.schedule == "joint"
        self._weights = weigh_losses(settings.loss)
        self._inputs = [np.nan_to_num(rows, nan=0.0) for rows in data.inputs.values()]
        self._rows = [describe_rows(rows[None]) for rows in self._inputs]
        self._targets = None
        if data.target_latents is not None:
            self._targets = np.nan_to_num(data.target_latents, nan=0.0)
        self._fixed = self._targets if data.is_fixed else None
        self._n_flavors = len(arch.flavors)
        self._paths = np.full((self._n_flavors,) * 2, self._targets is None) | np.eye(
            self._n_flavors, dtype=bool
        )
        self._branches = [
            f"{kind}.{name}" for kind in ("encoders", "decoders") for name in arch.flavors
        ]
        self._layers = [lay_out(weights, name) for name in self._branches]
        self._encoders = self._layers[: self._n_flavors]
        self._decoders = self._layers[self._n_flavors :]
        self.optimizer = GuardedAdamW(
            {name: layer.values for name, layer in zip(self._branches, self._layers, strict=True)},
            weight_decay=settings.weight_decay,
        )
        self._workspace = Workspace()

    def freeze(self) -> Weights:
        """Copy the weights as they are now."""
        arrays = {}
        for kind, layers in (("encoders", self._encoders), ("decoders", self._decoders)):
            for name, layer in zip(self._arch.flavors, layers, strict=True):
                arrays[f"{kind}.{name}.linears.0.weight"] = layer.weight.copy()
                if layer.bias is not None:
                    arrays[f"{kind}.{name}.linears.0.bias"] = layer.bias.copy()
        return Weights(self._arch, arrays)

    @contextmanager
    def in_epoch(self, epoch: int) -> Iterator[None]:
        """Draw from the random streams of an epoch: one for each encoder and decoder."""
        finals = self._arch.final_dropouts or (self._arch.dropout,) * self._n_flavors
        rates = (*(self._arch.dropout,) * self._n_flavors, *finals)
        seeds = np.random.SeedSequence([self._seed, epoch]).spawn(len(rates))
        made = [Dropout(rate, seed) for rate, seed in zip(rates, seeds, strict=True)]
        self._of_encoders, self._of_decoders = made[: self._n_flavors], made[self._n_flavors :]
        with let_overflow(), nullcontext() if self._is_joint else single_thread():
            yield

    def step_path(self, source: int, target: int, batch: Indices, learning_rate: float) -> float:
        """Take a step of one path on subjects who have both of its flavors; gives the loss."""
        encoded = self._encode(source, batch)
        losses, (by_latents,) = self._compare_latents(encoded.latents[None], batch, SINGLE)
        if self._fixed is None:
            found, by_codes = self._decode(target, encoded.latents, batch)
            by_latents += by_codes
        else:
            found, _ = self._decode(target, self._fixed[batch], batch)
        self._differentiate_encoder(source, encoded, by_latents)
        self._step((source, self._n_flavors + target), learning_rate)
        return float(losses[0, 0] + found[0])

    def step_joint(self, batch: Indices, learning_rate: float) -> NDArray[np.float64]:
        """Take one step of all paths; gives their losses, source by target.

        A path's losses are those of the subjects of the batch who have both flavors; they are
        added up over paths. Paths of fewer than two such subjects have none: NaN.
        """
        has = self._present[:, batch]
        everyone = bool(has.all())
        counts = np.einsum("su,tu->st", has, has, dtype=np.intp) * self._paths
        sources, targets = (np.flatnonzero((counts > 1).any(axis=axis)) for axis in (1, 0))
        encoded = run_parts(lambda s: self._encode(s, batch), range(self._n_flavors), CPU)
        latents = np.stack([each.latents for each in encoded])
        # of each decoder by itself, so that the order of their sum is always the same
        by_codes = np.zeros((self._n_flavors, *latents.shape), np.float32)
        losses = np.full((2, *counts.shape), np.nan)
        by_latents = np.empty_like(latents)

        @let_overflow()
        def compare(target: int) -> None:
            if target == LATENTS:
                alike = group_paths(self._paths, has)
                losses[0], by_latents[:] = self._compare_latents(latents, batch, alike)
                return
            mine = slice(None) if self._targets is None else slice(target, target + 1)
            codes = latents[mine] if self._fixed is None else self._fixed[None, batch]
            present = None if everyone else has[mine] & has[target]
            found, slopes = self._decode(target, codes.reshape(-1, codes.shape[2]), batch, present)
            losses[1, mine, target] = found
            if self._fixed is None:
                by_codes[target, mine] = slopes.reshape(codes.shape)

        @let_overflow()
        def differentiate(source: int) -> None:
            by_own = by_latents[source] + by_codes[:, source].sum(axis=0)
            self._differentiate_encoder(source, encoded[source], by_own)

        run_parts(compare, (LATENTS, *targets.tolist()), CPU)
        run_parts(differentiate, sources.tolist(), CPU)
        self._step((*sources.tolist(), *(targets + self._n_flavors).tolist()), learning_rate)
        return np.where(counts > 1, losses.sum(axis=0), np.nan)

    def step_similarity(self, learning_rate: float) -> float:
        """Take the step that pulls the flavors' latents together; gives the weighted loss."""
        everybody = np.arange(self._present.shape[1])
        flavors = range(self._n_flavors)
        encoded = run_parts(lambda s: self._encode(s, everybody), flavors, CPU)
        fixed = run_parts(lambda s: self._encode(s, everybody, is_training=False), flavors, CPU)
        loss, by_latents = compute_similarity_loss(
            np.stack([each.latents for each in encoded]),
            np.stack([each.latents for each in fixed]),
            self._present,
        )
        weight = self._weights.similarity
        by_latents *= weight
        pulled = flavors[1:]  # the first flavor is pulled to none
        run_parts(lambda s: self._differentiate_encoder(s, encoded[s], by_latents[s]), pulled, CPU)
        self._step(pulled, learning_rate)
        return float(weight * loss)

    def _step(self, branches: Iterable[int], learning_rate: float) -> None:
        """Step some branches: encoders, then decoders, in the order of flavors."""
        gradients = {self._branches[k]: self._layers[k].gradient for k in branches}
        self.optimizer.step(gradients, learning_rate, _run_at_once if self._is_joint else None)

    def _encode(self, source: int, batch: Indices, *, is_training: bool = True) -> _Encoded:
        inputs = self._inputs[source][batch]
        values = np.empty((len(batch), self._arch.latent_size), np.float32)
        self._encoders[source].apply(inputs, values)
        kept = self._of_encoders[source].draw(*values.shape) if is_training else None
        if kept is not None:
            values *= kept
        if not self._arch.latent_normalize:
            return _Encoded(inputs, kept, None, values)
        norms = np.einsum("ij,ij->i", values, values)[:, None] ** 0.5
        inverse = np.asarray(1 / np.where(norms > MIN_NORM, norms, np.inf), np.float32)
        values *= inverse
        return _Encoded(inputs, kept, inverse, values)

    def _differentiate_encoder(self, source: int, encoded: _Encoded, by_latents: Array) -> None:
        """Write the encoder's gradient, given the derivatives by its latents."""
        by_output = by_latents
        if encoded.inverse is not None:
            along = np.einsum("ij,ij->i", encoded.latents, by_latents)[:, None]
            by_output = (by_latents - encoded.latents * along) * encoded.inverse
        if encoded.kept is not None:
            by_output *= encoded.kept
        self._encoders[source].differentiate(encoded.inputs, by_output)

    def _compare_latents(
        self, latents: Array, batch: Indices, alike: AlikePaths
    ) -> tuple[NDArray[np.floating], Array]:
        """Latent losses, source by target, and the derivatives of their sum by latents."""
        is_self = self._targets is None
        others = latents if self._targets is None else self._targets[None, batch]
        rows = describe_rows(latents)
        their_rows = rows if is_self else describe_rows(others)
        centered = others - their_rows.means[:, :, None]
        products = latents @ centered.transpose(0, 2, 1)
        if alike.present is not None:
            products, rows = products[alike.sources], rows.take(alike.sources)
            their_rows = rows if is_self else their_rows
        losses, slopes = compute_pair_losses(
            self._weights.latent,
            products,
            their_rows,
            rows,
            present=alike.present,
            is_self=is_self,
        )
        matrix, scale, shift = (alike.add_up(part) for part in slopes)
        by_latents = matrix @ centered
        by_latents += scale[:, :, None] * latents
        by_latents += shift[:, :, None]
        return losses[alike.index], by_latents

    def _decode(
        self,
        target: int,
        latents: Array,
        batch: Indices,
        present: NDArray[np.bool_] | None = None,
    ) -> tuple[NDArray[np.floating], Array]:
        """Predict a flavor from latents ``[n_sources * n, n_latent]``, and compare.

        Returns the losses of the sources and the derivatives by latents; writes the gradient.
        """
        layer, n = self._decoders[target], len(batch)
        x = self._inputs[target][batch]
        rows = self._rows[target].take((slice(None), batch))
        centered = x - rows.means[0, :, None]
        n_sources = len(latents) // n
        by_latents, losses = np.empty_like(latents), np.empty(n_sources, np.float32)
        step = max(1, MAX_VALUES // x.size)
        for first in range(0, n_sources, step):
            block = slice(first, min(first + step, n_sources))
            mine = slice(block.start * n, block.stop * n)
            shape = (mine.stop - mine.start, x.shape[1])
            predicted, kept = (
                self._workspace.take("y", *shape),
                self._of_decoders[target].draw(*shape),
            )
            layer.apply(latents[mine], predicted)
            if kept is not None:
                predicted *= kept
            losses[block], slopes = self._compare(
                predicted, centered, rows, None if present is None else present[block]
            )
            by_predicted = self._workspace.take("by_y", *shape)
            np.matmul(slopes.matrix.reshape(-1, n), centered, out=by_predicted)
            predicted *= slopes.scale.reshape(-1, 1)
            predicted += slopes.shift.reshape(-1, 1)
            by_predicted += predicted
            if kept is not None:
                by_predicted *= kept
            np.matmul(by_predicted, layer.weight, out=by_latents[mine])
            layer.differentiate(latents[mine], by_predicted, adds=first > 0)
        return losses, by_latents

    def _compare(
        self, predicted: Array, centered: Array, rows: Rows, present: NDArray[np.bool_] | None
    ) -> tuple[NDArray[np.floating], Slopes]:
        n = len(centered)
        products = (predicted @ centered.T).reshape(-1, n, n)
        described = describe_rows(predicted.reshape(-1, n, rows.width))
        return compute_pair_losses(
            self._weights.prediction, products, rows, described, present=present
        )


def _run_at_once(step: Callable[[str], None], branches: Iterable[str]) -> None:
    run_parts(step, branches, CPU)
