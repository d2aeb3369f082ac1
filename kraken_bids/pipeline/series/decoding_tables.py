"""Tables of a decoding: predictions, confusion, scores, relevance."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from kraken_bids.io.records import write_columns, write_records
from kraken_bids.models.series.relevance import TOLERANCE
from kraken_bids.models.series.series_records import (
    ALL_REPEATS,
    CHANCE,
    LINEAR,
    SHUFFLED,
    ConfusionCount,
    DecodedTrial,
    DecodingScore,
    RegionRelevance,
    WeightsCheck,
)
from kraken_bids.pipeline.series.decoding_methods import Decoded, TrialSet
from kraken_bids.pipeline.series.relevance_maps import RelevanceSums
from kraken_bids.pipeline.series.trial_folds import HeldOut
from kraken_bids.scores.trial_scores import (
    Counts,
    Interval,
    count_confusions,
    estimate_accuracy,
    find_guessing_range,
    spread_accuracy,
)

Results = Mapping[str, Sequence[tuple[HeldOut, Decoded]]]
"""Of each method, what it took the trials of each fold for; the method in question first."""
NOT_KNOWN = Interval(float("nan"), float("nan"), float("nan"))
ALL_FOLDS = "all"


def write_predictions(trials: TrialSet, results: Results, folder: Path) -> None:
    """Write ``predictions.tsv``: every trial, as each method saw it when it was held out."""
    rows = [[one] for one in _list_predictions(trials, results)]
    write_records(
        folder / "predictions.tsv", [DecodedTrial], rows,
        description="Trials of people who were held out, decoded",
    )  # fmt: skip


def write_confusion(trials: TrialSet, results: Results, folder: Path) -> None:
    """Write ``confusion.tsv`` of the method in question, over all repeats."""
    method, own = next(iter(results.items()))
    total = np.sum([_count(trials, part, found) for part, found in own], axis=(0, 1))
    rows = [
        [ConfusionCount(label, other, int(total[i, j]))]
        for i, label in enumerate(trials.classes)
        for j, other in enumerate(trials.classes)
    ]
    write_records(
        folder / "confusion.tsv", [ConfusionCount], rows,
        description="How often one label was taken for another in people held out",
        facts={"Method": method},
    )  # fmt: skip


def write_scores(
    trials: TrialSet, results: Results, folder: Path, *, seed: int
) -> list[DecodingScore]:
    """Write ``scores.tsv``; returns the rows of all repeats together, by method."""
    rows = list(_list_scores(trials, results, seed=seed))
    write_records(
        folder / "scores.tsv", [DecodingScore], [[one] for one in rows],
        description="How well the trials of people held out are decoded",
        facts={
            "Intervals": "95 %, percentiles of 2000 samples of people (families) drawn whole; "
            "over few people they are too short",
        },
    )  # fmt: skip
    return [one for one in rows if one.repeat == ALL_REPEATS]


def write_relevance(trials: TrialSet, found: RelevanceSums, folder: Path) -> None:
    """Write ``relevance.tsv``, by class, region and volume, and ``relevance_check.tsv``."""
    known = found.counts > 0
    means = found.sums / np.maximum(found.counts, 1)[..., None]
    label, volume = np.nonzero(known)
    regions = list_regions(trials)
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
        [WeightsCheck(name, float(np.nanmean(values)))]
        for name, values in found.correlations.items()
    ]
    write_records(
        folder / "relevance_check.tsv", [WeightsCheck], checks,
        description="Whether relevance depends on what was learned",
    )  # fmt: skip


def list_regions(trials: TrialSet) -> tuple[str, ...]:
    """Names of the regions, or their numbers."""
    return trials.store.regions or tuple(str(k + 1) for k in range(trials.store.n_regions))


def _list_predictions(trials: TrialSet, results: Results) -> Iterator[DecodedTrial]:
    for method, own in results.items():
        for part, found in own:
            columns = (part.test.tolist(), found.predicted, found.probabilities)
            for row, predicted, probability in zip(*columns, strict=True):
                one = trials.trials[row]
                yield DecodedTrial(
                    method, part.repeat, part.fold, trials.people[row],
                    trials.store.runs[one.run].name, one.first, one.n_volumes, one.onset,
                    one.label, trials.classes[predicted],
                    float(probability) if np.isfinite(probability) else None,
                )  # fmt: skip


def _list_scores(trials: TrialSet, results: Results, *, seed: int) -> Iterator[DecodingScore]:
    counted = {
        method: [(part, _count(trials, part, found)) for part, found in own]
        for method, own in results.items()
    }
    repeats = sorted({part.repeat for own in results.values() for part, _ in own})
    for method, own in counted.items():
        for repeat in (0, *repeats):
            for fold in (0, *sorted({part.fold for part, _ in own if repeat})):
                chosen = [
                    k
                    for k, (part, _) in enumerate(own)
                    if repeat in {0, part.repeat} and fold in {0, part.fold}
                ]
                share = 1 if repeat else len(repeats)
                counts, linear = (
                    _add([counted[name][k][1] for k in chosen]) / share
                    for name in (method, LINEAR)
                )
                rows = {row for k in chosen for row in own[k][0].test.tolist()}
                yield _score(
                    method, counts, linear, seed=seed,
                    names=(str(repeat or ALL_REPEATS), str(fold or ALL_FOLDS)),
                    n_subjects=len({trials.people[row] for row in rows}),
                    by_fold=[own[k][1] for k in chosen],
                )  # fmt: skip


def _add(counted: Sequence[Counts]) -> Counts:
    """Add up the confusions of folds, of the families that they are of."""
    total = np.sum(counted, axis=0)
    return np.asarray(total[total.any(axis=(1, 2))])


def _score(  # noqa: PLR0913 - all that a row holds
    method: str,
    counts: Counts,
    linear: Counts,
    *,
    names: tuple[str, str],
    n_subjects: int,
    by_fold: Sequence[Counts],
    seed: int,
) -> DecodingScore:
    n_trials = round(counts.sum())
    accuracy, balanced = (
        estimate_accuracy(counts, balanced=one, seed=seed) for one in (False, True)
    )
    gain = NOT_KNOWN
    if method == CHANCE:
        accuracy, balanced = (
            find_guessing_range(one.value, n_trials) for one in (accuracy, balanced)
        )
    elif method == SHUFFLED:
        accuracy, balanced = (
            spread_accuracy(by_fold, whole, balanced=one)
            for one, whole in ((False, accuracy), (True, balanced))
        )
    elif method != LINEAR:
        gain = estimate_accuracy(counts, over=linear, balanced=True, seed=seed)
    known = [number if np.isfinite(number) else None for number in vars(gain).values()]
    return DecodingScore(
        method, *names, accuracy.value, accuracy.low, accuracy.high,
        balanced.value, balanced.low, balanced.high, n_trials, n_subjects, *known,
    )  # fmt: skip


def _count(trials: TrialSet, part: HeldOut, found: Decoded) -> Counts:
    """Confusions of a fold, by family of the whole cohort."""
    names = sorted({*trials.families})
    own = np.array([trials.families[row] for row in part.test.tolist()])
    return count_confusions(
        trials.labels[part.test], found.predicted, np.searchsorted(names, own),
        n_people=len(names), n_classes=len(trials.classes),
    )  # fmt: skip
