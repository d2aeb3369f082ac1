"""What a network learns from series: batches that are drawn, and their loss.

How this differs from the release: ``docs/decisions/0063-objectives-on-series.md``.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
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
    find_time_ids,
    group_times,
    join_sequences,
)
from kraken_bids.models.series.tokens import (
    Tokens,
    mask_causally,
    mask_nothing,
    mask_regions,
    mask_volumes,
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
    count: Callable[[int], NDArray[np.bool_]] | None = None
    """Whether each volume of a run counts; None: all do. The others are shown, and never asked
    for."""


class Objective:
    """Draws batches of runs, with what is hidden in them.

    Raises
    ------
    ConnectomeError
        If a run is shorter than the shortest sequence, or sequences last longer than can be
        embedded.

    Notes
    -----
    A run whose repetition time no other one has is never paired with another; times that differ
    by a hundredth at most are one, as sidecars round them.
    """

    def __init__(self, runs: Runs, recipe: SeriesRecipe) -> None:
        self._runs, self._recipe = runs, recipe
        _check_runs(runs, recipe)
        # of the same repetition time: another one would tell
        self._time_of = group_times(runs.repetition_times)
        self._alike = [
            np.flatnonzero(self._time_of == k) for k in range(self._time_of.max(initial=-1) + 1)
        ]

    def draw(self, rng: np.random.Generator) -> Tokens:
        """Draw a batch."""
        recipe = self._recipe
        runs = rng.integers(0, len(self._runs.n_volumes), recipe.batch_size)
        firsts, sizes = draw_windows(
            rng, self._runs.n_volumes[runs], shortest=recipe.shortest, longest=recipe.longest
        )
        if recipe.is_paired:
            return self._draw_pairs(rng, runs, firsts, sizes)
        sequences = self._read(runs, firsts, sizes)
        if recipe.framework == "csm":
            return mask_causally(sequences, _draw_targets(rng, sequences))
        return mask_nothing(sequences)

    def _draw_pairs(
        self, rng: np.random.Generator, runs: Indices, firsts: Indices, sizes: Indices
    ) -> Tokens:
        """Draw pairs of windows of one run with a gap between them, half of them of two runs."""
        recipe, n = self._recipe, len(runs)
        gaps = np.minimum(rng.integers(*recipe.gaps, n, endpoint=True), sizes - 2)
        halves = (sizes - gaps) // 2
        is_next = rng.random(n) < 0.5
        is_next |= [len(self._alike[k]) == 1 for k in self._time_of[runs]]
        seconds, behind = runs.copy(), firsts + halves + gaps
        for k in np.flatnonzero(~is_next).tolist():
            seconds[k] = self._draw_other(rng, runs[k])
            halves[k] = min(halves[k], self._runs.n_volumes[seconds[k]])
            behind[k] = rng.integers(0, self._runs.n_volumes[seconds[k]] - halves[k] + 1)
        pairs = self._read(
            np.c_[runs, seconds].ravel(), np.c_[firsts, behind].ravel(), np.repeat(halves, 2),
            timed_as=np.repeat(runs, 2),  # the last digits would tell, too
        )  # fmt: skip
        labels = is_next.astype(np.float32)
        # one at least is hidden: a batch without any would have no loss
        if recipe.framework == "bert":
            volumes = rng.random(len(pairs.values))
            return mask_volumes(pairs, volumes <= max(recipe.masking_rate, volumes.min()), labels)
        regions = rng.random((n, pairs.values.shape[1]))
        return mask_regions(pairs, regions <= max(recipe.masking_rate, regions.min()), labels)

    def _draw_other(self, rng: np.random.Generator, run: np.intp) -> np.intp:
        """Draw another run of the same repetition time."""
        alike = self._alike[self._time_of[run]]
        place = rng.integers(len(alike) - 1)
        other: np.intp = alike[place + (alike[place] >= run)]
        return other

    def _read(
        self, runs: Indices, firsts: Indices, sizes: Indices, timed_as: Indices | None = None
    ) -> Sequences:
        owners = runs.tolist()
        parts = [slice(first, first + size) for first, size in zip(firsts, sizes, strict=True)]
        timed = owners if timed_as is None else timed_as.tolist()
        times = [self._runs.repetition_times[run] for run in timed]
        sequences = join_sequences(
            [self._runs.read(run)[part] for run, part in zip(owners, parts, strict=True)], times
        )
        count = self._runs.count
        if count is None:
            return replace(sequences, runs=runs)
        counts = [count(run)[part] for run, part in zip(owners, parts, strict=True)]
        return replace(sequences, runs=runs, counts=np.concatenate(counts))


def compute_loss(network: SeriesNetwork, tokens: Tokens) -> Tensor:
    """Mean absolute error of what was hidden, plus, of pairs, the cross-entropy of their order."""
    volumes, logits = network.reconstruct(tokens)
    return add_order_loss(compute_error(volumes, tokens), logits, tokens)


def add_order_loss(loss: Tensor, logits: Tensor | None, tokens: Tokens) -> Tensor:
    """Add the cross-entropy of the order of pairs, where there are pairs.

    Parameters
    ----------
    logits : Tensor of shape (n_pairs,) or None
        That the halves follow each other.
    """
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


def _draw_targets(rng: np.random.Generator, sequences: Sequences) -> Indices:
    """Draw a volume of each sequence, not the first, and one that counts where there is one."""
    keys = rng.random(len(sequences.values))
    if sequences.counts is not None:
        keys[~sequences.counts] -= 1
    keys[sequences.starts] = -2
    parts = np.split(keys, sequences.starts[1:])
    return np.array([part.argmax() for part in parts], np.intp)


def _check_runs(runs: Runs, recipe: SeriesRecipe) -> None:
    short = np.flatnonzero(runs.n_volumes < recipe.shortest)
    if short.size or not len(runs.n_volumes):
        raise ConnectomeError(
            f"expected runs of at least {recipe.shortest} volumes, the shortest sequence; found "
            f"{len(short)} of {len(runs.n_volumes)} that are shorter. Leave them out, or let "
            "sequences be shorter."
        )
    for n_volumes, time in {*zip(runs.n_volumes.tolist(), runs.repetition_times, strict=True)}:
        find_time_ids(min(n_volumes, recipe.longest), time)
