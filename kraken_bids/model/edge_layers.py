"""The two ends of the network, where a transform of edges meets a linear layer: one map each."""

from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from kraken_bids.model.reduction import AffineReduction, Reduction

Array = NDArray[np.float32]

FOLD_FROM = 64
"""From this many subjects on it pays to multiply transform and linear layer first."""


@dataclass(frozen=True, eq=False)
class EdgeLayer:
    """One flavor's transform with its encoder's first layer and its decoder's last layer."""

    reduction: Reduction
    """Transform between edges and the network."""
    first: nn.Linear
    """First linear layer of the encoder."""
    last: nn.Linear
    """Last linear layer of the decoder."""
    device: torch.device
    """Where the numbers are."""
    _kept: dict[str, Tensor] = field(default_factory=dict, repr=False)

    @property
    def offset(self) -> Tensor:
        """Bias of the first layer, ``[n_hidden]`` or ``[1]``."""
        return torch.zeros(1, device=self.device) if self.first.bias is None else self.first.bias

    def project(self, edges: NDArray[np.floating]) -> Tensor:
        """First layer's output ``[n_subjects, n_hidden]`` of edges ``[n_subjects, n_edges]``."""
        x = np.asarray(edges, np.float32)
        if not self.reduction.is_affine:
            return self.first(self._send(self.reduction.forward(x)))  # type: ignore[no-any-return]
        centered = self._send(x - self.reduction.to_affine().center)
        return self.multiply(centered, folds=len(x) >= FOLD_FROM) + self.offset

    def multiply(self, centered: Tensor, *, folds: bool) -> Tensor:
        """Edges less the transform's center, times transform and first layer, without bias."""
        affine = self.reduction.to_affine()
        if affine.matrix is None:
            return (centered * self._keep("scale", affine.scale)) @ self.first.weight.T
        components = self._keep("components", affine.matrix)
        if not folds:
            return (centered @ components.T * float(affine.scale[0])) @ self.first.weight.T
        if "inward" not in self._kept:
            self._kept["inward"] = self.first.weight @ components * float(affine.scale[0])
        return centered @ self._kept["inward"].T

    def expand(self, hidden: Tensor) -> Array:
        """Edges ``[n_subjects, n_edges]`` of the last layer's input ``[n_subjects, n_hidden]``."""
        if not self.reduction.is_affine:
            return self.reduction.inverse(to_numpy(self.last(hidden)))
        affine = self.reduction.to_affine()
        center = self._keep("center", affine.center)
        scale = self._keep("scale", affine.scale)
        if affine.matrix is None:
            return to_numpy(self.last(hidden) / scale + center)
        if len(hidden) < FOLD_FROM:
            components = self._keep("components", affine.matrix)
            return to_numpy(self.last(hidden) / scale @ components + center)
        matrix, offset = self._outward(affine)
        return to_numpy(hidden @ matrix + offset)

    def _outward(self, affine: AffineReduction) -> tuple[Tensor, Tensor]:
        if "outward" not in self._kept:
            components, scale = (
                self._keep("components", affine.matrix),
                self._keep("scale", affine.scale),
            )
            bias = 0.0 if self.last.bias is None else (self.last.bias / scale) @ components
            self._kept["outward"] = (self.last.weight.T / scale) @ components
            self._kept["outward offset"] = self._keep("center", affine.center) + bias
        return self._kept["outward"], self._kept["outward offset"]

    def _keep(self, name: str, values: Array | None) -> Tensor:
        if name not in self._kept:
            assert values is not None
            # torch refuses to share memory that may not be written
            shared = (
                values if values.flags.writeable and values.flags.c_contiguous else values.copy()
            )
            self._kept[name] = torch.from_numpy(shared).to(self.device)
        return self._kept[name]

    def _send(self, values: Array) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(values, np.float32)).to(self.device)


def to_numpy(tensor: Tensor) -> Array:
    """Tensor of any device as a float32 array."""
    return np.asarray(tensor.float().cpu().numpy(), np.float32)
