"""The peer of ``bench_training.py``: the published training loop written plainly.

A module of torch, losses by autograd, one step of ``torch.optim.AdamW`` per path and batch.
"""

from itertools import product

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional


class PlainNetwork(nn.Module):
    """One linear layer each way, dropout after both, latents of unit length."""

    def __init__(self, sizes: list[int], n_latent: int, dropout: float) -> None:
        super().__init__()
        self.encoders = nn.ModuleList(nn.Linear(size, n_latent) for size in sizes)
        self.decoders = nn.ModuleList(nn.Linear(n_latent, size) for size in sizes)
        self.dropout = nn.Dropout(dropout)

    def encode(self, x: Tensor, source: int) -> Tensor:
        """Latents of a flavor's rows."""
        return functional.normalize(self.dropout(self.encoders[source](x)), dim=1)

    def decode(self, z: Tensor, target: int) -> Tensor:
        """Predict a flavor's rows."""
        return self.dropout(self.decoders[target](z))


def correlate(x: Tensor, y: Tensor) -> Tensor:
    x, y = (rows - rows.mean(dim=1, keepdim=True) for rows in (x, y))
    return functional.normalize(x, dim=1) @ functional.normalize(y, dim=1).T


def compute_loss(x: Tensor, y: Tensor, z: Tensor) -> Tensor:
    """Give the published loss of a batch."""
    eye = torch.eye(len(x), device=x.device)
    d, e = torch.cdist(x, y), torch.cdist(z, z)
    far = d + eye * d.max()
    others = 1 - eye
    return (
        torch.linalg.matrix_norm(correlate(x, y) - eye)
        + 10 * torch.linalg.matrix_norm(correlate(z, z) - eye)
        + d.diagonal().mean()
        - (far.min(dim=0).values + far.min(dim=1).values).mean() / 2
        + 10 * (e.diagonal().mean() - (e * others).sum() / others.sum())
        + 1000 * functional.mse_loss(y, x)
    ).nan_to_num()


class PlainLoop:
    """Epochs as the published recipe has them."""

    def __init__(  # noqa: PLR0913 - the recipe, and where
        self,
        inputs: list[np.ndarray],
        *,
        n_latent: int,
        dropout: float,
        batch_size: int,
        learning_rate: float = 1e-4,
        seed: int = 0,
        device: str = "cpu",
    ) -> None:
        torch.manual_seed(seed)
        self.inputs = [torch.from_numpy(rows).to(device) for rows in inputs]
        sizes = [rows.shape[1] for rows in inputs]
        self.network = PlainNetwork(sizes, n_latent, dropout).to(device)
        self.optimizer = torch.optim.AdamW(
            self.network.parameters(), lr=learning_rate, weight_decay=0.01
        )
        self.batch_size = batch_size

    def run_epoch(self) -> None:
        """Step all paths and batches, then the latent similarity."""
        self.network.train()
        flavors = range(len(self.inputs))
        for source, target in product(flavors, flavors):
            order = torch.randperm(len(self.inputs[source]))
            for batch in order.split(self.batch_size):
                if len(batch) == self.batch_size:
                    z = self.network.encode(self.inputs[source][batch], source)
                    y = self.network.decode(z, target)
                    self._step(compute_loss(self.inputs[target][batch], y, z))
        self.network.eval()
        with torch.no_grad():
            fixed = [self.network.encode(self.inputs[k], k) for k in flavors]
        self.network.train()
        latents = [self.network.encode(self.inputs[k], k) for k in flavors]
        pairs = [(i, j) for i, j in product(flavors, flavors) if i > j]
        self._step(1e4 * sum(2 * functional.mse_loss(latents[i], fixed[j]) for i, j in pairs))
        if latents[0].is_cuda:
            torch.cuda.synchronize()

    def _step(self, loss: Tensor) -> None:
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()
