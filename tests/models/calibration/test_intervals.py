"""Intervals hold what they promise, and their ranks are exact."""

import math
from fractions import Fraction
from itertools import permutations

import numpy as np
import pytest

from kraken_bids.models.calibration.calibration import fit_calibration
from kraken_bids.models.calibration.difficulty import describe_subjects, fit_difficulty
from kraken_bids.models.calibration.intervals import (
    bound_errors,
    count_needed,
    fit_intervals,
    measure_coverage,
    span_predictions,
)
from kraken_bids.models.splits import deal_folds


def make_people(n, *, share, seed, n_edges=300):
    """People whose errors differ in size, and what tells so."""
    rng = np.random.default_rng(seed)
    signal = rng.normal(size=(n, 6)) @ rng.normal(size=(6, n_edges)) / np.sqrt(6)
    size = np.exp(0.4 * rng.normal(size=n))
    error = size[:, None] * rng.standard_t(5, size=(n, n_edges))
    measured = 2 + rng.uniform(0.1, 2, n_edges) * (
        np.sqrt(share) * signal + np.sqrt(1 - share) * error
    )
    features = np.stack([rng.normal(size=n), np.log(size) + 0.2 * rng.normal(size=n)], axis=1)
    predicted = 0.5 * signal + 0.1 * rng.normal(size=(n, n_edges))
    return measured.astype(np.float32), predicted.astype(np.float32), features


def rank_of(n: int, coverage: float) -> int:
    """Rank, from the smallest on, of the error that intervals reach to, by the definition."""
    return math.ceil((n + 1) * Fraction(str(coverage)))


@pytest.mark.parametrize("coverage", [0.5, 0.8, 0.9, 0.95])
@pytest.mark.parametrize("n", [1, 2, 4, 5])
def test_the_rank_is_the_smallest_that_keeps_the_promise_in_every_order(n, coverage):
    """Of all orders of n errors and a new one, so many have the new one within the bound."""
    rank = rank_of(n, coverage)
    orders = list(permutations(range(n + 1)))

    def share_within(k):
        return Fraction(sum(o[-1] <= sorted(o[:-1])[k - 1] for o in orders), len(orders))

    if rank > n:
        assert share_within(n) < Fraction(str(coverage))
        assert np.isinf(bound_errors(np.ones((n, 2)), coverage)).all()
    else:
        assert share_within(rank) >= Fraction(str(coverage))
        assert rank == 1 or share_within(rank - 1) < Fraction(str(coverage))


@pytest.mark.parametrize("coverage", [0.5, 0.8, 0.9, 0.98])
def test_a_person_counts_once_however_many_sessions(coverage):
    """The bound is where shares of people, written out in fractions, reach the promise."""
    rng = np.random.default_rng(3)
    people = np.repeat(list("abcdefghijkl"), [1, 2, 3, 1, 5, 2, 1, 1, 4, 3, 2, 1])
    people = rng.permutation(people).tolist()
    errors = rng.gamma(2, size=(len(people), 40)).astype(np.float32)
    shares = [Fraction(1, people.count(who)) for who in people]
    found = bound_errors(errors, coverage, people)
    for own, bound in zip(errors.T, found, strict=True):
        within = [
            e
            for e in sorted(own)
            if sum(share for share, error in zip(shares, own, strict=True) if error <= e)
            >= 13 * Fraction(str(coverage))
        ]
        assert bound == (within[0] if within else np.inf)


def test_copies_of_sessions_change_no_bound():
    """Whoever is there twice is no second person."""
    errors = np.random.default_rng(4).gamma(2, size=(30, 20)).astype(np.float32)
    twice = np.repeat(errors, 2, axis=0)
    whose = np.repeat(np.arange(30), 2).tolist()
    np.testing.assert_array_equal(bound_errors(twice, 0.9, whose), bound_errors(errors, 0.9))
    assert np.isinf(bound_errors(twice, 0.98, whose)).all()
    assert np.isfinite(bound_errors(twice, 0.98)).all()


def test_ranks_are_exact_where_the_product_is_whole():
    assert [rank_of(n, 0.9) for n in (9, 19, 20, 29, 99)] == [9, 18, 19, 27, 90]
    assert 0.9 * 30 == 27.0
    assert math.ceil(0.7 * 30) == 21
    assert [rank_of(n, 0.07) for n in (99, 199)] == [7, 14]  # 0.07 * 100 is above 7 in binary
    assert [count_needed(c) for c in (0.5, 0.9, 0.95, 0.99)] == [1, 9, 19, 99]
    for coverage in (0.5, 0.8, 0.9, 0.95, 0.99):
        needed = count_needed(coverage)
        assert rank_of(needed, coverage) <= needed
        assert rank_of(needed - 1, coverage) > needed - 1


def test_bounds_are_those_of_sorted_errors():
    errors = np.abs(np.random.default_rng(2).normal(size=(37, 11))).astype(np.float32)
    expected = np.sort(errors, axis=0)[rank_of(37, 0.9) - 1]
    np.testing.assert_array_equal(bound_errors(errors, 0.9), expected)


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5])
@pytest.mark.parametrize("n", [20, 60])
def test_new_people_lie_within_as_often_as_promised(n, share):
    """Over cohorts; errors of one person go together, so cohorts are the unit."""
    reached, expected = [], []
    for seed in range(12):
        measured, predicted, features = make_people(n + 60, share=share, seed=seed)
        y, x, about = measured[:n], predicted[:n], features[:n]
        fitted = fit_calibration(y, x, folds=deal_folds(n, 10, seed=seed))
        intervals = fit_intervals(y, fitted, about, coverage=0.9)
        low, high = span_predictions(predicted[n:], fitted.without)
        reach = intervals.judge(features[n:])[:, None] * intervals.error
        reached.append(((measured[n:] >= low - reach) & (measured[n:] <= high + reach)).mean())
        covered, judged = measure_coverage(y, x, fitted, about, coverage=0.9)
        assert covered.shape == y[:, judged].shape
        expected.append(covered.mean())
    error = np.std(reached) / np.sqrt(12)
    assert np.mean(reached) > 0.9 - 3 * error
    assert np.mean(reached) < 0.97
    assert np.mean(expected) == pytest.approx(np.mean(reached), abs=0.05)


def test_they_hold_the_cv_plus_interval():
    measured, predicted, features = make_people(41, share=0.3, seed=5, n_edges=50)
    y, x = measured[:40], predicted[:40]
    fitted = fit_calibration(y, x, folds=deal_folds(40, 8))
    intervals = fit_intervals(y, fitted, 0 * features[:40], coverage=0.9)
    assert (intervals.judge(features) == 1).all()
    low, high = span_predictions(predicted[40], fitted.without)
    rank, errors = rank_of(40, 0.9), np.abs(y - fitted.held_out)
    own = np.stack([fitted.without[fold].apply(predicted[40]) for fold in fitted.folds])
    lowest = np.sort(own - errors, axis=0)[40 - rank]
    highest = np.sort(own + errors, axis=0)[rank - 1]
    assert (low - intervals.error <= lowest + 1e-5).all()
    assert (high + intervals.error >= highest - 1e-5).all()


def test_intervals_are_wider_where_errors_are_known_to_be_larger():
    measured, predicted, features = make_people(80, share=0.2, seed=1)
    fitted = fit_calibration(measured, predicted, folds=deal_folds(80, 10))
    intervals = fit_intervals(measured, fitted, features, coverage=0.9)
    unknown = np.full((1, 2), np.nan)
    hard, usual, easy = (
        intervals.judge(np.array(row, ndmin=2))[0] for row in ([0, 1], unknown, [0, -1])
    )
    assert usual == 1
    assert 0.5 <= easy < 0.8
    assert 1.25 < hard <= 2
    assert intervals.judge(np.array([[0, 9.0], [0, -9.0]])).tolist() == [2, 0.5]


def test_features_that_predict_nothing_change_little():
    rng = np.random.default_rng(0)
    weights = [
        np.abs(fit_difficulty(np.exp(rng.normal(size=30)), rng.normal(size=(30, 2))).weights)
        for _ in range(50)
    ]
    assert np.median(weights) == 0
    same = fit_difficulty(np.ones(30), rng.normal(size=(30, 2)))
    assert same.weights.tolist() == [0, 0]


def test_people_are_described_by_how_far_they_are():
    latents = np.array([[0, 0], [3, 4]], np.float32)
    found = describe_subjects(latents, np.array([0, 0]), np.array([np.nan, 0.5]))
    np.testing.assert_allclose(found[1], [np.log(5), np.log(0.5)])
    assert np.isfinite(found[0, 0])
    assert np.isnan(found[0, 1])
