"""Tables of a decoding: predictions, confusion, scores, controls."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from kraken_bids.io.records import write_records
from kraken_bids.models.decoding_records import (
    ALL_FOLDS,
    ALL_REPEATS,
    CHANCE,
    LINEAR,
    SHUFFLED,
    ConfusionCount,
    DecodedTrial,
    DecodingScore,
    ShuffledControl,
    WeightsCheck,
)
from kraken_bids.pipeline.decoding.decoding_folder import Results
from kraken_bids.pipeline.decoding.held_out_trials import Decoded, LabelledTrials
from kraken_bids.pipeline.decoding.trial_folds import HeldOut
from kraken_bids.scores.trial_scores import (
    Counts,
    Interval,
    add_confusions,
    compute_accuracy,
    count_confusions,
    estimate_accuracy,
    find_chance_agreement,
    find_guessing_range,
    spread_accuracy,
)

Shuffle = tuple[int, int, Counts]
"""Repeat, fold, and confusions by subject."""
NOT_KNOWN = Interval(float("nan"), float("nan"), float("nan"))


def write_decoded(
    trials: LabelledTrials, results: Results, folder: Path, *, seed: int
) -> list[DecodingScore]:
    """Write all tables; returns the rows of scores of all repeats together, by method."""
    write_predictions(trials, results, folder)
    write_confusion(trials, results, folder)
    shuffled = results.get(SHUFFLED, ())
    write_shuffles(
        [(part.repeat, part.fold, _count(trials, part, found)) for part, found in shuffled], folder
    )
    return write_scores(trials, results, folder, seed=seed)


def write_predictions(trials: LabelledTrials, results: Results, folder: Path) -> None:
    """Write ``predictions.tsv``: every trial, as each method saw it when it was held out."""
    rows = [[one] for one in _list_predictions(trials, results)]
    write_records(
        folder / "predictions.tsv", [DecodedTrial], rows,
        description="Trials of people who were held out, decoded",
    )  # fmt: skip


def write_confusion(trials: LabelledTrials, results: Results, folder: Path) -> None:
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
    trials: LabelledTrials, results: Results, folder: Path, *, seed: int
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


def write_shuffles(shuffles: Sequence[Shuffle], folder: Path) -> list[ShuffledControl]:
    """Write ``shuffles.tsv``: how far each shuffle is from chance; returns its rows.

    Parameters
    ----------
    shuffles : sequence of tuple
        Repeat, fold, and confusions ``[n_people, n_classes, n_classes]`` of everyone held out, as
        :func:`~kraken_bids.scores.trial_scores.count_confusions` counts them.
    """
    rows = list(list_shuffles(shuffles))
    single = [row for row in rows if row.split != ALL_FOLDS]
    write_records(
        folder / "shuffles.tsv", [ShuffledControl], [[row] for row in rows],
        description="Networks trained on labels that were dealt out anew, beside as many guesses",
        facts={
            "Intervals": "95 % range of the binomial distribution: of one guess for each person "
            "(family), and of one for each trial, which is too narrow since trials of one person "
            "are no independent observations",
            "NumberOfShuffles": len(single),
            "WithinChanceByPeople": sum(row.is_chance_by_people for row in single),
            "WithinChanceByTrials": sum(row.is_chance_by_trials for row in single),
        },
    )  # fmt: skip
    return rows


def list_shuffles(shuffles: Sequence[Shuffle]) -> Iterator[ShuffledControl]:
    """Judge all repeats together, each repeat, and each shuffle by itself."""
    n_repeats = len({repeat for repeat, _, _ in shuffles})
    if n_repeats:
        whole = add_confusions([own for _, _, own in shuffles])
        yield _judge_shuffle(whole / n_repeats, ALL_REPEATS, ALL_FOLDS)
    for repeat in sorted({repeat for repeat, _, _ in shuffles}):
        own = [one for one in shuffles if one[0] == repeat]
        yield _judge_shuffle(
            add_confusions([counts for _, _, counts in own]), str(repeat), ALL_FOLDS
        )
        for _, fold, counts in own:
            yield _judge_shuffle(add_confusions([counts]), str(repeat), str(fold))


def _judge_shuffle(counts: Counts, repeat: str, fold: str) -> ShuffledControl:
    chance, n_people, n_trials = find_chance_agreement(counts), len(counts), round(counts.sum())
    by_people, by_trials = (find_guessing_range(chance, n) for n in (n_people, n_trials))
    return ShuffledControl(
        repeat, fold, compute_accuracy(counts), chance,
        n_people, by_people.low, by_people.high, n_trials, by_trials.low, by_trials.high,
    )  # fmt: skip


def write_checks(checks: Sequence[WeightsCheck], folder: Path) -> None:
    """Write ``relevance_check.tsv``."""
    write_records(
        folder / "relevance_check.tsv", [WeightsCheck], [[one] for one in checks],
        description="Whether relevance depends on what was learned",
    )  # fmt: skip


def _list_predictions(trials: LabelledTrials, results: Results) -> Iterator[DecodedTrial]:
    for method, own in results.items():
        for part, found in own:
            columns = (part.test.tolist(), found.predicted, found.probabilities)
            for row, predicted, probability in zip(*columns, strict=True):
                one = trials.trials[row]
                yield DecodedTrial(
                    method, part.repeat, part.fold, trials.subjects[row],
                    trials.runs[one.run].name, one.first, one.n_volumes, one.onset,
                    one.label, trials.classes[predicted],
                    float(probability) if np.isfinite(probability) else None,
                )  # fmt: skip


def _list_scores(
    trials: LabelledTrials, results: Results, *, seed: int
) -> Iterator[DecodingScore]:
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
                    add_confusions([counted[name][k][1] for k in chosen]) / share
                    for name in (method, LINEAR)
                )
                rows = {row for k in chosen for row in own[k][0].test.tolist()}
                yield _score(
                    method, counts, linear, seed=seed,
                    names=(str(repeat or ALL_REPEATS), str(fold or ALL_FOLDS)),
                    n_subjects=len({trials.subjects[row] for row in rows}),
                    by_fold=[own[k][1] for k in chosen],
                )  # fmt: skip


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


def _count(trials: LabelledTrials, part: HeldOut, found: Decoded) -> Counts:
    """Confusions of a fold, by family of the whole cohort."""
    names = sorted({*trials.families})
    own = np.array([trials.families[row] for row in part.test.tolist()])
    return count_confusions(
        trials.labels[part.test], found.predicted, np.searchsorted(names, own),
        n_people=len(names), n_classes=len(trials.classes),
    )  # fmt: skip
