"""Relevance on its way from an output to the voxels, and what of it is lost where."""

from dataclasses import dataclass, field

import torch


@dataclass
class RelevanceFlow:
    """Relevance of one volume."""

    logit: float
    """Output that is explained: all the relevance there is."""
    arrived: dict[str, float] = field(default_factory=dict)
    """Sum of relevance below each layer, from the output on."""
    relevance: torch.Tensor = field(default_factory=lambda: torch.zeros(0))
    """Of each voxel [x, y, z], in units of the logit."""

    def pass_through(self, layer: str, relevance: torch.Tensor) -> None:
        """Add what has arrived below a layer."""
        self.arrived[layer] = self.arrived.get(layer, 0.0) + float(
            relevance.sum(dtype=torch.float64)
        )

    @property
    def lost(self) -> dict[str, float]:
        """Share of the logit that each layer lost (or, if negative, made)."""
        before, lost = self.logit, {}
        for layer, here in self.arrived.items():
            lost[layer] = (before - here) / self.logit if self.logit else 0.0
            before = here
        return lost
