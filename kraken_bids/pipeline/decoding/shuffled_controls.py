"""Networks trained on shuffled labels, one by one, beside the binomial interval of chance."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from kraken_bids.io.records import write_records
from kraken_bids.models.decoding_records import ALL_FOLDS, ALL_REPEATS, ShuffledControl
from kraken_bids.scores.trial_scores import (
    Counts,
    add_confusions,
    compute_accuracy,
    find_chance_agreement,
    find_guessing_range,
)

Shuffle = tuple[int, int, Counts]
"""Repeat, fold, and confusions by person."""


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
        yield _judge(whole / n_repeats, ALL_REPEATS, ALL_FOLDS)
    for repeat in sorted({repeat for repeat, _, _ in shuffles}):
        own = [one for one in shuffles if one[0] == repeat]
        yield _judge(add_confusions([counts for _, _, counts in own]), str(repeat), ALL_FOLDS)
        for _, fold, counts in own:
            yield _judge(add_confusions([counts]), str(repeat), str(fold))


def _judge(counts: Counts, repeat: str, fold: str) -> ShuffledControl:
    chance, n_people, n_trials = find_chance_agreement(counts), len(counts), round(counts.sum())
    by_people, by_trials = (find_guessing_range(chance, n) for n in (n_people, n_trials))
    return ShuffledControl(
        repeat, fold, compute_accuracy(counts), chance,
        n_people, by_people.low, by_people.high, n_trials, by_trials.low, by_trials.high,
    )  # fmt: skip
