"""Training steps of networks that are one linear layer each way, on a CPU: numpy, no autograd.

Every multiplication runs on one thread, several of them at once, and what is added up is added in
one order, so that the number of threads changes no bit.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager

import numpy as np
from numpy.typing import NDArray

from kraken_bids.models.devices import (
    Array,
    Part,
    Result,
    single_thread,
)
from kraken_bids.models.krakencoder.affine_decoder import AffineDecoder
from kraken_bids.models.krakencoder.affine_encoder import AffineEncoder
from kraken_bids.models.krakencoder.alike_paths import AlikePaths, group_paths
from kraken_bids.models.krakencoder.architecture import Weights
from kraken_bids.models.krakencoder.dropout import Dropout
from kraken_bids.models.krakencoder.losses import (
    compute_similarity_loss,
    weigh_flavors,
    weigh_losses,
)
from kraken_bids.models.krakencoder.pair_losses import compute_pair_losses, describe_rows
from kraken_bids.models.krakencoder.recipe import TrainingData, TrainingSettings
from kraken_bids.models.krakencoder.trained_layers import Workspace, lay_out
from kraken_bids.models.optimizer import GuardedAdamW
from kraken_bids.shared_work import share_parts

LATENTS = -1
"""In the place of a target: the losses of latents."""
SUBJECTS = 64
"""Whose latents are compared at once in the latent-similarity step."""

Indices = NDArray[np.intp]


def let_overflow() -> np.errstate:
    """Compute on without a warning: what is not finite is found where the step is taken."""
    return np.errstate(over="ignore", invalid="ignore", divide="ignore")


class AffineSteps:
    """Steps of an affine network; weights and gradients lie in one flat array per branch.

    Parameters
    ----------
    weights : Weights
        To begin with; copied.
    """

    def __init__(self, weights: Weights, data: TrainingData, settings: TrainingSettings) -> None:
        arch = weights.architecture
        self._arch = arch
        self._present = data.find_present()
        self._seed, self._is_joint = settings.seed, settings.schedule == "joint"
        self._weights = weigh_losses(settings.loss)
        self._targets = None
        if data.target_latents is not None:
            self._targets = np.nan_to_num(data.target_latents, nan=0.0)
        self._fixed = self._targets if data.is_fixed else None
        self._n_flavors = len(arch.flavors)
        self._paths = np.full((self._n_flavors,) * 2, self._targets is None) | np.eye(
            self._n_flavors, dtype=bool
        )
        self._branches = [
            f"{kind}.{name}" for kind in ("encoders", "decoders") for name in arch.flavors
        ]
        self._layers = [lay_out(weights, name) for name in self._branches]
        inputs = [np.nan_to_num(rows, nan=0.0) for rows in data.inputs.values()]
        self._encoders = [
            AffineEncoder(layer, rows, normalizes=arch.latent_normalize)
            for layer, rows in zip(self._layers, inputs, strict=False)
        ]
        workspace = Workspace()
        with let_overflow():
            self._decoders = [
                AffineDecoder(layer, rows, self._weights.prediction, workspace)
                for layer, rows in zip(self._layers[self._n_flavors :], inputs, strict=True)
            ]
        self.optimizer = GuardedAdamW(
            {name: layer.values for name, layer in zip(self._branches, self._layers, strict=True)},
            weight_decay=settings.weight_decay,
        )
        self._memory = Workspace()
        self._n_threads = 1

    def freeze(self) -> Weights:
        """Copy the weights as they are now."""
        arrays = {}
        for name, layer in zip(self._branches, self._layers, strict=True):
            arrays[f"{name}.linears.0.weight"] = layer.weight.copy()
            if layer.bias is not None:
                arrays[f"{name}.linears.0.bias"] = layer.bias.copy()
        return Weights(self._arch, arrays)

    @contextmanager
    def in_epoch(self, epoch: int) -> Iterator[None]:
        """Draw from the random streams of an epoch: one for each encoder and decoder."""
        finals = self._arch.final_dropouts or (self._arch.dropout,) * self._n_flavors
        rates = (*(self._arch.dropout,) * self._n_flavors, *finals)
        seeds = np.random.SeedSequence([self._seed, epoch]).spawn(len(rates))
        branches: Sequence[AffineEncoder | AffineDecoder] = (*self._encoders, *self._decoders)
        for branch, rate, seed in zip(branches, rates, seeds, strict=True):
            branch.dropout = Dropout(rate, seed)
        with let_overflow(), single_thread() as n_threads:
            self._n_threads = n_threads if self._is_joint else 1
            yield

    def step_path(self, source: int, target: int, batch: Indices, learning_rate: float) -> float:
        """Take a step of one path on subjects who have both of its flavors; gives the loss."""
        latents, by_codes = np.empty((2, 1, len(batch), self._arch.latent_size), np.float32)
        encoded = self._encoders[source].encode(batch, latents[0])
        losses, by_latents = self._compare_latents(latents, batch, None)
        codes = latents if self._fixed is None else self._fixed[None, batch]
        found = self._decoders[target].compare(codes, batch, by_codes)
        if self._fixed is None:
            by_latents += by_codes
        self._encoders[source].differentiate(encoded, by_latents[0])
        self._step((source, self._n_flavors + target), learning_rate)
        return float(losses[0] + found[0])

    def step_joint(self, batch: Indices, learning_rate: float) -> NDArray[np.float64]:
        """Take one step of all paths; gives their losses, source by target.

        A path's losses are those of the subjects of the batch who have both flavors; they are
        added up over paths. Paths of fewer than two such subjects have none: NaN.
        """
        has = self._present[:, batch]
        everyone = bool(has.all())
        counts = np.einsum("su,tu->st", has, has, dtype=np.intp) * self._paths
        sources, targets = (np.flatnonzero((counts > 1).any(axis=axis)) for axis in (1, 0))
        shape = (self._n_flavors, len(batch), self._arch.latent_size)
        latents = self._memory.take("latents", *shape)
        by_latents = self._memory.take("by_latents", *shape)
        # of each decoder by itself, so that the order of their sum is always the same
        by_codes = self._memory.take("by_codes", self._n_flavors, *shape)
        losses = np.full((2, *counts.shape), np.nan)
        encoded = self._at_once(
            lambda s: self._encoders[s].encode(batch, latents[s]), range(self._n_flavors)
        )

        def compare(target: int) -> None:
            if target == LATENTS:
                alike = group_paths(self._paths, has)
                losses[0], by_latents[:] = self._compare_latents(latents, batch, alike)
                return
            mine = slice(None) if self._targets is None else slice(target, target + 1)
            codes = latents[mine] if self._fixed is None else self._fixed[None, batch]
            present = None if everyone else has[mine] & has[target]
            losses[1, mine, target] = self._decoders[target].compare(
                codes, batch, by_codes[target, mine], present
            )

        def differentiate(source: int) -> None:
            if self._fixed is None:
                own = targets[self._paths[source, targets]]
                everything = len(own) == self._n_flavors
                mine = by_codes[:, source] if everything else by_codes[own, source]
                by_latents[source] += mine.sum(axis=0)
            self._encoders[source].differentiate(encoded[source], by_latents[source])

        self._at_once(compare, (LATENTS, *targets.tolist()))
        self._at_once(differentiate, sources.tolist())
        self._step((*sources.tolist(), *(targets + self._n_flavors).tolist()), learning_rate)
        return np.where(counts > 1, losses.sum(axis=0), np.nan)

    def step_similarity(self, learning_rate: float) -> float:
        """Take the step that pulls the flavors' latents together; gives the weighted loss."""
        n_subjects = self._present.shape[1]
        shape = (self._n_flavors, n_subjects, self._arch.latent_size)
        latents, references, by_latents = (
            self._memory.take(name, *shape) for name in ("everybody", "references", "by_everybody")
        )
        encoded = self._at_once(
            lambda s: self._encoders[s].encode_all(latents[s], references[s]),
            range(self._n_flavors),
        )
        flavor_weights = self._weights.similarity * weigh_flavors(self._present, shape[2])

        def compare(first: int) -> float:
            block = slice(first, first + SUBJECTS)
            loss, by_latents[:, block] = compute_similarity_loss(
                latents[:, block], references[:, block], self._present[:, block], flavor_weights
            )
            return float(loss)

        loss = sum(self._at_once(compare, range(0, n_subjects, SUBJECTS)))
        pulled = range(1, self._n_flavors)  # the first flavor is pulled to none
        self._at_once(lambda s: self._encoders[s].differentiate(encoded[s], by_latents[s]), pulled)
        self._step(pulled, learning_rate)
        return loss

    def _step(self, branches: Iterable[int], learning_rate: float) -> None:
        """Step some branches: encoders, then decoders, in the order of flavors."""
        gradients = {self._branches[k]: self._layers[k].gradient for k in branches}
        self.optimizer.step(gradients, learning_rate, self._at_once if self._is_joint else None)

    def _at_once(self, work: Callable[[Part], Result], parts: Iterable[Part]) -> list[Result]:
        return share_parts(let_overflow()(work), parts, self._n_threads)

    def _compare_latents(
        self, latents: Array, batch: Indices, alike: AlikePaths | None
    ) -> tuple[NDArray[np.floating], Array]:
        """Latent losses, source by target, and the derivatives of their sum by latents."""
        is_self = self._targets is None
        others = latents if self._targets is None else self._targets[None, batch]
        rows = describe_rows(latents)
        their_rows = rows if is_self else describe_rows(others)
        standard = their_rows.standardize(others)
        products = (standard @ latents.transpose(0, 2, 1)).transpose(1, 0, 2)
        present = None if alike is None else alike.present
        if alike is not None and present is not None:
            products, rows = products[:, alike.sources], rows.take(alike.sources)
            their_rows = rows if is_self else their_rows
        losses, (matrix, scale, shift) = compute_pair_losses(
            self._weights.latent,
            np.ascontiguousarray(products),
            their_rows,
            rows,
            present=present,
            is_self=is_self,
        )
        matrix = matrix.transpose(1, 2, 0)
        if alike is not None:
            losses = losses[alike.index]
            matrix, scale, shift = (alike.add_up(part) for part in (matrix, scale, shift))
        by_latents = matrix @ standard
        by_latents += scale[:, :, None] * latents
        by_latents += shift[:, :, None]
        return losses, by_latents
