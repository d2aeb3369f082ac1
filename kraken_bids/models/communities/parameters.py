"""Numbers that are free and what they stand for: shares of communities, presence in (0, 1)."""

import torch
from torch import Tensor

FURTHEST = 4.5
"""Initial logits lie within ± this."""


def to_simplex_logits(shares: Tensor, *, least: float = 1e-3) -> Tensor:
    """Free numbers whose :func:`torch.softmax` are shares, up to their sum."""
    return torch.log(shares.clamp(min=least))


def to_presence_logits(presence: Tensor) -> Tensor:
    """Free numbers whose :func:`torch.sigmoid` is a presence, cut to a range that can be left."""
    return torch.logit(presence.clamp(0, 1)).clamp(-FURTHEST, FURTHEST)
