"""Relevance of regions and volumes for each class, over trials that were held out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.stats import spearmanr

from kraken_bids.io.records import write_columns
from kraken_bids.models.decoding_records import (
    EVERYTHING,
    HEADS,
    RegionRelevance,
    WeightsCheck,
)
from kraken_bids.models.series.network import SeriesNetwork
from kraken_bids.models.series.relevance import TOLERANCE, explain_trials, randomise_weights
from kraken_bids.pipeline.decoding.decoding_tables import write_checks
from kraken_bids.pipeline.series.decoding_methods import TrialSet

Indices = NDArray[np.intp]
Floats = NDArray[np.float64]

MOST_TRIALS = 25
"""Trials of a class and fold that are explained, drawn by chance from more."""


@dataclass(frozen=True)
class RelevanceSums:
    """Sums over explained trials, which add up over folds."""

    sums: Floats
    """Relevance [n_classes, n_volumes, n_regions]."""
    counts: Floats
    """Trials with each volume [n_classes, n_volumes]."""
    gap: float
    """Largest gap of completeness."""
    correlations: Mapping[str, Floats]
    """By the weights that are random, the rank correlation of each explained trial."""

    def to_arrays(self) -> dict[str, NDArray[np.generic]]:
        """Give arrays, to be kept until all folds are done."""
        return {
            "relevance_sums": self.sums,
            "relevance_counts": self.counts,
            "relevance_gap": np.array(self.gap),
            **{f"relevance_{name}": values for name, values in self.correlations.items()},
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[np.generic]]) -> "RelevanceSums":
        """Read what :meth:`to_arrays` gave."""
        given = {name: np.asarray(values, np.float64) for name, values in arrays.items()}
        return cls(
            given["relevance_sums"],
            given["relevance_counts"],
            float(given["relevance_gap"]),
            {name: given[f"relevance_{name}"] for name in (HEADS, EVERYTHING)},
        )


def map_relevance(
    network: SeriesNetwork, trials: TrialSet, rows: Indices, *, longest: int, seed: int
) -> RelevanceSums:
    """Explain held-out trials: the logit of the class that each is of.

    Parameters
    ----------
    rows : ndarray
        Held-out trials; of a trial that is longer than the network is shown at once, the first
        volumes are explained.
    seed : int
        Of the choice of trials and of random weights.
    """
    chosen = trials.draw(rows, np.random.default_rng([seed, 3]), at_most=MOST_TRIALS)
    taken = trials.take(chosen)
    taken = replace(taken, values=[one[:longest] for one in taken.values])
    found = explain_trials(network, taken)
    correlations = {}
    for name in (HEADS, EVERYTHING):
        other = randomise_weights(network, seed=seed, whole=name == EVERYTHING)
        compared = explain_trials(other, taken).values
        pairs = zip(found.values, compared, strict=True)
        correlations[name] = np.array(
            [spearmanr(np.abs(one), np.abs(two), axis=None).statistic for one, two in pairs]
        )
    width = min(longest, max((one.n_volumes for one in trials.trials), default=1))
    sums = np.zeros((len(trials.classes), width, trials.store.data.n_regions))
    counts = np.zeros(sums.shape[:2])
    for label, one in zip(taken.labels, found.values, strict=True):
        sums[label, : len(one)] += one
        counts[label, : len(one)] += 1
    return RelevanceSums(sums, counts, float(found.gaps.max(initial=0)), correlations)


def add_relevance(parts: Sequence[RelevanceSums]) -> RelevanceSums:
    """Add up what was found in several folds."""
    return RelevanceSums(
        np.sum([one.sums for one in parts], axis=0),
        np.sum([one.counts for one in parts], axis=0),
        max(one.gap for one in parts),
        {
            name: np.concatenate([one.correlations[name] for one in parts])
            for name in (HEADS, EVERYTHING)
        },
    )


def write_relevance(trials: TrialSet, found: RelevanceSums, folder: Path) -> None:
    """Write ``relevance.tsv``, by class, region and volume, and ``relevance_check.tsv``."""
    known = found.counts > 0
    # over all trials of a class, also shorter ones: only so do means add up to the logit's
    means = found.sums / np.maximum(found.counts[:, :1, None], 1)
    label, volume = np.nonzero(known)
    regions = _list_regions(trials)
    write_columns(
        folder / "relevance.tsv", RegionRelevance,
        {
            "label": np.repeat(np.array(trials.classes)[label], len(regions)),
            "region": np.tile(np.array(regions), len(label)),
            "volume": np.repeat(volume, len(regions)),
            "relevance": means[known].ravel(),
        },
        description="Integrated gradients of the logit of each class, mean over its trials of "
        "people held out",
        facts={
            "Completeness": found.gap,
            "CompletenessTolerance": TOLERANCE,
            "NumberOfTrials": dict(
                zip(trials.classes, found.counts[:, 0].astype(int).tolist(), strict=True)
            ),
        },
    )  # fmt: skip
    checks = [
        WeightsCheck(name, float(np.nanmean(own))) for name, own in found.correlations.items()
    ]
    write_checks(checks, folder)


def _list_regions(trials: TrialSet) -> tuple[str, ...]:
    """Names of the regions, or their numbers."""
    data = trials.store.data
    return data.regions or tuple(str(k + 1) for k in range(data.n_regions))
