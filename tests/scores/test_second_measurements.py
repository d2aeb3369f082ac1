"""Ceilings against plain loops over two measurements of everyone."""

import numpy as np
import pytest

from kraken_bids.scores.inner_products import multiply_rows
from kraken_bids.scores.second_measurements import (
    UNKNOWN,
    compare_twice,
    pair_sessions,
    predict_whole,
    score_ceiling,
)
from kraken_bids.scores.significance import Score
from tests.plain_metrics import compute_metrics


def test_a_ceiling_is_the_metric_of_the_second_measurement(rng: np.random.Generator) -> None:
    """As a prediction of the first, around the mean of both; whoever has one only is left out."""
    people = ["a", "b", "a", "c", "d", "b", "e", "c", "f", "f", "g", "g"]
    truth = {name: rng.normal(size=200) for name in "abcdefg"}
    x = np.stack([truth[name] for name in people]) + rng.normal(size=(12, 200)) + 3
    pairs = pair_sessions(people)

    found = score_ceiling(compare_twice(*multiply_rows(x), pairs), "sessions")

    assert pairs == [(0, 2), (1, 5), (3, 7), (8, 9), (10, 11)]
    first, second = (x[list(rows)] for rows in zip(*pairs, strict=True))
    mean = (first.mean(axis=0) + second.mean(axis=0)) / 2
    expected = compute_metrics(first, second, mean=mean)
    for name, score in found.scores.items():
        assert score.value == pytest.approx(expected[name])
        assert score.low <= score.value <= score.high
    assert found.n == 5


def test_halves_are_carried_over_to_whole_series() -> None:
    """What two halves of a series correlate by tells what two whole ones would."""
    rng = np.random.default_rng(3)
    truth = rng.normal(size=(40, 4000))

    def measure(spread: float) -> np.ndarray:
        return truth + spread * rng.normal(size=truth.shape)

    halves, wholes = ([measure(s), measure(s)] for s in (1.4, 1.4 / np.sqrt(2)))
    pairs = [(k, k + 40) for k in range(40)]
    by_halves = score_ceiling(
        compare_twice(*multiply_rows(np.vstack(halves)), pairs), "halves", n_permutations=0
    )
    by_wholes = score_ceiling(
        compare_twice(*multiply_rows(np.vstack(wholes)), pairs), "sessions", n_permutations=0
    )

    value = by_halves.score("avgcorr_resid").value
    assert value == pytest.approx(by_wholes.score("avgcorr_resid").value, abs=0.01)
    assert predict_whole(0.5) == pytest.approx(2 / 3)


def test_few_people_measured_twice_say_nothing(rng: np.random.Generator) -> None:
    """Nor is there a share of an unknown ceiling."""
    x = rng.normal(size=(8, 30))

    found = score_ceiling(
        compare_twice(*multiply_rows(x), [(0, 1), (2, 3), (4, 5), (6, 7)]), "runs"
    )

    assert found is UNKNOWN
    assert np.isnan(found.share(Score(0.3)).value)


def test_the_share_of_the_ceiling_is_as_uncertain_as_both(rng: np.random.Generator) -> None:
    """Its interval is of the ratio of samples."""
    truth = rng.normal(size=(30, 100))
    x = np.vstack([truth + rng.normal(size=truth.shape) for _ in range(2)])
    found = score_ceiling(
        compare_twice(*multiply_rows(x), [(k, k + 30) for k in range(30)]), "sessions"
    )
    reached = Score.of(0.1, rng.normal(0.1, 0.02, 1000))

    share = found.share(reached)

    ceiling = found.score("avgcorr_resid")
    assert share.value == pytest.approx(0.1 / ceiling.value)
    expected = np.percentile(reached.samples / ceiling.samples, (2.5, 97.5))
    assert (share.low, share.high) == pytest.approx(tuple(expected))
