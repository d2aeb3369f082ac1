"""Transform and linear layer folded into one affine map, at either end of the network."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from kraken_bids.model.reduction import Reduction
from kraken_bids.model.threads import run_parts

Array = NDArray[np.float32]

CHUNK = 4096
"""Edges that are multiplied at once."""
KEPT_BYTES = 400_000_000
"""Memory for maps: those of one direction of the published model take 350 MB."""

FEW_BYTES = 120_000_000
"""The same for work that goes through the flavors once: two of the largest maps."""


def fold_inward(reduction: Reduction, first: nn.Linear) -> Tensor:
    """Transform and first layer, without center and bias, as one matrix.

    Parameters
    ----------
    reduction : Reduction
        One that is not affine stays apart: then this is the layer alone.
    first : nn.Linear

    Returns
    -------
    Tensor of shape (n_edges, n_hidden), float32
        Computed in float64.
    """
    weight = first.weight.detach()
    if not reduction.is_affine:
        return weight.T.contiguous()
    affine = reduction.to_affine()
    scaled = weight.double() * to_tensor(affine.scale, weight.device)
    if affine.matrix is None:
        return scaled.float().T.contiguous()
    folded = torch.empty((reduction.n_edges, len(weight)), device=weight.device)
    matrix = affine.matrix

    def multiply(part: slice) -> None:
        folded[part] = (scaled @ _cut(matrix, part, weight.device)).T

    run_parts(multiply, slices(reduction.n_edges, CHUNK))
    return folded


def fold_outward(reduction: Reduction, last: nn.Linear) -> Tensor:
    """Last layer and inverse transform as one affine map.

    Parameters
    ----------
    reduction : Reduction
        An affine one.
    last : nn.Linear

    Returns
    -------
    Tensor of shape (n_hidden + 1, n_edges), float32
        The matrix, and below it what is added. Computed in float64.
    """
    affine = reduction.to_affine()
    device = last.weight.device
    bias = torch.zeros(last.out_features, device=device) if last.bias is None else last.bias
    rows = torch.cat([last.weight.detach().T, bias.detach()[None]]).double()
    rows /= to_tensor(affine.scale, device)
    center = to_tensor(affine.center, device).expand(reduction.n_edges)
    folded = torch.empty((len(rows), reduction.n_edges), device=device)

    def multiply(part: slice) -> None:
        if affine.matrix is None:
            exact = rows[:, part].clone()
        else:
            exact = rows @ _cut(affine.matrix, part, device)
        exact[-1] += center[part]
        folded[:, part] = exact

    run_parts(multiply, slices(reduction.n_edges, CHUNK))
    return folded


@dataclass(eq=False)
class MapCache:
    """Maps in memory: those used last, up to a number of bytes."""

    max_bytes: int = KEPT_BYTES
    _kept: dict[str, Tensor] = field(default_factory=dict, repr=False)

    def get(self, key: str, make: Callable[[], Tensor]) -> Tensor:
        """Map of that key, made where it is not kept (any more)."""
        values = self._kept.pop(key, None)
        if values is None:
            values = make()
            # the oldest go before the newest stays, so that both are never there
            while self._kept and self._count_bytes() + values.nbytes > self.max_bytes:
                self._kept.pop(next(iter(self._kept)))
        self._kept[key] = values
        return values

    def _count_bytes(self) -> int:
        return sum(tensor.nbytes for tensor in self._kept.values())


def open_cache(device: torch.device) -> MapCache:
    """Cache of maps for a device: fixed on a CPU, half the free memory of a GPU."""
    if device.type != "cuda":
        return MapCache()
    free, _ = torch.cuda.mem_get_info(device)
    return MapCache(free // 2)


def slices(n: int, step: int) -> Iterator[slice]:
    """Consecutive slices of ``step`` that cover ``n``; the last may be shorter."""
    return (slice(start, min(start + step, n)) for start in range(0, n, step))


def to_tensor(values: Array, device: torch.device) -> Tensor:
    """Array as a tensor on a device; on a CPU without a copy where torch can share it."""
    # torch refuses to share memory that may not be written
    is_shared = values.flags.writeable and values.flags.c_contiguous
    return torch.from_numpy(values if is_shared else values.copy()).to(device)


def _cut(matrix: Array, part: slice, device: torch.device) -> Tensor:
    return torch.from_numpy(matrix[:, part].astype(np.float64)).to(device)
