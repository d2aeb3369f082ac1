"""What a network learns from series: batches that are drawn, and their loss.

Differences from the release, all in ``docs/decisions/0063-objectives-on-series.md``.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from kraken_bids.exceptions import ConnectomeError
from kraken_bids.models.series.network import SeriesNetwork
from kraken_bids.models.series.recipe import SeriesRecipe
from kraken_bids.models.series.sequences import (
    Indices,
    Sequences,
    Values,
    draw_windows,
    join_sequences,
)
from kraken_bids.models.series.tokens import (
    Tokens,
    mask_causally,
    mask_regions,
    mask_volumes,
    show_all,
)


@dataclass(frozen=True)
class Runs:
    """Runs to learn from; their volumes are read when they are needed."""

    n_volumes: Indices
    """Of each run."""
    repetition_times: Sequence[float]
    """Of each run, in seconds."""
    read: Callable[[int], Values]
    """Volumes of a run, [n_volumes, n_regions]; may be a view of a file."""

    def pick(self, runs: Indices) -> "Runs":
        """Give some of the runs."""
        return Runs(
            self.n_volumes[runs],
            [self.repetition_times[run] for run in runs.tolist()],
            lambda run: self.read(int(runs[run])),
        )


class Objective:
    """Draws batches of runs, and judges what a network makes of them.

    Parameters
    ----------
    runs : Runs
    recipe : SeriesRecipe

    Raises
    ------
    ConnectomeError
        If a run is shorter than the shortest sequence, lasts longer than can be embedded, or
        pairs are asked for and no two runs have the same repetition time.
    """

    def __init__(self, runs: Runs, recipe: SeriesRecipe) -> None:
        self._runs, self._recipe = runs, recipe
        self._is_paired = recipe.framework in {"bert", "netbert"}
        self._others = self._list_others() if self._is_paired else []

    def draw(self, rng: np.random.Generator) -> Tokens:
        """Draw a batch."""
        recipe = self._recipe
        if self._is_paired:
            return self._draw_pairs(rng)
        runs = rng.integers(0, len(self._runs.n_volumes), recipe.batch_size)
        firsts, sizes = draw_windows(
            rng, self._runs.n_volumes[runs], shortest=recipe.shortest, longest=recipe.longest
        )
        sequences = self._read(runs, firsts, sizes)
        is_causal = recipe.framework == "csm"
        tokens = (
            mask_causally(sequences, rng.integers(1, sizes)) if is_causal else complete(sequences)
        )
        return replace(tokens, runs=np.repeat(runs, sizes))

    def _draw_pairs(self, rng: np.random.Generator) -> Tokens:
        """Draw pairs of windows of one run with a gap between them, half of them of two runs."""
        recipe, n = self._recipe, self._recipe.batch_size
        runs = rng.integers(0, len(self._runs.n_volumes), n)
        firsts, sizes = draw_windows(
            rng, self._runs.n_volumes[runs], shortest=recipe.shortest, longest=recipe.longest
        )
        gaps = np.minimum(rng.integers(*recipe.gaps, n, endpoint=True), sizes - 2)
        halves = (sizes - gaps) // 2
        is_next = rng.random(n) < 0.5
        seconds, behind = runs.copy(), firsts + halves + gaps
        for k in np.flatnonzero(~is_next).tolist():
            seconds[k] = rng.choice(self._others[runs[k]])
            behind[k] = rng.integers(0, self._runs.n_volumes[seconds[k]] - halves[k] + 1)
        pairs = self._read(
            np.c_[runs, seconds].ravel(), np.c_[firsts, behind].ravel(), np.repeat(halves, 2)
        )
        labels = is_next.astype(np.float32)
        of_runs = np.repeat(np.c_[runs, seconds].ravel(), np.repeat(halves, 2))
        if recipe.framework == "bert":
            masked = rng.random(len(pairs.values)) < recipe.masking_rate
            masked[rng.integers(0, len(masked))] = True  # a batch without any has no loss
            return replace(mask_volumes(pairs, masked, labels), runs=of_runs)
        regions = rng.random((n, pairs.values.shape[1])) < recipe.masking_rate
        regions[rng.integers(0, n), rng.integers(0, regions.shape[1])] = True
        return replace(mask_regions(pairs, regions, labels), runs=of_runs)

    def _read(self, runs: Indices, firsts: Indices, sizes: Indices) -> Sequences:
        return join_sequences(
            [
                self._runs.read(run)[first : first + size]
                for run, first, size in zip(
                    runs.tolist(), firsts.tolist(), sizes.tolist(), strict=True
                )
            ],
            [self._runs.repetition_times[run] for run in runs.tolist()],
        )

    def _list_others(self) -> list[Indices]:
        """List the runs of the same repetition time as each run: another one would tell."""
        times = np.array(self._runs.repetition_times)
        everyone = np.arange(len(times))
        others = [
            np.flatnonzero((times == time) & (everyone != k)) for k, time in enumerate(times)
        ]
        alone = [k for k, found in enumerate(others) if not found.size]
        if alone:
            raise ConnectomeError(
                f"expected at least two runs of each repetition time, to make pairs of; found one "
                f"of {times[alone[0]]:g} s. Give more runs, leave that one out, or use the "
                "framework csm or autoencoder."
            )
        return others


def complete(sequences: Sequences) -> Tokens:
    """Show sequences whole, all of which is to be given again."""
    tokens = show_all(sequences, cls="none")
    return replace(tokens, scored=tokens.sources, scored_rows=tokens.sources)


def compute_loss(network: SeriesNetwork, tokens: Tokens) -> Tensor:
    """Mean absolute error of what was hidden, plus, of pairs, the cross-entropy of their order."""
    volumes, logits = network.reconstruct(tokens)
    loss = compute_error(volumes, tokens)
    if logits is None or tokens.is_next is None:
        return loss
    labels = torch.from_numpy(tokens.is_next).to(logits)
    return loss + binary_cross_entropy_with_logits(logits, labels)


def compute_error(volumes: Tensor, tokens: Tokens) -> Tensor:
    """Mean absolute error over what was hidden.

    Parameters
    ----------
    volumes : Tensor of shape (n_scored, n_regions)
    """
    truth = torch.from_numpy(tokens.values[tokens.scored_rows]).to(volumes)
    errors = (volumes - truth).abs()
    if tokens.entries is None:
        return errors.mean()
    return errors[torch.from_numpy(tokens.entries).to(errors.device)].mean()
