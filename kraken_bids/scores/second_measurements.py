"""How alike two measurements of one subject are: the ceiling of what a prediction can reach."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from kraken_bids.scores.inner_products import Center, Products, Rows, center_on
from kraken_bids.scores.resampling import Kinship
from kraken_bids.scores.significance import (
    Comparison,
    Score,
    compare_products,
    score_comparison,
)

BASES = {
    "sessions": "two sessions of a person",
    "runs": "two runs of a session, each with a connectome of its own",
    "halves": "halves of the cleaned series of a session; correlations are carried over to whole "
    "series (Spearman and Brown)",
    "given": "a second measurement that was given",
    "unknown": "nobody was measured twice",
}
"""What a ceiling rests on."""
CEILINGS = ("avgcorr_resid", "avgrank", "top1acc")
MIN_TWICE = 5
"""Fewer subjects measured twice say nothing of the ceiling."""
SEED_OFFSET = 1
"""Ceilings are drawn apart from the predictions that they are compared with."""


@dataclass(frozen=True)
class Ceiling:
    """What a second measurement of the same subject reaches as a prediction of the first."""

    basis: str = "unknown"
    scores: Mapping[str, Score] = field(default_factory=dict)
    """Of each of :data:`CEILINGS`."""
    n: int = 0
    """Subjects who were measured twice."""

    def score(self, name: str) -> Score:
        """One of the scores; NaN where it is unknown."""
        return self.scores.get(name, Score(float("nan")))

    def share(self, reached: Score) -> Score:
        """Share of the ceiling's demeaned correlation that a prediction reaches."""
        ceiling = self.score("avgcorr_resid")
        if not ceiling.value > 0:
            return Score(float("nan"))
        n = min(len(reached.samples), len(ceiling.samples))
        with np.errstate(divide="ignore", invalid="ignore"):
            samples = reached.samples[:n] / ceiling.samples[:n]
        return Score.of(reached.value / ceiling.value, np.asarray(samples))


UNKNOWN = Ceiling()


def compare_twice(
    center: Center,
    rows: Rows,
    pairs: Sequence[tuple[int, int]],
    *,
    families: Sequence[object] | None = None,
) -> Comparison:
    """Compare second measurements with the first, as if they were predictions.

    Parameters
    ----------
    rows : Rows
        Of measured connectomes.
    pairs : sequence of tuple of two int
        First and second measurement of each subject, as rows.
    families : sequence, optional
        Family of each of the pairs.
    """
    n = len(pairs)
    kept = [row for pair in pairs for row in pair]
    middle, both = center_on(center, rows, kept)
    first, second = np.arange(0, 2 * n, 2), np.arange(1, 2 * n, 2)
    products = Products(
        middle, both.take(first), both.take(second), both.gram[np.ix_(first, second)]
    )
    return compare_products(products, kinship=Kinship.of(range(n), families))


def score_ceiling(
    comparison: Comparison,
    basis: str,
    *,
    n_permutations: int = 1000,
    n_bootstraps: int = 1000,
    seed: int = 0,
) -> Ceiling:
    """Score second measurements; fewer than 5 subjects say nothing.

    Parameters
    ----------
    basis : str
        One of :data:`BASES`; correlations of halves are carried over to whole series.
    n_permutations, n_bootstraps, seed : int
        As of :func:`~kraken_bids.scores.significance.score_comparison`.
    """
    if comparison.n_subjects < MIN_TWICE:
        return UNKNOWN
    scores = score_comparison(
        comparison,
        n_permutations=n_permutations,
        n_bootstraps=n_bootstraps,
        seed=seed + SEED_OFFSET,
    )
    if basis == "halves":
        scores["avgcorr_resid"] = _lengthen(scores["avgcorr_resid"])
    return Ceiling(basis, {name: scores[name] for name in CEILINGS}, comparison.n_subjects)


def predict_whole(half: NDArray[np.floating] | float) -> NDArray[np.float64]:
    """Correlation of whole series by that of their halves: ``2r / (1 + r)``.

    Source: Spearman 1910 and Brown 1910, doi:10.1111/j.2044-8295.1910.tb00206.x,
    doi:10.1111/j.2044-8295.1910.tb00207.x.
    """
    r = np.asarray(half, np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(2 * r / (1 + r))


def _lengthen(half: Score) -> Score:
    whole = Score.of(float(predict_whole(half.value)), predict_whole(half.samples))
    return replace(whole, p=half.p)


def pair_sessions(people: Sequence[object]) -> list[tuple[int, int]]:
    """First two rows of everyone who has two or more.

    Parameters
    ----------
    people : sequence
        Whose session each row is.
    """
    rows: dict[object, list[int]] = {}
    for row, person in enumerate(people):
        rows.setdefault(person, []).append(row)
    return [(own[0], own[1]) for own in rows.values() if len(own) > 1]
