"""Training steps of networks that are one linear layer each way, on a CPU: numpy, no autograd.

The derivatives are written out. Every multiplication runs on one thread, several of them at once,
so that the number of threads changes no bit.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kraken_bids.models.krakencoder.architecture import Weights
from kraken_bids.models.krakencoder.devices import CPU, Array, run_parts, single_thread
from kraken_bids.models.krakencoder.dropout import Dropout
from kraken_bids.models.krakencoder.losses import (
    Rows,
    Slopes,
    compute_pair_losses,
    compute_similarity_loss,
    describe_rows,
    weigh_losses,
)
from kraken_bids.models.krakencoder.recipe import TrainingData, TrainingSettings
from kraken_bids.models.optimizer import GuardedAdamW

MIN_NORM = 1e-12
"""Shorter latents are divided by this, as torch's ``normalize`` does."""
MAX_VALUES = 1 << 18
"""Predicted numbers of a block: what is worked on at once stays near a core's cache."""

OVERFLOWS = np.errstate(over="ignore", invalid="ignore")
"""What is not finite is found where the step is taken."""

Indices = NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class _Layer:
    """A linear layer and its gradient: views of the flat arrays of its branch."""

    weight: Array
    bias: Array | None
    by_weight: Array
    by_bias: Array | None

    def apply(self, values: Array) -> Array:
        products = values @ self.weight.T
        if self.bias is not None:
            products += self.bias
        return products

    def differentiate(self, values: Array, by_output: Array, *, adds: bool = False) -> None:
        """Write the derivatives by weight and bias, or add them."""
        if adds:
            self.by_weight[:] += by_output.T @ values
        else:
            np.matmul(by_output.T, values, out=self.by_weight)
        if self.by_bias is not None:
            by_bias = by_output.sum(axis=0)
            self.by_bias[:] = self.by_bias + by_bias if adds else by_bias


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
        self._rows = [describe_rows(rows) for rows in self._inputs]
        self._targets = None
        if data.target_latents is not None:
            self._targets = np.nan_to_num(data.target_latents, nan=0.0)
        self._fixed = self._targets if data.is_fixed else None
        self._dropout = Dropout(arch.dropout)
        finals = arch.final_dropouts or (arch.dropout,) * len(arch.flavors)
        self._final_dropouts = [Dropout(rate) for rate in finals]
        self._n_flavors = len(arch.flavors)
        self._paths = np.full((self._n_flavors,) * 2, self._targets is None) | np.eye(
            self._n_flavors, dtype=bool
        )
        self._branches = [
            f"{kind}.{name}" for kind in ("encoders", "decoders") for name in arch.flavors
        ]
        branches = {name: _lay_out(weights, name) for name in self._branches}
        self._encoders = [branches[f"encoders.{name}"][2] for name in arch.flavors]
        self._decoders = [branches[f"decoders.{name}"][2] for name in arch.flavors]
        self._gradients = {name: gradient for name, (_, gradient, _) in branches.items()}
        self.optimizer = GuardedAdamW(
            {name: values for name, (values, _, _) in branches.items()},
            weight_decay=settings.weight_decay,
        )

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
        streams = np.random.SeedSequence([self._seed, epoch]).spawn(2 * self._n_flavors)
        made = [np.random.Generator(np.random.SFC64(stream)) for stream in streams]
        self._of_encoders, self._of_decoders = made[::2], made[1::2]
        if self._is_joint:
            yield
        else:
            with single_thread():
                yield

    def step_path(self, source: int, target: int, batch: Indices, learning_rate: float) -> float:
        """Take a step of one path on subjects who have both of its flavors; gives the loss."""
        encoded = self._encode(source, batch)
        losses, by_latents = self._compare_latents(encoded.latents, batch)
        is_fixed = self._fixed is not None
        latents = encoded.latents if self._fixed is None else self._fixed[batch]
        predicted, by_code = self._decode(target, latents, batch)
        self._differentiate_encoder(
            source, encoded, by_latents if is_fixed else by_latents + by_code
        )
        self._step(
            [self._branches[source], self._branches[self._n_flavors + target]], learning_rate
        )
        return float(losses[0] + predicted[0])

    def step_joint(self, batch: Indices, learning_rate: float) -> NDArray[np.float64]:
        """Take one step of all paths; gives their losses, source by target.

        A path's losses are those of the subjects of the batch who have both flavors; they are
        added up over paths. Paths of fewer than two such subjects have none: NaN.
        """
        has = self._present[:, batch]
        counts = np.einsum("su,tu->st", has, has, dtype=np.intp) * self._paths
        sources, targets = (np.flatnonzero((counts > 1).any(axis=axis)) for axis in (1, 0))
        everyone = bool(has.all())
        encoded = run_parts(lambda s: self._encode(s, batch), range(self._n_flavors), CPU)
        latents = np.stack([each.latents for each in encoded])
        by_code = np.zeros((self._n_flavors, *latents.shape), np.float32)
        losses = np.full(counts.shape, np.nan)

        def decode(target: int) -> None:
            mine = slice(None) if self._targets is None else slice(target, target + 1)
            codes = latents[mine] if self._fixed is None else self._fixed[None, batch]
            present = None if everyone else has[mine] & has[target]
            found, slopes = self._decode(target, codes.reshape(-1, codes.shape[2]), batch, present)
            losses[mine, target] = found
            if self._fixed is None:
                by_code[target, mine] = slopes.reshape(codes.shape)

        def differentiate(source: int) -> None:
            mine = np.flatnonzero(self._paths[source])
            patterns = None if everyone else has[source] & has[mine]
            found, by_latents = self._compare_latents(
                latents[source], batch, patterns, n_paths=len(mine)
            )
            losses[source, mine] += found
            by_latents += by_code[:, source].sum(axis=0)
            self._differentiate_encoder(source, encoded[source], by_latents)

        run_parts(decode, targets.tolist(), CPU)
        run_parts(differentiate, sources.tolist(), CPU)
        touched = [self._branches[k] for k in (*sources, *(targets + self._n_flavors))]
        self._step(touched, learning_rate)
        losses[counts < 2] = np.nan
        return losses

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
        self._step([self._branches[s] for s in pulled], learning_rate)
        return float(weight * loss)

    @OVERFLOWS
    def _step(self, branches: Sequence[str], learning_rate: float) -> None:
        gradients = {name: self._gradients[name] for name in branches}
        run = _run_at_once if self._is_joint else None
        self.optimizer.step(gradients, learning_rate, run)

    @OVERFLOWS
    def _encode(self, source: int, batch: Indices, *, is_training: bool = True) -> _Encoded:
        inputs = self._inputs[source][batch]
        values = self._encoders[source].apply(inputs)
        kept = (
            self._dropout.draw(self._of_encoders[source], *values.shape) if is_training else None
        )
        if kept is not None:
            values *= kept
        if not self._arch.latent_normalize:
            return _Encoded(inputs, kept, None, values)
        norms = np.sqrt(np.einsum("ij,ij->i", values, values))[:, None]
        inverse = np.where(norms > MIN_NORM, 1 / np.maximum(norms, MIN_NORM), np.float32(0))
        values *= inverse
        return _Encoded(inputs, kept, inverse, values)

    @OVERFLOWS
    def _differentiate_encoder(self, source: int, encoded: _Encoded, by_latents: Array) -> None:
        """Write the encoder's gradient, given the derivatives by its latents."""
        by_output = by_latents
        if encoded.inverse is not None:
            along = np.einsum("ij,ij->i", encoded.latents, by_latents)[:, None]
            by_output = (by_latents - encoded.latents * along) * encoded.inverse
        if encoded.kept is not None:
            by_output *= encoded.kept
        self._encoders[source].differentiate(encoded.inputs, by_output)

    @OVERFLOWS
    def _compare_latents(
        self,
        latents: Array,
        batch: Indices,
        patterns: NDArray[np.bool_] | None = None,
        *,
        n_paths: int = 1,
    ) -> tuple[NDArray[np.floating], Array]:
        """Latent losses of the paths of a source, and the derivatives of their sum."""
        others = latents if self._targets is None else self._targets[batch]
        centered = others - others.mean(axis=1, keepdims=True)
        rows, counts, which = describe_rows(latents), np.array([n_paths]), np.zeros(n_paths, int)
        if patterns is not None:
            patterns, which, counts = np.unique(
                patterns, axis=0, return_inverse=True, return_counts=True
            )
            which = which.reshape(-1)
        n_patterns = len(counts)
        losses, slopes = compute_pair_losses(
            self._weights.latent,
            np.repeat((latents @ centered.T)[None], n_patterns, axis=0),
            rows if self._targets is None else describe_rows(others),
            rows.repeat(n_patterns),
            present=patterns,
            is_self=self._targets is None,
        )
        weights = counts.astype(np.float32)
        by_latents = np.tensordot(weights, slopes.matrix, 1) @ centered
        by_latents += (weights @ slopes.scale)[:, None] * latents
        by_latents += (weights @ slopes.shift)[:, None]
        return losses[which], by_latents

    @OVERFLOWS
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
        rows = self._rows[target].take(batch)
        centered = x - rows.means[:, None]
        n_sources = len(latents) // n
        by_latents, losses = np.empty_like(latents), np.empty(n_sources, np.float32)
        step = max(1, MAX_VALUES // x.size)
        for first in range(0, n_sources, step):
            block = slice(first, min(first + step, n_sources))
            mine = slice(block.start * n, block.stop * n)
            predicted = layer.apply(latents[mine])
            kept = self._final_dropouts[target].draw(self._of_decoders[target], *predicted.shape)
            if kept is not None:
                predicted *= kept
            losses[block], slopes = self._compare(
                predicted, centered, rows, None if present is None else present[block]
            )
            by_predicted = slopes.matrix.reshape(-1, n) @ centered
            predicted *= slopes.scale.reshape(-1, 1)
            by_predicted += predicted
            by_predicted += slopes.shift.reshape(-1, 1)
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


def _lay_out(weights: Weights, branch: str) -> tuple[Array, Array, _Layer]:
    """Copy a branch's weights into one flat array; gives it, that of its gradient, and views."""
    (linear,) = weights.linears(branch)
    parts = [linear.weight] if linear.bias is None else [linear.weight, linear.bias]
    values = np.concatenate([np.asarray(part, np.float32).ravel() for part in parts])
    gradient, n_weights = np.zeros_like(values), linear.weight.size
    weight, by_weight = (
        flat[:n_weights].reshape(linear.weight.shape) for flat in (values, gradient)
    )
    if linear.bias is None:
        return values, gradient, _Layer(weight, None, by_weight, None)
    layer = _Layer(weight, values[n_weights:], by_weight, gradient[n_weights:])
    return values, gradient, layer
