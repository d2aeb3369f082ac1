"""The two ends of the network, where edges meet it, for any number of subjects.

On a CPU all multiplications have one shape, whoever is in the batch: :data:`ROWS` subjects,
padded with zeros, by :data:`~kraken_bids.models.krakencoder.folding.CHUNK` edges; partial sums are
added in float64. So a subject's numbers are the same alone and among thousands: to the last bit
where the library that multiplies gives equal rows equal results, wherever they stand in a block,
and to 1e-6 of their scale where it does not (OpenBLAS's kernels for Haswell and Zen processors).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kraken_bids.models.krakencoder.devices import (
    Array,
    Device,
    Values,
    namespace,
    to_host,
    to_numpy,
    widen,
)
from kraken_bids.models.krakencoder.folding import (
    CHUNK,
    MapCache,
    fold_inward,
    fold_outward,
    slices,
)
from kraken_bids.models.krakencoder.reduction import Reduction
from kraken_bids.models.krakencoder.threads import run_parts, single_thread
from kraken_bids.models.krakencoder.weights import Linear

ROWS = 32
"""Subjects that are multiplied at once on a CPU; fewer are padded to as many."""
CPU_BATCH = 4 * ROWS
"""Subjects whose edges are copied at once: bounds the temporary memory."""
GPU_SHARE = 0.25
"""Share of a GPU's free memory that one batch may take."""


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
    def center(self) -> Array:
        """What the transform takes away from edges, ``[n_edges]`` or ``[1]``."""
        affine = self.reduction.to_affine() if self.reduction.is_affine else None
        return np.zeros(1, np.float32) if affine is None else affine.center

    @property
    def outward(self) -> Values:
        """From the last layer's input to edges, ``[n_hidden + 1, n_edges]``: below, what is added.

        Only of a transform that is affine.
        """
        return self._map("outward", fold_outward, self.last)

    def project(self, edges: NDArray[np.floating]) -> Array:
        """First layer's output ``[n_subjects, n_hidden]`` of edges ``[n_subjects, n_edges]``."""
        if not self.reduction.is_affine:
            edges = self.reduction.forward(edges)
        center = self.device.place(self.center)
        projected = np.empty((len(edges), len(self.first.weight)), np.float32)
        for rows in slices(len(edges), batch_size(self.device, edges.shape[1])):
            centered = pad_rows(edges[rows], self.device)
            centered -= center
            sums = self._multiply(centered) + self.bias
            projected[rows] = to_numpy(sums)[: rows.stop - rows.start]
        return projected

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
        projected : ndarray of shape (n_subjects, n_hidden)
        b0, shift : float, ndarray of shape (n_edges,) or float
            ``x' = b0 x + shift``, in edge units.

        Returns
        -------
        ndarray of shape (n_subjects, n_hidden)

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
            for rows in slices(len(hidden), block_size(hidden)):
                block = edges[rows, part]
                self.device.xp.matmul(hidden[rows], outward[:-1, part], out=block)
                block += outward[-1, part]

        run_parts(multiply, slices(self.reduction.n_edges, CHUNK), self.device)
        return to_numpy(edges)

    def fold(self) -> dict[str, Array]:
        """Both maps by the names under which :attr:`stored` has them."""
        return {
            f"inward.{self.name}": to_numpy(fold_inward(self.reduction, self.first, self.device)),
            f"outward.{self.name}": to_numpy(fold_outward(self.reduction, self.last, self.device)),
        }

    def _multiply(self, centered: Values) -> Values:
        """Rows times the inward map: ``[n_rows, n_hidden]`` in float64."""
        matrix = self._map("inward", fold_inward, self.first)

        def multiply(part: slice) -> Values:
            blocks = slices(len(centered), block_size(centered))
            products = [centered[rows, part] @ matrix[part] for rows in blocks]
            return widen(self.device.xp.concatenate(products))

        # in the order of the edges, whichever came first
        return sum(run_parts(multiply, slices(len(matrix), CHUNK), self.device))

    def _map(
        self,
        direction: str,
        fold: Callable[[Reduction, Linear, Device], Values],
        linear: Linear,
    ) -> Values:
        key = f"{direction}.{self.name}"

        def make() -> Values:
            if key in self.stored:
                return self.device.place(self.stored[key])
            return fold(self.reduction, linear, self.device)

        return self.cache.get(key, make)


def pad_rows(values: NDArray[np.floating], device: Device) -> Values:
    """Float32 copy on a device; on a CPU with rows of zeros up to a multiple of :data:`ROWS`.

    There is at least one row, of zeros where nobody is given.
    """
    step = 1 if device.is_gpu else ROWS
    n_rows = max(1, -(-len(values) // step)) * step
    padded = np.empty((n_rows, values.shape[1]), np.float32)
    padded[: len(values)] = values
    padded[len(values) :] = 0.0
    return device.place(padded)


def in_blocks(layers: Callable[[Values], Values], values: Values) -> Values:
    """Layers applied to padded rows, :data:`ROWS` at a time on a CPU."""
    with single_thread():
        blocks = slices(len(values), block_size(values))
        return namespace(values).concatenate([layers(values[rows]) for rows in blocks])


def block_size(values: Values) -> int:
    """Rows multiplied at once: all of them on a GPU."""
    return ROWS if isinstance(values, np.ndarray) else len(values)


def batch_size(device: Device, n_edges: int) -> int:
    """Subjects whose edges are on the device at once: as many as a GPU has room for."""
    if not device.is_gpu:
        return CPU_BATCH
    return max(1, int(GPU_SHARE * device.count_free_bytes()) // (4 * n_edges))
