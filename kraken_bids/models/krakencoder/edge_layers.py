"""The two ends of the network, where edges meet it: transform and linear layer in one map.

On a CPU all multiplications are of whole groups of subjects (``row_groups.py``) by :data:`CHUNK`
edges; partial sums are added in float64. So a subject's numbers are the same alone
and among thousands: to the last bit where the library that multiplies gives equal rows equal
results, wherever they stand in a group, and to 1e-6 of their scale where it does not (OpenBLAS's
kernels for Haswell and Zen processors).
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kraken_bids.models.devices import (
    Array,
    Device,
    Values,
    run_parts,
    single_thread,
    to_host,
    to_numpy,
    widen,
)
from kraken_bids.models.krakencoder.architecture import Linear
from kraken_bids.models.krakencoder.map_cache import MapCache
from kraken_bids.models.krakencoder.reduction import Reduction
from kraken_bids.models.krakencoder.row_groups import (
    batch_size,
    block_size,
    in_blocks,
    pad_rows,
    slices,
)

CHUNK = 4096
"""Edges that are multiplied at once."""


def fold_inward(reduction: Reduction, first: Linear, device: Device) -> Values:
    """Transform and first layer, without center and bias, as one matrix; computed in float64.

    Parameters
    ----------
    reduction : Reduction
        One that is not affine stays apart: then this is the layer alone.
    first : Linear
        On the device.

    Returns
    -------
    array of shape (n_edges, n_hidden), float32
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
    """Last layer and inverse transform as one affine map; computed in float64.

    Parameters
    ----------
    reduction : Reduction
        An affine one.
    last : Linear
        On the device.

    Returns
    -------
    array of shape (n_hidden + 1, n_edges), float32
        The matrix, and below it what is added.
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


def _cut(matrix: NDArray[np.float32], part: slice, device: Device) -> Values:
    return device.place(matrix[:, part].astype(np.float64))


@dataclass(frozen=True, eq=False)
class EdgeLayer:
    """One flavor's transform with its encoder's first layer and its decoder's last layer."""

    name: str
    """The flavor's id."""
    reduction: Reduction
    """Transform between edges and the network."""
    first: Linear
    """First linear layer of the encoder."""
    last: Linear
    """Last linear layer of the decoder."""
    device: Device
    """Where the numbers are."""
    stored: Mapping[str, Array]
    """Folded maps of a model folder, ``inward.FLAVOR`` and ``outward.FLAVOR``; or without them."""
    cache: MapCache

    @property
    def bias(self) -> Values:
        """Bias of the first layer, ``[n_hidden]`` or ``[1]``."""
        return self.device.zeros(1) if self.first.bias is None else self.first.bias

    @property
    def outward(self) -> Values:
        """From the last layer's input to edges, ``[n_hidden + 1, n_edges]``: below, what is added.

        Only of a transform that is affine.
        """
        return self._map("outward", fold_outward, self.last)

    def project(self, edges: NDArray[np.floating]) -> Array:
        """First layer's output ``[n_subjects, n_hidden]`` of edges ``[n_subjects, n_edges]``."""
        center = np.zeros(1, np.float32)
        if self.reduction.is_affine:
            center = self.reduction.to_affine().center
        else:
            edges = self.reduction.forward(edges)
        center = self.device.place(center)
        projected = np.empty((len(edges), len(self.first.weight)), np.float32)
        for rows in slices(len(edges), batch_size(self.device, edges.shape[1])):
            centered = pad_rows(edges[rows], self.device)
            centered -= center
            sums = self._multiply(centered) + self.bias
            projected[rows] = to_numpy(sums)[: rows.stop - rows.start]
        return projected

    def project_parts(self, parts: Iterable[NDArray[np.floating]]) -> Array:
        """:meth:`project`, of an affine transform, of edges that come one part after the other.

        Parameters
        ----------
        parts : iterable of ndarray of shape (n_edges_of_part, n_subjects)
            All but the last are of a multiple of :data:`CHUNK` edges: then no bit depends on them.
        """
        sums: Values = self.device.zeros(1)
        start = n_subjects = 0
        self._map("inward", fold_inward, self.first)  # what is not stored is folded by all threads
        with single_thread():  # the parts are made meanwhile, with small products of their own
            for values in parts:
                sums = sum(self._multiply_part(values, start), sums)
                start, n_subjects = start + len(values), values.shape[1]
        return to_numpy(sums + self.bias)[:n_subjects]

    def project_direction(self, direction: NDArray[np.floating]) -> NDArray[np.float64]:
        """Image ``[n_hidden]`` of a direction in edge space ``[n_edges]``: no center, no bias."""
        sums = self._multiply(pad_rows(direction[None], self.device))
        return np.asarray(to_host(sums)[0], np.float64)

    def adapt(self, projected: Array, *, b0: float, shift: NDArray[np.float64] | float) -> Array:
        """Adapt connectomes after their projection: the same as projecting adapted edges.

        With the projection ``M(x - c) + o`` and ``x' = b0 x + s``, the adapted one is
        ``b0 (p - o) + M(b0 c + s - c) + o``, so no connectome is read twice.

        Parameters
        ----------
        b0, shift : float, ndarray of shape (n_edges,) or float
            ``x' = b0 x + shift``, in edge units.

        Raises
        ------
        CheckpointError
            If the transform is not affine.
        """
        center = self.reduction.to_affine().center.astype(np.float64)
        moved = np.broadcast_to(b0 * center + shift - center, (self.reduction.n_edges,))
        direction = self.project_direction(moved)
        bias = to_host(self.bias).astype(np.float64)
        return np.asarray(b0 * (projected - bias) + (direction + bias), np.float32)

    def expand(self, hidden: Values) -> Array:
        """Edges ``[n_rows, n_edges]`` of the last layer's input ``[n_rows, n_hidden]``, padded."""
        if not self.reduction.is_affine:
            return self.reduction.inverse(to_numpy(in_blocks(self.last, hidden)))
        outward = self.outward
        edges = self.device.empty(len(hidden), self.reduction.n_edges)

        def multiply(part: slice) -> None:
            for rows in slices(len(hidden), block_size(hidden, outward[:-1, part])):
                block = edges[rows, part]
                self.device.xp.matmul(hidden[rows], outward[:-1, part], out=block)
                block += outward[-1, part]

        run_parts(multiply, slices(self.reduction.n_edges, CHUNK), self.device)
        return to_numpy(edges)

    def fold(self) -> dict[str, Array]:
        """Both maps by the names under which :attr:`stored` has them; none unless affine."""
        if not self.reduction.is_affine:
            return {}
        return {
            f"inward.{self.name}": to_numpy(fold_inward(self.reduction, self.first, self.device)),
            f"outward.{self.name}": to_numpy(fold_outward(self.reduction, self.last, self.device)),
        }

    def _multiply(self, centered: Values) -> Values:
        """Rows times the inward map: ``[n_rows, n_hidden]`` in float64."""
        matrix = self._map("inward", fold_inward, self.first)

        def multiply(part: slice) -> Values:
            blocks = slices(len(centered), block_size(centered, matrix[part]))
            products = [centered[rows, part] @ matrix[part] for rows in blocks]
            return widen(self.device.xp.concatenate(products))

        # in the order of the edges, whichever came first
        return sum(run_parts(multiply, slices(len(matrix), CHUNK), self.device))

    def _multiply_part(self, values: NDArray[np.floating], start: int) -> list[Values]:
        """:meth:`_multiply` of some edges ``[n_edges, n_rows]``, before anything is added up."""
        matrix = self._map("inward", fold_inward, self.first)
        center = np.broadcast_to(self.reduction.to_affine().center, (len(matrix),))

        def multiply(part: slice) -> Values:
            at = slice(start + part.start, start + part.stop)
            centered = pad_rows(values[part].T, self.device)
            centered -= self.device.place(center[at])
            blocks = slices(len(centered), block_size(centered, matrix[at]))
            return widen(
                self.device.xp.concatenate([centered[rows] @ matrix[at] for rows in blocks])
            )

        return run_parts(multiply, slices(len(values), CHUNK), self.device)

    def _map(
        self, direction: str, fold: Callable[[Reduction, Linear, Device], Values], linear: Linear
    ) -> Values:
        key = f"{direction}.{self.name}"

        def make() -> Values:
            if key in self.stored:
                return self.device.place(self.stored[key])
            return fold(self.reduction, linear, self.device)

        return self.cache.get(key, make)
