"""An encoder of one linear layer in training on a CPU: numpy, derivatives written out."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kraken_bids.models.devices import Array
from kraken_bids.models.krakencoder.dropout import Dropout
from kraken_bids.models.krakencoder.layers import MIN_NORM
from kraken_bids.models.krakencoder.trained_layers import TrainedLayer

Indices = NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class Encoded:
    """Latents, and what their derivatives need."""

    inputs: Array
    kept: Array | None
    """Factors of dropout."""
    inverse: Array | None
    """One by the length of each row before it was made 1."""
    latents: Array


class AffineEncoder:
    """Latents of one flavor's rows, and the gradient of its layer.

    Parameters
    ----------
    inputs : ndarray of shape (n_subjects, n_inputs)
    normalizes : bool
        Latents have length 1.
    """

    dropout: Dropout
    """Of the epoch."""

    def __init__(self, layer: TrainedLayer, inputs: Array, *, normalizes: bool) -> None:
        self.layer = layer
        self._inputs, self._normalizes = inputs, normalizes

    def encode(self, batch: Indices, latents: Array) -> Encoded:
        """Encode the rows of a batch into an array ``[n, n_latent]``."""
        inputs = self._inputs.take(batch, axis=0)
        self.layer.apply(inputs, latents)
        return self._finish(inputs, latents)

    def encode_all(self, latents: Array, references: Array) -> Encoded:
        """Encode everybody twice: as in training, and as thereafter."""
        self.layer.apply(self._inputs, latents)
        references[:] = latents
        if self._normalizes:
            _normalize(references)
        return self._finish(self._inputs, latents)

    def differentiate(self, encoded: Encoded, by_latents: Array) -> None:
        """Write the layer's gradient, given the derivatives by its latents, which are used up."""
        if encoded.inverse is not None:
            along = np.einsum("ij,ij->i", encoded.latents, by_latents)[:, None]
            by_latents -= encoded.latents * along
            by_latents *= encoded.inverse
        if encoded.kept is not None:
            by_latents *= encoded.kept
        self.layer.differentiate(encoded.inputs, by_latents)

    def _finish(self, inputs: Array, latents: Array) -> Encoded:
        kept = self.dropout.draw(*latents.shape)
        if kept is not None:
            latents *= kept
        inverse = _normalize(latents) if self._normalizes else None
        return Encoded(inputs, kept, inverse, latents)


def _normalize(values: Array) -> Array:
    """Make rows of length 1, in place; gives the factors ``[n, 1]``."""
    norms = np.einsum("ij,ij->i", values, values)[:, None] ** 0.5
    norms[norms <= MIN_NORM] = np.inf
    inverse: Array = 1 / norms
    values *= inverse
    return inverse
