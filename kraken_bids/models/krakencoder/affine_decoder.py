"""A decoder of one linear layer in training on a CPU: numpy, derivatives written out."""

import numpy as np
from numpy.typing import NDArray

from kraken_bids.models.devices import Array
from kraken_bids.models.krakencoder.dropout import Dropout
from kraken_bids.models.krakencoder.losses import PairWeights
from kraken_bids.models.krakencoder.pair_losses import Rows, compute_pair_losses, describe_rows
from kraken_bids.models.krakencoder.trained_layers import TrainedLayer, Workspace

Indices = NDArray[np.intp]

MAX_VALUES = 1 << 18
"""Predicted numbers of a block: what is worked on at once stays near a core's cache."""


class AffineDecoder:
    """Predictions of one flavor, their losses, and derivatives.

    Parameters
    ----------
    outcomes : ndarray of shape (n_subjects, n_outcomes)
        What should be predicted.
    weights : PairWeights
        Of the losses between outcomes and predictions.
    workspace : Workspace
        Of all decoders.
    """

    dropout: Dropout
    """Of the epoch."""

    def __init__(
        self, layer: TrainedLayer, outcomes: Array, weights: PairWeights, workspace: Workspace
    ) -> None:
        self.layer = layer
        rows = describe_rows(outcomes[None])
        self._standard = rows.standardize(outcomes)[0]
        self._described = np.stack(rows[:-1])
        self._weights, self._workspace = weights, workspace

    def compare(
        self,
        latents: Array,
        batch: Indices,
        by_latents: Array,
        present: NDArray[np.bool_] | None = None,
    ) -> NDArray[np.floating]:
        """Predict from latents ``[n_sources, n, n_latent]``, and compare.

        Returns the losses of the sources; writes the derivatives by latents and the gradient.
        """
        n_sources, n, _ = latents.shape
        width = self._standard.shape[1]
        # rows of outcomes and one of ones, which adds up the rows that it is multiplied with
        basis = self._workspace.take("basis", n + 1, width)
        np.take(self._standard, batch, axis=0, out=basis[:n], mode="clip")
        basis[n] = 1
        losses = np.empty(n_sources, np.float32)
        step = max(1, MAX_VALUES // (n * width))
        for first in range(0, n_sources, step):
            block = slice(first, min(first + step, n_sources))
            losses[block] = self._compare_block(
                latents[block],
                basis,
                batch,
                by_latents[block],
                present=None if present is None else present[block],
                adds=first > 0,
            )
        return losses

    def _compare_block(
        self,
        latents: Array,
        basis: Array,
        batch: Indices,
        by_latents: Array,
        *,
        present: NDArray[np.bool_] | None,
        adds: bool,
    ) -> NDArray[np.floating]:
        """Do the same for sources whose predictions fit a cache."""
        shape, width = latents.shape[:2], basis.shape[1]
        n_rows, n = shape[0] * shape[1], shape[1]
        latents = latents.reshape(n_rows, -1)
        predicted = self._workspace.take("predicted", n_rows, width)
        kept = self.dropout.draw(n_rows, width)
        self.layer.apply(latents, predicted)
        if kept is not None:
            predicted *= kept
        products = self._workspace.take("products", n + 1, n_rows)
        products[:] = (predicted @ basis.T).T  # faster than the product turned
        means, squares, inverse, lengths = self._described.take(batch, axis=2)
        losses, slopes = compute_pair_losses(
            self._weights,
            products[:n].reshape(n, *shape),
            Rows(means, squares, inverse, lengths, width),
            describe_rows(predicted.reshape(*shape, width), products[n].reshape(shape)),
            present=present,
        )
        products[n] = slopes.shift.ravel()  # beside the matrix, which is in place of the products
        by_predicted = self._workspace.take("by_predicted", n_rows, width)
        np.matmul(products.T, basis, out=by_predicted)
        predicted *= slopes.scale.reshape(n_rows, 1)
        by_predicted += predicted
        if kept is not None:
            by_predicted *= kept
        np.matmul(by_predicted, self.layer.weight, out=by_latents.reshape(n_rows, -1))
        self.layer.differentiate(latents, by_predicted, adds=adds)
        return np.asarray(losses)
