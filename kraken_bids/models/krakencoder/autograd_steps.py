"""Training steps of any network on any device: torch's autograd through layers, losses by hand."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from kraken_bids.models.devices import resolve_device
from kraken_bids.models.krakencoder.architecture import Weights
from kraken_bids.models.krakencoder.losses import (
    PairWeights,
    compute_similarity_loss,
    weigh_flavors,
    weigh_losses,
)
from kraken_bids.models.krakencoder.network import Branch, Network
from kraken_bids.models.krakencoder.pair_losses import compute_pair_losses, describe_rows
from kraken_bids.models.krakencoder.recipe import TrainingData, TrainingSettings
from kraken_bids.models.optimizer import GuardedAdamW

Indices = NDArray[np.intp]


class AutogradSteps:
    """Steps of a network in torch.

    Parameters
    ----------
    weights : Weights
        To begin with; copied.
    settings : TrainingSettings
        Also say on which device.
    """

    def __init__(self, weights: Weights, data: TrainingData, settings: TrainingSettings) -> None:
        self._arch, self._names = weights.architecture, weights.architecture.flavors
        self._seed, self._device = settings.seed, resolve_device(settings.device)
        self._weights = weigh_losses(settings.loss)
        self._has = data.find_present()
        self._present = torch.from_numpy(self._has).to(self._device.name)
        self._inputs = [self._place(rows) for rows in data.inputs.values()]
        targets = data.target_latents
        self._targets = None if targets is None else self._place(targets)
        self._is_fixed = data.is_fixed and targets is not None
        self._network = Network.from_weights(weights).to(self._device.name).requires_grad_()
        self._branches = {name: self._network.branch(name) for name in self._arch.branches()}
        self.optimizer = GuardedAdamW(
            {name: _join_memory(branch) for name, branch in self._branches.items()},
            weight_decay=settings.weight_decay,
        )

    @contextmanager
    def in_epoch(self, epoch: int) -> Iterator[None]:
        """Draw from the random stream of an epoch; that of others goes on as if nothing was."""
        (seed,) = np.random.SeedSequence([self._seed, epoch]).generate_state(1, np.uint64)
        gpus = [self._device.name] if self._device.is_gpu else []
        with torch.random.fork_rng(devices=gpus):
            torch.manual_seed(int(seed))
            self._network.train()
            yield
            self._network.eval()

    def freeze(self) -> Weights:
        """Copy the weights as they are now."""
        return self._network.freeze()

    def step_path(self, source: int, target: int, batch: Indices, learning_rate: float) -> float:
        """Take a step of one path on subjects who have both of its flavors; gives the loss."""
        latents = self._encode(source, batch)
        leaf = latents.detach().requires_grad_()
        losses, by_latents = self._compare_latents(leaf.detach(), batch)
        losses = losses + self._decode(target, {source: leaf}, batch)
        self._encoder_backward([latents], [leaf], [by_latents])
        self._step(learning_rate)
        return float(losses[0])

    def step_joint(self, batch: Indices, learning_rate: float) -> NDArray[np.float64]:
        """Take one step of all paths; gives their losses, source by target, NaN without one."""
        flavors = range(len(self._names))
        has = self._present[:, batch]
        counts = np.einsum("su,tu->st", self._has[:, batch], self._has[:, batch], dtype=np.intp)
        latents = [self._encode(source, batch) for source in flavors]
        leaves = [values.detach().requires_grad_() for values in latents]
        losses = torch.full(counts.shape, torch.nan, device=has.device)
        by_latents = []
        for target in flavors:
            sources = [target] if self._targets is not None else list(flavors)
            if (counts[sources, target] > 1).any():
                mine = {source: leaves[source] for source in sources}
                losses[sources, target] = self._decode(
                    target, mine, batch, has[sources] & has[target]
                )
        for source in flavors:
            targets = [source] if self._targets is not None else list(flavors)
            found, slopes = self._compare_latents(
                leaves[source].detach(), batch, has[source] & has[targets]
            )
            losses[source, targets] += found
            by_latents.append(slopes)
        alive = [
            s
            for s in flavors
            if (counts[s, [s] if self._targets is not None else flavors] > 1).any()
        ]
        self._encoder_backward(
            *([part[s] for s in alive] for part in (latents, leaves, by_latents))
        )
        self._step(learning_rate)
        result: NDArray[np.float64] = losses.double().cpu().numpy()
        result[counts < 2] = np.nan
        return result

    def step_similarity(self, learning_rate: float) -> float:
        """Take the step that pulls the flavors' latents together; gives the weighted loss."""
        everybody = np.arange(self._has.shape[1])
        flavors = range(len(self._names))
        self._network.eval()
        with torch.no_grad():
            fixed = torch.stack([self._encode(source, everybody) for source in flavors])
        self._network.train()
        latents = [self._encode(source, everybody) for source in flavors]
        with torch.no_grad():
            weights = weigh_flavors(self._present, self._arch.latent_size)
            loss, by_latents = compute_similarity_loss(
                torch.stack(latents), fixed, self._present, self._weights.similarity * weights
            )
        # the first flavor is pulled to none
        torch.autograd.backward(latents[1:], list(by_latents[1:]))
        self._step(learning_rate)
        return float(loss)

    def _place(self, rows: NDArray[np.float32]) -> Tensor:
        return torch.from_numpy(np.nan_to_num(rows, nan=0.0)).to(self._device.name)

    def _encode(self, source: int, batch: Indices) -> Tensor:
        encoded: Tensor = self._network.encoders[self._names[source]](self._inputs[source][batch])
        return encoded

    def _decode(
        self,
        target: int,
        leaves: dict[int, Tensor],
        batch: Indices,
        present: Tensor | None = None,
    ) -> Tensor:
        """Predict a flavor from latents of several sources, and go backward; gives the losses."""
        name = self._names[target]
        codes = [
            self._network.translate(leaf, self._names[source], name)
            for source, leaf in leaves.items()
        ]
        if self._is_fixed and self._targets is not None:
            codes = [self._targets[batch]]
        predicted = self._network.decoders[name](torch.cat(codes))
        with torch.no_grad():
            losses, by_predicted = _compare(
                self._weights.prediction,
                self._inputs[target][batch],
                predicted.detach().reshape(len(codes), len(batch), -1),
                present,
            )
        torch.autograd.backward(predicted, by_predicted.reshape(predicted.shape))
        return losses

    def _compare_latents(
        self, latents: Tensor, batch: Indices, patterns: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Latent losses of the paths of a source, and the derivatives of their sum."""
        n_paths = 1 if patterns is None else len(patterns)
        is_self = self._targets is None
        others = latents if self._targets is None else self._targets[batch]
        each = latents.expand(n_paths, *latents.shape)
        losses, by_each = _compare(self._weights.latent, others, each, patterns, is_self=is_self)
        return losses, by_each.sum(dim=0)

    def _encoder_backward(
        self, latents: Sequence[Tensor], leaves: Sequence[Tensor], by_latents: Sequence[Tensor]
    ) -> None:
        """Go backward through encoders, with what came through decoders and what did not."""
        slopes = [
            own if leaf.grad is None else own + leaf.grad
            for leaf, own in zip(leaves, by_latents, strict=True)
        ]
        torch.autograd.backward(list(latents), slopes)

    def _step(self, learning_rate: float) -> None:
        """Step the branches that have a gradient, and forget it."""
        gradients = {}
        for name, branch in self._branches.items():
            found = [p.grad.reshape(-1) for p in branch.parameters() if p.grad is not None]
            if found:
                gradients[name] = torch.cat(found)
        with torch.no_grad():
            self.optimizer.step(gradients, learning_rate)
        self._network.zero_grad(set_to_none=True)


def _compare(
    weights: PairWeights, x: Tensor, y: Tensor, present: Tensor | None, *, is_self: bool = False
) -> tuple[Tensor, Tensor]:
    """Losses ``[n_paths]`` between rows x ``[n, width]`` and y ``[n_paths, n, width]``, by y."""
    rows, (n_paths, n, width) = describe_rows(x[None]), y.shape
    standard = rows.standardize(x)[0]
    losses, slopes = compute_pair_losses(
        weights,
        (standard @ y.reshape(-1, width).T).reshape(n, n_paths, n),
        rows,
        describe_rows(y),
        present=present,
        is_self=is_self,
    )
    by_y = (slopes.matrix.reshape(n, -1).T @ standard).reshape(y.shape)
    return losses, by_y + slopes.scale[..., None] * y + slopes.shift[..., None]


def _join_memory(branch: Branch) -> Tensor:
    """Let a branch's parameters be views of one flat tensor; gives it."""
    parameters = list(branch.parameters())
    flat = torch.cat([parameter.detach().reshape(-1) for parameter in parameters])
    parts = torch.split(flat, [parameter.numel() for parameter in parameters])
    for parameter, part in zip(parameters, parts, strict=True):
        parameter.data = part.view(parameter.shape)
    return flat
