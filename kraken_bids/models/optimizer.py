"""The optimizer of the published recipe, which leaves out steps that are not finite."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class GuardedAdamW:
    """AdamW that leaves out a step whose gradient is not finite, and counts it."""

    def __init__(self, network: nn.Module, *, learning_rate: float, weight_decay: float) -> None:
        self._optimizer = torch.optim.AdamW(
            network.parameters(), lr=learning_rate, weight_decay=weight_decay, fused=True
        )
        self._parameters = list(network.parameters())
        self.n_skipped = 0

    def step(self, outputs: Sequence[Tensor], derivatives: Sequence[Tensor] | None = None) -> None:
        """Take a step along the gradients of outputs, given the loss's derivatives by them."""
        # parameters that this path does not touch keep grad None: no decay, no step (the recipe)
        self._optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(outputs, derivatives)
        gradients = [p.grad for p in self._parameters if p.grad is not None]
        if torch.isfinite(torch.nn.utils.get_total_norm(gradients)):
            self._optimizer.step()
        else:
            self.n_skipped += 1
