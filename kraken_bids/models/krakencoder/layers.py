"""What lies between the two ends of the network: nothing but a scaling, or layers run by torch."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from kraken_bids.models.krakencoder.devices import Array, Device, Values, to_numpy
from kraken_bids.models.krakencoder.edge_layers import in_blocks, pad_rows
from kraken_bids.models.krakencoder.weights import Linear, Weights

if TYPE_CHECKING:
    from kraken_bids.models.krakencoder.network import Network

MIN_NORM = 1e-12
"""Shorter latents are divided by this, as torch's ``normalize`` does."""


@dataclass(frozen=True, eq=False)
class InnerLayers:
    """Layers between the encoders' first and the decoders' last, of all flavors."""

    weights: Weights
    device: Device

    @property
    def is_plain(self) -> bool:
        """Whether latents are scaled at most, on a CPU: then no torch is needed."""
        return self.weights.architecture.is_affine and not self.device.is_gpu

    def encode(self, flavor: str, projected: NDArray[np.floating]) -> Array:
        """Latents ``[n_subjects, n_latent]`` of the first layer's output."""
        if self.is_plain:
            is_scaled = self.weights.architecture.latent_normalize
            return to_unit_length(projected) if is_scaled else np.asarray(projected, np.float32)
        encoded = self._run(self._network.branch(f"encoders.{flavor}").after_first, projected)
        return to_numpy(encoded)[: len(projected)]

    def decode(self, flavor: str, latents: NDArray[np.floating]) -> Values:
        """Input of a decoder's last layer, on the device, in padded rows."""
        if self.is_plain:
            return pad_rows(latents, self.device)
        return self._run(self._network.branch(f"decoders.{flavor}").before_last, latents)

    def translate(
        self, latents: NDArray[np.floating], source: str, target: str
    ) -> NDArray[np.floating]:
        """Carry latents of ``source`` to the group of ``target``; most models change nothing."""
        path = self.weights.architecture.group_path(source, target)
        if not path:
            return latents
        carried = self._run(self._network.branch(f"translations.{path}"), latents)
        return to_numpy(carried)[: len(latents)]

    def linears(self, branch: str) -> Sequence[Linear]:
        """Linear layers of a branch, on the device."""
        if not self.device.is_gpu:
            return self.weights.linears(branch)
        linears: Any = self._network.branch(branch).linears
        return tuple(linears)

    def _run(self, layers: Callable[..., Any], rows: NDArray[np.floating]) -> Values:
        if not self.device.is_gpu:
            from kraken_bids.models.krakencoder.network import on_arrays

            layers = on_arrays(layers)
        return in_blocks(layers, pad_rows(rows, self.device))

    @cached_property
    def _network(self) -> "Network":
        from kraken_bids.models.krakencoder.network import Network

        return Network.from_weights(self.weights).to(self.device.name)


def to_unit_length(values: NDArray[np.floating]) -> Array:
    """Scale rows to unit length; rows of zeros stay."""
    norms = np.linalg.norm(values, axis=1, keepdims=True)
    return np.asarray(values / np.maximum(norms, MIN_NORM), np.float32)
