"""A trained model of region series in memory: numpy in, numpy out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from kraken_bids.exceptions import ConnectomeError
from kraken_bids.models.devices import full_precision
from kraken_bids.models.series.architecture import SeriesArchitecture
from kraken_bids.models.series.data_description import SeriesData
from kraken_bids.models.series.network import SeriesNetwork
from kraken_bids.models.series.sequences import join_sequences

Floats = NDArray[np.floating[Any]]
BATCH = 64
"""Sequences computed at once."""


@dataclass(frozen=True)
class SeriesModel:
    """A network, and what its series were."""

    network: SeriesNetwork
    """Weights."""
    data: SeriesData
    """What the series were that it learned from."""
    longest: int = 50
    """Most volumes that it is shown at once; longer series are cut into parts of this size."""
    classes: tuple[str, ...] = ()
    """Names of the classes of its head."""
    provenance: Mapping[str, Any] = field(default_factory=dict)
    """Recipe, splits, seed: what is worth keeping, in plain values."""

    @property
    def architecture(self) -> SeriesArchitecture:
        """Shape of the network."""
        return self.network.architecture

    def embed(
        self, values: Sequence[Floats], repetition_times: Sequence[float]
    ) -> NDArray[np.float32]:
        """Give a vector for each series, [n, embedding]; the mean over the parts of a long one.

        Parameters
        ----------
        values : sequence of ndarray
            [n_volumes, n_regions] each, scaled as :attr:`data` says.
        repetition_times : sequence of float
            Of each, in seconds.

        Raises
        ------
        ConnectomeError
            If there is nothing, regions are others, or a value is not finite.
        """
        return self._run(values, repetition_times, heads=False)

    def probabilities(
        self, values: Sequence[Floats], repetition_times: Sequence[float]
    ) -> NDArray[np.float32]:
        """Give the probability of each class for each series, [n, n_classes].

        Raises
        ------
        ConnectomeError
            As of :meth:`embed`, or if the model has no classes.
        """
        if not self.architecture.n_classes:
            raise ConnectomeError(
                "expected a model that was fine-tuned on classes; found one that was pretrained "
                "alone. Make one with kraken-tools decode."
            )
        return self._run(values, repetition_times, heads=True)

    def _run(
        self, values: Sequence[Floats], repetition_times: Sequence[float], *, heads: bool
    ) -> NDArray[np.float32]:
        self._check(values)
        owners, parts = [], []
        for k, one in enumerate(values):
            n_parts = -(-len(one) // self.longest)
            parts += np.array_split(np.asarray(one), n_parts)
            owners += [k] * n_parts
        times = [repetition_times[k] for k in owners]
        found = []
        self.network.eval()
        with torch.inference_mode(), full_precision():
            for first in range(0, len(parts), BATCH):
                batch = slice(first, first + BATCH)
                sequences = join_sequences(parts[batch], times[batch])
                if heads:
                    found.append(self.network.classify(sequences).float().softmax(1))
                else:
                    found.append(self.network.encode(sequences).float())
        rows = torch.cat(found).cpu().numpy()
        sums = np.zeros((len(values), rows.shape[1]), np.float64)
        np.add.at(sums, owners, rows)
        means = sums / np.bincount(owners)[:, None]
        return means.astype(np.float32)

    def _check(self, values: Sequence[Floats]) -> None:
        n_regions = self.architecture.n_regions
        wrong = [one.shape for one in values if one.ndim != 2 or one.shape[1] != n_regions]
        if not values or wrong:
            raise ConnectomeError(
                f"expected series of {n_regions} regions, [n_volumes, n_regions], which the model "
                f"was trained on; found {f'shape {wrong[0]}' if wrong else 'none'}."
            )
