"""The two ends of the network, where edges meet it, for any number of subjects.

On a CPU all multiplications have one shape, whoever is in the batch: :data:`ROWS` subjects,
padded with zeros, by :data:`~kraken_bids.model.folding.CHUNK` edges; partial sums are added in
float64. So a subject's numbers are the same to the last bit alone and among thousands.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from kraken_bids.exceptions import ConnectomeError
from kraken_bids.flavors import Flavor
from kraken_bids.model.folding import (
    CHUNK,
    MapCache,
    fold_inward,
    fold_outward,
    slices,
    to_tensor,
)
from kraken_bids.model.reduction import Reduction
from kraken_bids.model.threads import run_parts, single_thread

Array = NDArray[np.float32]

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
    first: nn.Linear
    """First linear layer of the encoder."""
    last: nn.Linear
    """Last linear layer of the decoder."""
    device: torch.device
    """Where the numbers are."""
    stored: Mapping[str, Array]
    """Folded maps of a model folder, ``inward.FLAVOR`` and ``outward.FLAVOR``; or without them."""
    cache: MapCache

    @property
    def bias(self) -> Tensor:
        """Bias of the first layer, ``[n_hidden]`` or ``[1]``."""
        return torch.zeros(1, device=self.device) if self.first.bias is None else self.first.bias

    @property
    def center(self) -> Array:
        """What the transform takes away from edges, ``[n_edges]`` or ``[1]``."""
        affine = self.reduction.to_affine() if self.reduction.is_affine else None
        return np.zeros(1, np.float32) if affine is None else affine.center

    def project(self, edges: NDArray[np.floating]) -> Array:
        """First layer's output ``[n_subjects, n_hidden]`` of edges ``[n_subjects, n_edges]``."""
        if not self.reduction.is_affine:
            edges = self.reduction.forward(edges)
        center = to_tensor(self.center, self.device)
        projected = np.empty((len(edges), self.first.out_features), np.float32)
        for rows in slices(len(edges), batch_size(self.device, edges.shape[1])):
            centered = pad_rows(edges[rows], self.device).sub_(center)
            sums = self._multiply(centered) + self.bias
            projected[rows] = to_numpy(sums)[: rows.stop - rows.start]
        return projected

    def project_direction(self, direction: NDArray[np.floating]) -> Tensor:
        """Image ``[n_hidden]`` of a direction in edge space ``[n_edges]``: no center, no bias."""
        return self._multiply(pad_rows(direction[None], self.device))[0]

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
        direction = self.project_direction(moved).cpu().numpy()
        bias = self.bias.cpu().numpy().astype(np.float64)
        return np.asarray(b0 * (projected - bias) + (direction + bias), np.float32)

    def expand(self, hidden: Tensor) -> Array:
        """Edges ``[n_rows, n_edges]`` of the last layer's input ``[n_rows, n_hidden]``, padded."""
        if not self.reduction.is_affine:
            return self.reduction.inverse(to_numpy(in_blocks(self.last, hidden)))
        outward = self._map("outward", fold_outward, self.last)
        edges = torch.empty((len(hidden), self.reduction.n_edges), device=self.device)

        def multiply(part: slice) -> None:
            matrix, offset = outward[:-1, part], outward[-1, part]
            for rows in slices(len(hidden), block_size(hidden)):
                torch.addmm(offset, hidden[rows], matrix, out=edges[rows, part])

        run_parts(multiply, slices(self.reduction.n_edges, CHUNK))
        return to_numpy(edges)

    def fold(self) -> dict[str, Array]:
        """Both maps by the names under which :attr:`stored` has them."""
        return {
            f"inward.{self.name}": to_numpy(fold_inward(self.reduction, self.first)),
            f"outward.{self.name}": to_numpy(fold_outward(self.reduction, self.last)),
        }

    def _multiply(self, centered: Tensor) -> Tensor:
        """Rows times the inward map: ``[n_rows, n_hidden]`` in float64."""
        matrix = self._map("inward", fold_inward, self.first)

        def multiply(part: slice) -> Tensor:
            blocks = slices(len(centered), block_size(centered))
            return torch.cat([centered[rows, part] @ matrix[part] for rows in blocks])

        # in the order of the edges, whichever came first
        sums = torch.zeros(1, dtype=torch.float64, device=self.device)
        for products in run_parts(multiply, slices(len(matrix), CHUNK)):
            sums = sums + products
        return sums

    def _map(
        self, direction: str, fold: Callable[[Reduction, nn.Linear], Tensor], linear: nn.Linear
    ) -> Tensor:
        key = f"{direction}.{self.name}"

        def make() -> Tensor:
            if key in self.stored:
                return to_tensor(self.stored[key], self.device)
            return fold(self.reduction, linear)

        return self.cache.get(key, make)


def pad_rows(values: NDArray[np.floating], device: torch.device) -> Tensor:
    """Float32 copy on a device; on a CPU with rows of zeros up to a multiple of :data:`ROWS`."""
    n_rows = len(values) if device.type == "cuda" else -(-len(values) // ROWS) * ROWS
    padded = np.empty((n_rows, values.shape[1]), np.float32)
    padded[: len(values)] = values
    padded[len(values) :] = 0.0
    return torch.from_numpy(padded).to(device)


def in_blocks(layers: Callable[[Tensor], Tensor], values: Tensor) -> Tensor:
    """Layers applied to padded rows, :data:`ROWS` at a time on a CPU."""
    with single_thread():
        blocks = slices(len(values), block_size(values))
        return torch.cat([layers(values[rows]) for rows in blocks])


def block_size(values: Tensor) -> int:
    """Rows multiplied at once: all of them on a GPU."""
    return max(1, len(values)) if values.is_cuda else ROWS


def batch_size(device: torch.device, n_edges: int) -> int:
    """Subjects whose edges are on the device at once: as many as a GPU has room for."""
    if device.type != "cuda":
        return CPU_BATCH
    free, _ = torch.cuda.mem_get_info(device)
    return max(1, int(GPU_SHARE * free) // (4 * n_edges))


def to_numpy(tensor: Tensor) -> Array:
    """Tensor of any device as a float32 array."""
    return np.asarray(tensor.float().cpu().numpy(), np.float32)


def check_edges(flavor: Flavor, edges: NDArray[np.floating], n_edges: int) -> None:
    """Check connectomes before they are encoded.

    Parameters
    ----------
    flavor : Flavor
        For the message.
    edges : ndarray of shape (n_subjects, n_edges)
    n_edges : int
        What the model takes.

    Raises
    ------
    ConnectomeError
        If the number of edges is another, or a row is NaN or infinite only in part.
    """
    if edges.ndim != 2 or edges.shape[1] != n_edges:
        raise ConnectomeError(
            f"{flavor}: expected connectomes [n_subjects, {n_edges}]; found {list(edges.shape)}. "
            "Check that they belong to this parcellation; kraken_bids.to_edges takes the edges "
            "of square matrices."
        )
    # a sum is finite only where every edge is: one pass, where nothing is missing
    for row in np.flatnonzero(~np.isfinite(edges.sum(axis=1))):
        n_bad = int((~np.isfinite(edges[row])).sum())
        if n_bad and not np.isnan(edges[row]).all():
            raise ConnectomeError(
                f"{flavor}: expected finite edges (or a whole row of NaN for a subject without "
                f"it); found {n_bad} edges that are NaN or infinite in row {row}. "
                "Fill or drop that connectome before encoding."
            )
