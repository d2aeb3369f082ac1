"""Predictions in the reduced space, from one state of a network."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from kraken_bids.models.devices import Array
from kraken_bids.models.krakencoder.architecture import Weights
from kraken_bids.models.krakencoder.layers import to_unit_length
from kraken_bids.models.krakencoder.network import Network, on_arrays


class ReducedPredictor:
    """Encodes each flavor once, and decodes from that; on the CPU, in evaluation mode.

    Parameters
    ----------
    inputs : mapping of str to ndarray of shape (n_subjects, n_components)
        Reduced connectomes by flavor id; NaN rows stay NaN.
    """

    def __init__(self, weights: Weights, inputs: Mapping[str, NDArray[np.floating]]) -> None:
        self._weights = weights
        self._network: Network | None = None
        self.latents = {name: self._encode(name, rows) for name, rows in inputs.items()}
        """``[n_subjects, n_latent]`` by flavor id."""

    def predict(self, source: str, target: str) -> Array:
        """Reduced connectomes ``[n_subjects, n_components]`` of a target."""
        latents = self.latents[source]
        if self._weights.architecture.group_path(source, target):
            path = self._weights.architecture.group_path(source, target)
            latents = self._run(f"translations.{path}", latents)
        return self._run(f"decoders.{target}", latents)

    def _encode(self, name: str, rows: NDArray[np.floating]) -> Array:
        encoded = self._run(f"encoders.{name}", np.asarray(rows, np.float32))
        is_scaled = self._is_plain and self._weights.architecture.latent_normalize
        return to_unit_length(encoded) if is_scaled else encoded

    @property
    def _is_plain(self) -> bool:
        return self._weights.architecture.is_affine

    def _run(self, branch: str, rows: Array) -> Array:
        """Run a branch: in numpy where it is one linear layer, in torch else."""
        if self._is_plain and not branch.startswith("translations."):
            return np.asarray(self._weights.linears(branch)[0](rows), np.float32)
        if self._network is None:
            self._network = Network.from_weights(self._weights)
        return np.asarray(on_arrays(self._network.branch(branch))(rows), np.float32)
