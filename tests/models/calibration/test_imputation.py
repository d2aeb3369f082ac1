"""Draws of connectomes that were not measured, against the population that people come from."""

import numpy as np
import pytest
from numpy.typing import NDArray

from kraken_bids.exceptions import ConnectomeError
from kraken_bids.models.calibration.calibration import fit_calibration
from kraken_bids.models.calibration.edge_slopes import sum_folds, sum_groups
from kraken_bids.models.calibration.imputation import ROWS, Imputer
from kraken_bids.models.splits import deal_folds

Floats = NDArray[np.float64]
N_EDGES = 40


class People:
    """Edges that follow from a prediction, a covariate, two hidden factors and noise."""

    def __init__(self, n: int, seed: int = 0) -> None:
        rng = np.random.default_rng(0)
        self.slope, self.mean = rng.uniform(0.4, 0.8, N_EDGES), rng.normal(size=N_EDGES)
        self.effect = 0.5 * rng.normal(size=N_EDGES)
        self.factors = 0.8 * rng.normal(size=(2, N_EDGES))
        self.noise = rng.uniform(0.3, 0.6, N_EDGES)
        rng = np.random.default_rng([1, seed])
        self.predicted = (3 + rng.normal(size=(n, N_EDGES))).astype(np.float32)
        self.age = rng.normal(size=n)
        expected = self.mean + self.slope * (self.predicted - 3) + np.outer(self.age, self.effect)
        left = rng.normal(size=(n, 2)) @ self.factors + rng.normal(size=(n, N_EDGES)) * self.noise
        self.measured = (expected + left).astype(np.float32)
        self.design = np.column_stack([np.ones(n), self.age])

    def imputer(self, *, seed: int = 0, families: list[str] | None = None) -> Imputer:
        """Imputer of these people, with a calibration of ten folds."""
        names = families or [str(k) for k in range(len(self.age))]
        folds = deal_folds(len(names), 10, families=names)
        fitted = fit_calibration(self.measured, self.predicted, folds=folds)
        return Imputer(self.measured, self.predicted, fitted, self.design, names, seed)


def collect(imputer: Imputer, predicted: Floats, design: Floats, n_draws: int) -> Floats:
    """Draws ``[n_draws, n_lacking, n_edges]``."""
    parts: list[list[Floats]] = [[] for _ in range(n_draws)]
    for number, rows in imputer.draw(predicted, design, n_draws):
        parts[number].append(rows)
    return np.stack([np.concatenate(rows) for rows in parts])


def test_draws_scatter_as_people_do_around_what_is_expected_of_them() -> None:
    """Mean and covariance of many draws of people alike are those of the population."""
    people = People(600)
    imputer = people.imputer()
    assert imputer.n_factors == 2
    predicted, design = np.full((24, N_EDGES), 3.5), np.ones((24, 2))
    draws = collect(imputer, predicted, design, 50).reshape(-1, N_EDGES).astype(np.float64)
    expected = people.mean + 0.5 * people.slope + people.effect
    np.testing.assert_allclose(draws.mean(axis=0), expected, atol=0.25)
    covariance = people.factors.T @ people.factors + np.diag(people.noise**2)
    found = np.cov(draws, rowvar=False)
    assert np.corrcoef(found.ravel(), covariance.ravel())[0, 1] > 0.97
    assert np.trace(found) == pytest.approx(np.trace(covariance), rel=0.06)


def test_few_people_leave_more_open_than_many() -> None:
    """Draws of the mean, factors and noise averaged out, differ by what the sample leaves open."""
    spread = {}
    for n in (25, 400):
        imputer = People(n).imputer()
        fits = [fit for first in (0, 10) for fit in imputer._fit(range(first, first + 10))]
        means = np.stack([fit.mean_measured + fit.effects[0] for fit in fits])
        spread[n] = means.var(axis=0, ddof=1).mean()
        expected = People(n).measured.var(axis=0).mean() / n
        assert spread[n] == pytest.approx(expected, rel=0.5)
    assert spread[25] > 8 * spread[400]


def test_a_draw_is_the_same_whatever_else_is_drawn() -> None:
    """Seeded draw by draw; another seed gives another one."""
    people, others = People(40), People(ROWS + 3, seed=1)
    predicted, design = others.predicted.astype(np.float64), others.design
    few, many = (collect(people.imputer(), predicted, design, n) for n in (3, 12))
    np.testing.assert_array_equal(few, many[:3])
    assert np.isfinite(many).all()
    other = collect(people.imputer(seed=1), predicted, design, 3)
    assert (few != other).mean() > 0.99


def test_weights_are_people_repeated() -> None:
    """Sums of a bootstrap sample are those of its people, each as often as drawn."""
    people = People(30)
    counts = np.random.default_rng(0).multinomial(30, np.ones(30) / 30)
    rows = np.repeat(np.arange(30), counts)
    weighted = sum_groups(people.measured, people.predicted, counts[None].astype(float))
    repeated = sum_folds(people.measured[rows], people.predicted[rows], np.zeros(30, np.intp))
    one, other = weighted.fit_slopes(), repeated.fit_slopes()
    np.testing.assert_allclose(one.slope, other.slope, rtol=1e-6)
    np.testing.assert_allclose(
        one.mean_measured + weighted.center[1], other.mean_measured + repeated.center[1], rtol=1e-6
    )


def test_families_are_sampled_whole() -> None:
    """Every member as often as the others."""
    people = People(40)
    imputer = people.imputer(families=[f"f{k // 2}" for k in range(40)])
    for number in range(5):
        counts = imputer._sample(number).reshape(-1, 2)
        np.testing.assert_array_equal(counts[:, 0], counts[:, 1])
        assert counts[:, 0].sum() == 20


def test_the_factors_and_noise_of_a_fit_are_the_weighted_residuals() -> None:
    """Their variances add up to the sample's, and factors are its principal axes."""
    people = People(60)
    imputer = people.imputer()
    weights = imputer._sample(3)
    factors, noise = imputer._find_factors(weights)
    rows = np.repeat(np.arange(60), weights.astype(int))
    sample = imputer.residuals[rows].astype(np.float64)
    variance = (sample**2).mean(axis=0)
    np.testing.assert_allclose((factors**2).sum(axis=0) + noise**2, variance, rtol=1e-6)
    _, sizes, axes = np.linalg.svd(sample, full_matrices=False)
    expected = (axes[:2].T * sizes[:2] ** 2) @ axes[:2] / len(sample)
    np.testing.assert_allclose(factors.T @ factors, expected, atol=1e-6)


def test_who_lacks_a_covariate_has_no_part_in_the_residuals() -> None:
    """And who lacks it among those drawn is drawn as if at its mean."""
    people = People(60)
    people.design[:7, 1] = np.nan
    imputer = people.imputer()
    assert not imputer.residuals[:7].any()
    predicted = np.full((1, N_EDGES), 3.0)
    unknown = collect(imputer, predicted, np.array([[1.0, np.nan]]), 2)
    np.testing.assert_array_equal(unknown, collect(imputer, predicted, np.array([[1.0, 0]]), 2))


def test_the_share_that_is_explained_is_that_of_the_population() -> None:
    """Of prediction and covariate together."""
    people = People(800)
    explained = people.slope**2 + people.effect**2
    left = (people.factors**2).sum(axis=0) + people.noise**2
    expected = explained.sum() / (explained + left).sum()
    assert people.imputer().explained == pytest.approx(expected, abs=0.03)


def test_the_share_that_covariates_alone_explain_is_adjusted_for_their_number() -> None:
    """Both variances are of the population: few people take nothing from the share."""
    people = People(24)
    people.predicted[:] = 3
    fitted = people.design @ np.linalg.lstsq(people.design, people.measured, rcond=None)[0]
    left = np.sum((people.measured - fitted) ** 2) / (24 - 2)
    whole = np.sum((people.measured - people.measured.mean(axis=0)) ** 2) / (24 - 1)
    assert people.imputer().explained == pytest.approx(1 - left / whole, abs=1e-5)


def test_too_many_covariates_for_so_few_people_are_refused() -> None:
    """With how many it takes."""
    people = People(20)
    people.design = np.column_stack([np.ones(20), np.random.default_rng(0).normal(size=(20, 11))])
    with pytest.raises(ConnectomeError, match=r"at least 22 people .* and all 11 covariates"):
        people.imputer()
