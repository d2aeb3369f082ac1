"""The steps from edges to predicted edges in float64, each with its derivative.

The model in use computes in float32 with folded maps; derivatives and what they are compared with
need more digits, and one subject at a time.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from kraken_bids.exceptions import ConnectomeError
from kraken_bids.models.krakencoder.adaptation import FlavorAdaptation
from kraken_bids.models.krakencoder.architecture import Linear, Weights
from kraken_bids.models.krakencoder.reduction import Reduction

if TYPE_CHECKING:
    from kraken_bids.models.krakencoder.network import Network

Floats = NDArray[np.float64]
MIN_NORM = 1e-12
"""Shorter latents have no direction."""


class Step(Protocol):
    """One step, and the derivative of what follows it."""

    def run(self, rows: Floats) -> Floats:
        """``[n_rows, n_in]`` to ``[n_rows, n_out]``."""

    def pull(self, row: Floats, gradient: Floats) -> Floats:
        """Gradient by the step's input ``[n_in]``, given that by its output ``[n_out]``."""

    def find_kinks(self, row: Floats) -> list[str]:
        """Say where the step has no derivative at an input ``[n_in]``."""


@dataclass(frozen=True, eq=False)
class Chain:
    """Several steps, one after the other."""

    steps: Sequence[Step]

    def run(self, rows: Floats) -> Floats:
        """``[n_rows, n_in]`` to ``[n_rows, n_out]``."""
        for step in self.steps:
            rows = step.run(rows)
        return rows

    def pull(self, row: Floats, gradient: Floats) -> Floats:
        """Gradient by the first step's input."""
        for step, value in zip(self.steps[::-1], self._values(row)[::-1], strict=True):
            gradient = step.pull(value, gradient)
        return gradient

    def find_kinks(self, row: Floats) -> list[str]:
        """Say where any step has no derivative."""
        pairs = zip(self.steps, self._values(row), strict=True)
        return [kink for step, value in pairs for kink in step.find_kinks(value)]

    def _values(self, row: Floats) -> list[Floats]:
        """Input of each step."""
        values = [row]
        for step in self.steps[:-1]:
            values.append(step.run(values[-1][None])[0])
        return values[: len(self.steps)]


class Smooth:
    """A step that has a derivative everywhere."""

    def find_kinks(self, row: Floats) -> list[str]:
        """Find none."""
        del row
        return []


@dataclass(frozen=True, eq=False)
class Adapt(Smooth):
    """Edges as they were given to adapted edges."""

    fit: FlavorAdaptation

    def run(self, rows: Floats) -> Floats:
        """``[n_rows, n_edges]`` to the same shape."""
        return np.asarray(self.fit.b0 * rows + self.fit.shift)

    def pull(self, row: Floats, gradient: Floats) -> Floats:
        """Scale by the slope: sensitivity is to edges as they were given."""
        del row
        return self.fit.b0 * gradient


class Reduce(Smooth):
    """Edges to an encoder's input, or a decoder's output back to edges, by an affine transform."""

    def __init__(self, reduction: Reduction, *, is_inverse: bool = False) -> None:
        affine = reduction.to_affine()
        self.scale, self.center = affine.scale.astype(np.float64), affine.center.astype(np.float64)
        self.matrix = None if affine.matrix is None else affine.matrix.astype(np.float64)
        self.is_inverse = is_inverse

    def run(self, rows: Floats) -> Floats:
        """``[n_rows, n_edges]`` to ``[n_rows, n_components]``, or back."""
        if self.is_inverse:
            return self._expand(rows / self.scale) + self.center
        return self._contract(rows - self.center) * self.scale

    def pull(self, row: Floats, gradient: Floats) -> Floats:
        """Apply the transposed map."""
        del row
        if self.is_inverse:
            return self._contract(gradient) / self.scale
        return self._expand(gradient * self.scale)

    def _contract(self, values: Floats) -> Floats:
        return values if self.matrix is None else np.asarray(values @ self.matrix.T)

    def _expand(self, values: Floats) -> Floats:
        return values if self.matrix is None else np.asarray(values @ self.matrix)


class LogReduce:
    """The one transform that is not affine: logarithms, and zero below the smallest value."""

    def __init__(self, reduction: Reduction, *, is_inverse: bool = False) -> None:
        a = {name: float(values.reshape(-1)[0]) for name, values in reduction.arrays.items()}
        self.low = a["input_minimum_nonzero"]
        self.gain = a["output_logstdev_nonzero"] / a["input_logstdev_nonzero"]
        self.offset = a["output_logmean_nonzero"] - self.gain * a["input_logmean_nonzero"]
        self.divisor = a["input_rownorm_mean"]
        self.is_inverse = is_inverse

    def run(self, rows: Floats) -> Floats:
        """``[n_rows, n_edges]`` to the same shape, or back."""
        if self.is_inverse:
            return np.asarray(10 ** ((rows * self.divisor - self.offset) / self.gain))
        logarithms = np.log10(np.maximum(rows, self.low))
        return (self.gain * logarithms + self.offset) * (rows >= self.low) / self.divisor

    def pull(self, row: Floats, gradient: Floats) -> Floats:
        """Multiply by each edge's slope."""
        if self.is_inverse:
            slope = self.run(row[None])[0] * np.log(10) * self.divisor / self.gain
        else:
            above = row >= self.low
            slope = above * self.gain / (np.maximum(row, self.low) * np.log(10) * self.divisor)
        return np.asarray(gradient * slope)

    def find_kinks(self, row: Floats) -> list[str]:
        """Count the edges that the transform sets to zero, where its slope is none."""
        n_low = 0 if self.is_inverse else int((row < self.low).sum())
        n_edge = 0 if self.is_inverse else int((row == self.low).sum())
        flat = (
            f"{n_low} edge(s) lie below {self.low:g}, which the model's transform sets to zero: "
        )
        jump = f"{n_edge} edge(s) lie exactly at {self.low:g}, where the transform jumps"
        words = [flat + f"their sensitivity is 0, though the transform jumps at {self.low:g}"]
        return words * (n_low > 0) + [jump] * (n_edge > 0)


@dataclass(frozen=True, eq=False)
class Linears(Smooth):
    """Linear layers with nothing between them."""

    layers: Sequence[Linear]

    def run(self, rows: Floats) -> Floats:
        """``[n_rows, n_in]`` to ``[n_rows, n_out]``."""
        for layer in self.layers:
            bias = 0.0 if layer.bias is None else layer.bias
            rows = rows @ np.asarray(layer.weight, np.float64).T + bias
        return rows

    def pull(self, row: Floats, gradient: Floats) -> Floats:
        """Apply the transposed weights, from last to first."""
        del row
        for layer in self.layers[::-1]:
            gradient = gradient @ np.asarray(layer.weight, np.float64)
        return gradient


@dataclass(frozen=True)
class ToUnitLength:
    """Latents to unit length."""

    whose: str

    def run(self, rows: Floats) -> Floats:
        """``[n_rows, n_latent]`` to the same shape."""
        norms = np.linalg.norm(rows, axis=1, keepdims=True)
        return np.asarray(rows / np.maximum(norms, MIN_NORM))

    def pull(self, row: Floats, gradient: Floats) -> Floats:
        """Take out what points along the latent, which scaling takes away.

        Raises
        ------
        ConnectomeError
            If the latent has no length.
        """
        norm = float(np.linalg.norm(row))
        check_direction(norm, self.whose)
        unit = row / norm
        return np.asarray((gradient - unit * (unit @ gradient)) / norm)

    def find_kinks(self, row: Floats) -> list[str]:
        """Find none: without a length :meth:`pull` raises."""
        del row
        return []


class Activated:
    """A branch with activations, run and differentiated by torch in float64."""

    def __init__(self, network: "Network", name: str, *, scaled: bool) -> None:
        self.name, self.branch, self.scaled = name, network.branch(name), scaled

    def run(self, rows: Floats) -> Floats:
        """``[n_rows, n_in]`` to ``[n_rows, n_out]``."""
        from kraken_bids.models.krakencoder.network import run_exactly

        return run_exactly(self.branch, rows)

    def pull(self, row: Floats, gradient: Floats) -> Floats:
        """Differentiate by reverse accumulation.

        Raises
        ------
        ConnectomeError
            If the latent has no length to scale to 1.
        """
        if self.scaled:
            check_direction(float(np.linalg.norm(self.run(row[None]))), self.name)
        return self._differentiate(row, gradient)[0]

    def find_kinks(self, row: Floats) -> list[str]:
        """Count the units that stand exactly where their activation bends."""
        _, n_bent = self._differentiate(row, np.zeros(self.run(row[None]).shape[1]))
        bent = f"{n_bent} unit(s) of {self.name} stand exactly where their activation bends: "
        return [bent + "the sensitivity is that of the side below"] if n_bent else []

    def _differentiate(self, row: Floats, gradient: Floats) -> tuple[Floats, int]:
        from kraken_bids.models.krakencoder.network import differentiate

        return differentiate(self.branch, row, gradient)


def check_direction(norm: float, whose: str) -> None:
    """Check that a latent has a length to be scaled to 1.

    Raises
    ------
    ConnectomeError
    """
    if norm < MIN_NORM:
        raise ConnectomeError(
            f"expected a latent of {whose} that has a direction; found one of length {norm:g}, "
            "where scaling to unit length has no derivative. Explain another person."
        )


def make_branch(weights: Weights, name: str, network: Callable[[], Any]) -> Step:
    """Step of ``encoders.FLAVOR``, ``decoders.FLAVOR`` or ``translations.PATH``.

    Parameters
    ----------
    network : callable
        Gives the network in torch, in float64; asked for only where there are activations.
    """
    arch = weights.architecture
    kind = name.partition(".")[0]
    layers = weights.linears(name)
    bends = not arch.skip_activation and len(layers) > 1
    squashes = kind == "encoders" and arch.latent_activation != "none"
    if kind == "translations":
        bends, squashes = arch.group_activation, False
    scaled = arch.latent_normalize and kind != "decoders"
    if bends or squashes:
        return Activated(network(), name, scaled=scaled)
    ends: list[Step] = [ToUnitLength(name.partition(".")[2])] if scaled else []
    return Chain([Linears(layers), *ends])


def make_reduction(reduction: Reduction, *, is_inverse: bool = False) -> Step:
    """Step of a transform, from edges or back to them."""
    kind = Reduce if reduction.is_affine else LogReduce
    return kind(reduction, is_inverse=is_inverse)
