"""Transform and linear layer folded into one affine map, at either end of the network."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from kraken_bids.models.krakencoder.devices import Device, Values, widen
from kraken_bids.models.krakencoder.reduction import Reduction
from kraken_bids.models.krakencoder.threads import run_parts
from kraken_bids.models.krakencoder.weights import Linear

CHUNK = 4096
"""Edges that are multiplied at once."""
KEPT_BYTES = 400_000_000
"""Memory for maps: those of one direction of the published model take 350 MB."""

FEW_BYTES = 120_000_000
"""The same for work that goes through the flavors once: two of the largest maps."""


def fold_inward(reduction: Reduction, first: Linear, device: Device) -> Values:
    """Transform and first layer, without center and bias, as one matrix.

    Parameters
    ----------
    reduction : Reduction
        One that is not affine stays apart: then this is the layer alone.
    first : Linear
        On the device.
    device : Device

    Returns
    -------
    array of shape (n_edges, n_hidden), float32
        Computed in float64.
    """
    folded = device.empty(reduction.n_edges, len(first.weight))
    if not reduction.is_affine:
        folded[:] = first.weight.T
        return folded
    affine = reduction.to_affine()
    scaled = widen(first.weight) * device.place(affine.scale)
    matrix = affine.matrix

    def multiply(part: slice) -> None:
        exact = scaled[:, part] if matrix is None else scaled @ _cut(matrix, part, device)
        folded[part] = exact.T

    run_parts(multiply, slices(reduction.n_edges, CHUNK), device)
    return folded


def fold_outward(reduction: Reduction, last: Linear, device: Device) -> Values:
    """Last layer and inverse transform as one affine map.

    Parameters
    ----------
    reduction : Reduction
        An affine one.
    last : Linear
        On the device.
    device : Device

    Returns
    -------
    array of shape (n_hidden + 1, n_edges), float32
        The matrix, and below it what is added. Computed in float64.
    """
    affine = reduction.to_affine()
    bias = device.zeros(len(last.weight)) if last.bias is None else last.bias
    rows = widen(device.xp.concatenate([last.weight.T, bias[None]]))
    rows = rows / device.place(affine.scale)
    center = np.broadcast_to(affine.center, (reduction.n_edges,))
    matrix = affine.matrix
    folded = device.empty(len(rows), reduction.n_edges)

    def multiply(part: slice) -> None:
        exact = rows[:, part] if matrix is None else rows @ _cut(matrix, part, device)
        folded[:-1, part] = exact[:-1]
        folded[-1, part] = exact[-1] + device.place(center[part])

    run_parts(multiply, slices(reduction.n_edges, CHUNK), device)
    return folded


@dataclass(eq=False)
class MapCache:
    """Maps in memory: those used last, up to a number of bytes.

    Threads may share it: each step is one that Python does not interrupt.
    """

    max_bytes: int = KEPT_BYTES
    _kept: dict[str, Values] = field(default_factory=dict, init=False, repr=False)

    def __reduce__(self) -> tuple[type["MapCache"], tuple[int]]:
        """Begin empty in copies, and in what is sent to other processes."""
        return MapCache, (self.max_bytes,)

    def get(self, key: str, make: Callable[[], Values]) -> Values:
        """Map of that key, made where it is not kept (any more)."""
        values = self._kept.pop(key, None)
        if values is None:
            values = make()
            # the oldest go before the newest stays, so that both are never there
            for oldest in list(self._kept):
                if self._count_bytes() + values.nbytes <= self.max_bytes:
                    break
                self._kept.pop(oldest, None)
        self._kept[key] = values
        return values

    def _count_bytes(self) -> int:
        return sum(kept.nbytes for kept in list(self._kept.values()))


def open_cache(device: Device) -> MapCache:
    """Cache of maps for a device: fixed on a CPU, half the free memory of a GPU."""
    return MapCache(device.count_free_bytes() // 2) if device.is_gpu else MapCache()


def slices(n: int, step: int) -> Iterator[slice]:
    """Consecutive slices of ``step`` that cover ``n``; the last may be shorter."""
    return (slice(start, min(start + step, n)) for start in range(0, n, step))


def _cut(matrix: NDArray[np.float32], part: slice, device: Device) -> Values:
    return device.place(matrix[:, part].astype(np.float64))
