"""Linear layers in training on a CPU: weights and gradients in flat arrays, memory to work in."""

import math
import threading
from dataclasses import dataclass

import numpy as np

from kraken_bids.models.devices import Array
from kraken_bids.models.krakencoder.architecture import Weights


class Workspace(threading.local):
    """Memory of each thread that is used again: fresh pages would cost more than the sums."""

    def take(self, name: str, *shape: int) -> Array:
        """Give an array of any content, the same memory for the same name."""
        n_values = math.prod(shape)
        flat: Array | None = self.__dict__.get(name)
        if flat is None or flat.size < n_values:
            flat = self.__dict__[name] = np.empty(n_values, np.float32)
        return flat[:n_values].reshape(shape)


@dataclass(frozen=True, eq=False)
class TrainedLayer:
    """A linear layer and its gradient: views of two flat arrays."""

    values: Array
    """Weight ``[n_out, n_in]``, then bias ``[n_out]`` where there is one; flat."""
    gradient: Array
    """Of the same layout."""
    weight: Array
    bias: Array | None
    by_weight: Array
    by_bias: Array | None

    def apply(self, inputs: Array, outputs: Array) -> None:
        """``[n, n_in]`` to ``[n, n_out]``."""
        np.matmul(inputs, self.weight.T, out=outputs)
        if self.bias is not None:
            outputs += self.bias

    def differentiate(self, inputs: Array, by_outputs: Array, *, adds: bool = False) -> None:
        """Write the derivatives by weight and bias, or add them."""
        if adds:
            self.by_weight[:] += by_outputs.T @ inputs
        else:
            np.matmul(by_outputs.T, inputs, out=self.by_weight)
        if self.by_bias is not None:
            by_bias = np.ones(len(by_outputs), np.float32) @ by_outputs
            self.by_bias[:] = self.by_bias + by_bias if adds else by_bias


def lay_out(weights: Weights, branch: str) -> TrainedLayer:
    """Copy the weights of a branch of one layer into a flat array."""
    (linear,) = weights.linears(branch)
    parts = [linear.weight] if linear.bias is None else [linear.weight, linear.bias]
    values = np.concatenate([np.asarray(part, np.float32).ravel() for part in parts])
    gradient, n_weights = np.zeros_like(values), linear.weight.size
    weight, by_weight = (
        flat[:n_weights].reshape(linear.weight.shape) for flat in (values, gradient)
    )
    has_bias = linear.bias is not None
    return TrainedLayer(
        values=values,
        gradient=gradient,
        weight=weight,
        bias=values[n_weights:] if has_bias else None,
        by_weight=by_weight,
        by_bias=gradient[n_weights:] if has_bias else None,
    )
