"""What networks have to beat, beside themselves: a linear model on patterns, and chance."""

from collections.abc import Callable

import numpy as np

from kraken_bids.models.decoding_records import CHANCE, LINEAR, PRETRAINED, SCRATCH, SHUFFLED
from kraken_bids.models.linear_decoder import decode_linearly
from kraken_bids.pipeline.decoding.held_out_trials import Decoded, Floats, Indices, LabelledTrials
from kraken_bids.pipeline.decoding.trial_folds import HeldOut


def list_methods(*, is_pretrained: bool) -> tuple[str, ...]:
    """List the methods of a decoding, the one in question first."""
    networks = (PRETRAINED, SCRATCH) if is_pretrained else (SCRATCH,)
    return (*networks, SHUFFLED, LINEAR, CHANCE)


def decode_patterns(
    trials: LabelledTrials, part: HeldOut, patterns: Callable[[Indices], Floats], *, seed: int
) -> Decoded:
    """Decode held-out trials by logistic regression.

    Parameters
    ----------
    patterns : callable
        Gives the patterns [n_trials, n_regions] of trials, by their numbers.
    """
    predicted, _ = decode_linearly(
        patterns(part.train),
        trials.labels[part.train],
        [trials.families[row] for row in part.train.tolist()],
        patterns(part.test),
        seed=seed,
    )
    return Decoded(predicted, np.full(len(predicted), np.nan))


def decode_by_chance(trials: LabelledTrials, part: HeldOut) -> Decoded:
    """Take every held-out trial for one of the most frequent class."""
    # in training alone it would be the one that is rarer in test: below chance
    most = np.bincount(trials.labels).argmax()
    n_trials = len(part.test)
    return Decoded(np.full(n_trials, most, np.intp), np.full(n_trials, np.nan))
