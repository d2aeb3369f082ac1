"""What features say of sites and numbers, in people held out."""

import numpy as np
import pytest
from sklearn.linear_model import LinearRegression, Ridge
from sklearn.metrics import balanced_accuracy_score

from kraken_bids.scores.held_out_ridge import (
    deal_subjects,
    fit_folds,
    score_labels,
    score_numbers,
    share_of_slope,
)

N = 60
PEOPLE = [f"p{k}" for k in range(N)]
SITES = ["a"] * 40 + ["b"] * 20


@pytest.fixture
def features(rng: np.random.Generator) -> np.ndarray:
    """Twelve numbers of sixty people, who lie elsewhere at the second site."""
    moved = np.array([site == "b" for site in SITES])[:, None] * np.linspace(0, 1.5, 12)
    return rng.standard_normal((N, 12)) + moved


def test_predictions_are_those_of_scikit_learn(features: np.ndarray) -> None:
    """Ridge on features that those fitted on have centred and scaled."""
    fold_of, target = deal_subjects(PEOPLE, SITES), features[:, 0] ** 2
    for fold in fit_folds(lambda _known: features, fold_of):
        own = features[fold.fitted]
        scaled = (features - own.mean(axis=0)) / own.std(axis=0)
        ridge = Ridge(alpha=float((scaled[fold.fitted] ** 2).sum() / len(own)))
        ridge.fit(scaled[fold.fitted], target[fold.fitted])
        center = target[fold.fitted].mean()
        found = fold.weights @ (target[fold.fitted] - center) + center
        np.testing.assert_allclose(found, ridge.predict(scaled[fold.held_out]), rtol=1e-8)


def test_sites_that_differ_are_told(features: np.ndarray) -> None:
    """As balanced accuracy by hand, far above what permutations reach."""
    fold_of = deal_subjects(PEOPLE, SITES)
    folds = fit_folds(lambda _known: features, fold_of)
    score = score_labels(folds, SITES, PEOPLE)
    is_b = np.array([site == "b" for site in SITES], float)
    told = np.empty(N, object)
    for fold in folds:
        share = is_b[fold.fitted].mean()
        b = fold.weights @ (is_b[fold.fitted] - share) / share
        a = fold.weights @ ((1 - is_b[fold.fitted]) - (1 - share)) / (1 - share)
        told[fold.held_out] = np.where(b > a, "b", "a")
    expected = balanced_accuracy_score(SITES, told.tolist())
    assert score.value == pytest.approx(expected)
    assert score.chance == 0.5
    assert score.value > score.high
    assert score.p == pytest.approx(1 / 501)


def test_noise_tells_no_site() -> None:
    """Of twenty cohorts of noise about as many lie below the middle of permutations as above."""
    scores = [
        score_labels(
            fit_folds(lambda _known, x=noise: x, deal_subjects(PEOPLE, SITES)), SITES, PEOPLE
        )
        for noise in np.random.default_rng(0).standard_normal((20, N, 12))
    ]
    assert 5 <= sum(one.p > 0.5 for one in scores) <= 15
    assert sum(one.p < 0.05 for one in scores) <= 4
    assert all(one.low < 0.5 < one.high for one in scores)


def test_a_number_that_features_hold_is_found(
    features: np.ndarray, rng: np.random.Generator
) -> None:
    """And one that they do not hold is not."""
    folds = fit_folds(lambda _known: features, deal_subjects(PEOPLE, SITES))
    own = features @ np.linspace(-1, 1, 12) + 0.1 * rng.standard_normal(N)
    found, other = (score_numbers(folds, v, PEOPLE) for v in (own, rng.standard_normal(N)))
    assert found.value > 0.8 > found.high
    assert other.p > 0.05


def test_sessions_of_a_person_are_held_out_together() -> None:
    """And every site is in every fold, as far as it has people."""
    people = [name for k in range(10) for name in (f"p{k}", f"p{k}")]
    fold_of = deal_subjects(people, ["a"] * 10 + ["b"] * 10)
    assert all(fold_of[2 * k] == fold_of[2 * k + 1] for k in range(10))
    assert all(len(set(fold_of[rows])) == 5 for rows in (slice(0, 10), slice(10, 20)))


def test_a_second_session_does_not_count_twice(features: np.ndarray) -> None:
    """Copies of the sessions of one person change no score of the other people's labels."""
    twice = [0, 0, 0, *range(1, N)]
    people = [PEOPLE[k] for k in twice]
    sites = [SITES[k] for k in twice]
    folds = fit_folds(lambda _known: features[twice], deal_subjects(people, sites))
    score = score_labels(folds, sites, people)
    told = score.value * 2 * np.array([40, 20]).prod()
    assert told == pytest.approx(round(told))  # shares of 40 and of 20 people


def test_rows_of_nan_take_no_part(features: np.ndarray) -> None:
    """Neither fitted on nor held out."""
    values = features.copy()
    values[[3, 50]] = np.nan
    folds = fit_folds(lambda _known: values, deal_subjects(PEOPLE, SITES))
    used = np.concatenate([np.concatenate([f.fitted, f.held_out]) for f in folds])
    assert not {3, 50} & set(used.tolist())


@pytest.mark.parametrize(("kept", "expected"), [(1.0, 1.0), (0.0, 0.0)])
def test_share_of_a_slope(rng: np.random.Generator, kept: float, expected: float) -> None:
    """1 where sites keep what their ages add, 0 where every site was given the same mean."""
    ages = np.concatenate([rng.normal(30, 5, 30), rng.normal(60, 5, 30)])
    site = np.repeat([0.0, 1.0], 30)
    means = np.where(site == 0, ages[:30].mean(), ages[30:].mean())
    slope = rng.standard_normal(8)
    features = np.outer(ages - (1 - kept) * means, slope)
    names = [str(one) for one in site]
    share = share_of_slope(features, ages, others=np.zeros((60, 0)), sites=names, subjects=PEOPLE)
    if kept:
        line = LinearRegression().fit(ages[:, None], features)
        np.testing.assert_allclose(line.coef_[:, 0], slope)
        assert share == pytest.approx(1)
    else:
        within = 30 * (ages[:30].var() + ages[30:].var())
        assert share == pytest.approx(within / (60 * ages.var()))
        assert share < 0.2
