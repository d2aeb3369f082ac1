"""Accuracies against scikit-learn, and their intervals against samples drawn one by one."""

import numpy as np
import pytest
from scipy.stats import binom, sem, t
from sklearn.metrics import accuracy_score, balanced_accuracy_score

from kraken_bids.scores.trial_scores import (
    Interval,
    count_confusions,
    estimate_accuracy,
    find_guessing_range,
    spread_accuracy,
)


@pytest.fixture
def trials() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    people = np.repeat(np.arange(8), rng.integers(5, 20, 8))
    labels = rng.choice(3, len(people), p=[0.6, 0.3, 0.1])
    # some people are decoded well, others not
    is_right = rng.random(len(people)) < np.tile([0.1, 1], 4)[people]
    return labels, np.where(is_right, labels, rng.integers(0, 3, len(people))), people


def test_accuracies_are_those_of_scikit_learn(trials) -> None:
    labels, predicted, people = trials
    counts = count_confusions(labels, predicted, people, n_people=8, n_classes=3)

    plain, balanced = estimate_accuracy(counts), estimate_accuracy(counts, balanced=True)

    assert plain.value == pytest.approx(accuracy_score(labels, predicted))
    assert balanced.value == pytest.approx(balanced_accuracy_score(labels, predicted))
    assert plain.low < plain.value < plain.high


def test_the_interval_draws_people_with_all_their_trials(trials) -> None:
    """Wider than that of independent trials where people differ."""
    labels, predicted, people = trials
    counts = count_confusions(labels, predicted, people, n_people=8, n_classes=3)
    right = labels == predicted
    rng = np.random.default_rng(1)
    draws = []
    for _ in range(3000):
        drawn = rng.integers(0, 8, 8)
        draws.append(np.concatenate([right[people == one] for one in drawn]).mean())

    found = estimate_accuracy(counts)

    np.testing.assert_allclose(
        [found.low, found.high], np.percentile(draws, [2.5, 97.5]), atol=0.02
    )
    n = len(labels)
    independent = np.diff(binom.ppf([0.025, 0.975], n, found.value) / n)[0]
    assert found.high - found.low > independent


def test_a_gain_over_the_same_predictions_is_none(trials) -> None:
    labels, predicted, people = trials
    counts = count_confusions(labels, predicted, people, n_people=8, n_classes=3)
    best = count_confusions(labels, labels, people, n_people=8, n_classes=3)

    same, more = (estimate_accuracy(one, over=counts, balanced=True) for one in (counts, best))

    assert (same.value, same.low, same.high) == (0, 0, 0)
    assert more.value == pytest.approx(1 - balanced_accuracy_score(labels, predicted))
    assert more.low > 0


def test_one_person_has_no_interval() -> None:
    counts = count_confusions(*np.array([[0, 1], [0, 0], [0, 0]]), n_people=1, n_classes=2)

    found = estimate_accuracy(counts)

    assert found.value == 0.5
    assert np.isnan([found.low, found.high]).all()


def test_trainings_of_their_own_spread_by_student(trials) -> None:
    labels, predicted, people = trials
    parts = [people < 3, (people >= 3) & (people < 6), people >= 6]
    counts = [
        count_confusions(labels[one], predicted[one], people[one], n_people=8, n_classes=3)
        for one in parts
    ]
    values = [(labels == predicted)[one].mean() for one in parts]

    found = spread_accuracy(counts, Interval(np.mean(values), 0, 1))

    wanted = t.interval(0.95, 2, np.mean(values), sem(values))
    np.testing.assert_allclose((found.low, found.high), wanted)
    assert np.isnan(spread_accuracy(counts[:1], found).low)


def test_guesses_have_the_range_of_the_binomial() -> None:
    found = find_guessing_range(0.25, 200)

    assert (found.low * 200, found.high * 200) == (38, 62)
