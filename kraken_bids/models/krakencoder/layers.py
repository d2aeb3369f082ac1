"""The network in use: its two ends, and between them a scaling at most, or layers run by torch."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from kraken_bids.flavors import Flavor
from kraken_bids.models.devices import Array, Device, Values, to_numpy
from kraken_bids.models.krakencoder.architecture import Linear, Weights
from kraken_bids.models.krakencoder.edge_layers import EdgeLayer
from kraken_bids.models.krakencoder.map_cache import MapCache
from kraken_bids.models.krakencoder.reduction import Reduction
from kraken_bids.models.krakencoder.row_groups import batch_size, in_blocks, pad_rows, slices

if TYPE_CHECKING:
    from kraken_bids.models.krakencoder.network import Network

MIN_NORM = 1e-12
"""Shorter latents are divided by this, as torch's ``normalize`` does."""


@dataclass(frozen=True, eq=False)
class Layers:
    """Layers of all flavors, on a device; what is given to them has been checked."""

    weights: Weights
    reductions: Mapping[Flavor, Reduction]
    device: Device
    maps: Mapping[str, Array]
    """Folded maps of a model folder, or none."""

    def at_edges(self, flavor: Flavor) -> EdgeLayer:
        """Transform of a flavor with the layers beside it."""
        name = flavor.name
        first = self.linears(f"encoders.{name}")[0]
        last = self.linears(f"decoders.{name}")[-1]
        return EdgeLayer(
            name, self.reductions[flavor], first, last, self.device, self.maps, self.cache
        )

    @cached_property
    def cache(self) -> MapCache:
        """Folded maps in memory; on a GPU up to half of what is free."""
        is_gpu = self.device.is_gpu
        return MapCache(self.device.count_free_bytes() // 2) if is_gpu else MapCache()

    def predict(self, flavor: Flavor, latents: NDArray[np.floating]) -> Array:
        """Edges ``[n_subjects, n_edges]`` of latents ``[n_subjects, n_latent]``."""
        layer, n_edges = self.at_edges(flavor), self.reductions[flavor].n_edges
        step = batch_size(self.device, n_edges)
        parts = (
            layer.expand(self.decode(flavor.name, latents[rows]))[: rows.stop - rows.start]
            for rows in slices(len(latents), step)
        )
        if 0 < len(latents) <= step:
            return next(parts)
        # part after part into its place: they and the whole are never in memory twice
        edges = np.empty((len(latents), n_edges), np.float32)
        for rows in slices(len(latents), step):
            edges[rows] = next(parts)
        return edges

    def factor(self, flavor: Flavor, latents: NDArray[np.floating]) -> tuple[Array, Array] | None:
        """Two matrices whose product is :meth:`predict`; None where there are no such."""
        if not self.reductions[flavor].is_affine:
            return None
        hidden = to_numpy(self.decode(flavor.name, latents))[: len(latents)]
        rows = np.hstack([hidden, np.ones((len(hidden), 1), np.float32)])
        return rows, to_numpy(self.at_edges(flavor).outward)

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
