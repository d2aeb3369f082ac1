"""Accuracies against scikit-learn, and their intervals against samples drawn one by one."""

import numpy as np
import pytest
from scipy.special import expit, logit
from scipy.stats import binom, sem, t
from sklearn.metrics import accuracy_score, balanced_accuracy_score

from kraken_bids.scores.trial_scores import (
    Interval,
    compute_accuracy,
    count_confusions,
    estimate_accuracy,
    find_chance_agreement,
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


def test_trainings_of_their_own_spread_by_student_on_log_odds(trials) -> None:
    labels, predicted, people = trials
    parts = [people < 3, (people >= 3) & (people < 6), people >= 6]
    counts = [
        count_confusions(labels[one], predicted[one], people[one], n_people=8, n_classes=3)
        for one in parts
    ]
    values = [(labels == predicted)[one].mean() for one in parts]
    mean = np.mean(values)

    found = spread_accuracy(counts, Interval(mean, 0, 1))

    scale = sem(values) / (mean * (1 - mean))
    wanted = expit(t.interval(0.95, 2, logit(mean), scale))
    np.testing.assert_allclose((found.low, found.high), wanted)
    assert np.isnan(spread_accuracy(counts[:1], found).low)


def test_two_shuffles_leave_most_open_and_ten_do_not() -> None:
    """Within 0 and 1, and as often around the truth as it says."""
    rng = np.random.default_rng(0)
    shares = {}
    for n_shuffles in (2, 10):
        right = rng.binomial(40, rng.beta(4, 4, (1000, n_shuffles)))
        found = [spread_accuracy(*count_shuffles(one)) for one in right]
        assert all(0 <= one.low <= one.value <= one.high <= 1 for one in found)
        shares[n_shuffles] = np.mean([one.low <= 0.5 <= one.high for one in found])
        width = np.mean([one.high - one.low for one in found])
        assert (width > 0.7) == (n_shuffles == 2)
    assert all(0.93 < share < 0.98 for share in shares.values()), shares


def count_shuffles(right: np.ndarray) -> tuple[list[np.ndarray], Interval]:
    """Confusions of one person with 40 trials for each shuffle, and all together."""
    counts = [np.array([[[one, 40.0 - one], [0, 0]]]) for one in right]
    return counts, Interval(float(right.mean() / 40), 0, 1)


def test_networks_that_say_one_thing_to_everybody_are_not_called_sure() -> None:
    """Half of both classes in each fold, yet not in both folds together."""
    first = np.array([[[10.0, 0], [6, 0]]])
    second = np.array([[[0, 6.0], [0, 10]]])
    whole = estimate_accuracy(first + second, balanced=True)

    found = spread_accuracy([first, second], whole, balanced=True)

    assert found.value == 0.625
    assert found.low < 0.5 < found.high


def test_chance_agreement_is_that_of_labels_dealt_out_anew() -> None:
    """The mean over many deals of predictions that stay as they are."""
    rng = np.random.default_rng(0)
    labels, predicted = rng.integers(0, 3, 60), np.minimum(rng.integers(0, 5, 60), 2)
    owners = np.arange(60) % 4
    counts = count_confusions(labels, predicted, owners, n_people=4, n_classes=3)
    dealt = [np.mean(rng.permutation(labels) == predicted) for _ in range(4000)]

    assert find_chance_agreement(counts) == pytest.approx(np.mean(dealt), abs=0.004)
    assert compute_accuracy(counts) == np.mean(labels == predicted)


def test_guesses_have_the_range_of_the_binomial() -> None:
    found = find_guessing_range(0.25, 200)

    assert (found.low * 200, found.high * 200) == (38, 62)
