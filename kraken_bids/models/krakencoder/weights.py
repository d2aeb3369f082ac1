"""Weights of a Krakencoder as arrays of numpy: what model files hold, and all a CPU needs."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from kraken_bids.models.krakencoder.architecture import Architecture
from kraken_bids.models.krakencoder.devices import Array, Values


@dataclass(frozen=True, eq=False)
class Linear:
    """Weights of one linear layer, as arrays of numpy or of torch."""

    weight: Values
    """``[n_out, n_in]``."""
    bias: Values | None
    """``[n_out]``."""

    def __call__(self, values: Values) -> Values:
        """``[n_subjects, n_in]`` to ``[n_subjects, n_out]``."""
        products = values @ self.weight.T
        return products if self.bias is None else products + self.bias


@dataclass(frozen=True, eq=False)
class Weights:
    """Weights of encoders, decoders and translations, and what they are shaped like."""

    architecture: Architecture
    arrays: Mapping[str, Array]
    """As ``Architecture.weight_shapes`` names them."""

    @property
    def n_parameters(self) -> int:
        """Number of weights."""
        return sum(math.prod(values.shape) for values in self.arrays.values())

    def linears(self, branch: str) -> tuple[Linear, ...]:
        """Linear layers of ``encoders.FLAVOR``, ``decoders.FLAVOR`` or ``translations.PATH``."""
        arch = self.architecture
        hidden = arch.group_sizes if branch.startswith("translations.") else arch.hidden_sizes
        names = (f"{branch}.linears.{layer}" for layer in range(len(hidden) + 1))
        return tuple(
            Linear(self.arrays[f"{name}.weight"], self.arrays.get(f"{name}.bias"))
            for name in names
        )
