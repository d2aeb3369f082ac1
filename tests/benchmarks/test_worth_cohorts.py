"""The synthetic cohorts: what is said to be true of them is what a huge sample shows."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def cohorts(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Import the generator, which is no part of the package."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import worth_cohorts
    import worth_population

    return SimpleNamespace(**vars(worth_population) | vars(worth_cohorts))


@pytest.mark.parametrize("strength", ["none", "weak", "strong"])
def test_moments_gain_and_ceiling_are_those_of_a_huge_sample(cohorts: Any, strength: str) -> None:
    """Within what 20 000 people allow."""
    n = 20_000
    flavors = cohorts.make_flavors((8,))
    population = cohorts.make_population(strength, flavors=flavors, seed=3)
    cohort = cohorts.make_cohort(strength, n_subjects=n, seed=3, population=population)
    for target in flavors:
        truth = population.truth(target)
        assert population.ceiling(target) == pytest.approx(0.49, abs=1e-9)
        measured = cohort.measured[target].astype(np.float64)
        predicted = cohort.predicted[cohorts.SOURCE_OF[target.group], target].astype(np.float64)
        y, p = measured - measured.mean(axis=0), predicted - predicted.mean(axis=0)
        np.testing.assert_allclose((y * y).mean(axis=0), truth.variance_measured, rtol=0.06)
        np.testing.assert_allclose((p * p).mean(axis=0), truth.variance_predicted, rtol=0.06)
        np.testing.assert_allclose((y * p).mean(axis=0), truth.covariance, atol=0.012)
        raw = 1 - ((measured - predicted) ** 2).sum() / (y * y).sum()
        assert raw == pytest.approx(truth.raw_gain, abs=0.005)
        line = truth.mean_measured + truth.slope * (predicted - truth.mean_predicted)
        best = 1 - ((measured - line) ** 2).sum() / (y * y).sum()
        assert best == pytest.approx(truth.best_gain, abs=0.005)
        again = cohort.retest[target] - cohort.retest[target].mean(axis=0)
        ratio = (y * again).sum() / np.sqrt((y * y).sum() * (again * again).sum())
        assert ratio == pytest.approx(0.49, abs=0.01)
        for name in ("age", "score"):
            x = cohort.covariates[name] - cohort.covariates[name].mean()
            slopes = x @ y / (x @ x)
            np.testing.assert_allclose(slopes, population.slope_on(target, name), atol=0.05)


@pytest.mark.parametrize(
    ("strength", "expected"), [("none", 0.0), ("weak", 0.09), ("strong", 0.4)]
)
def test_a_strength_is_the_correlation_without_the_mean(
    cohorts: Any, strength: str, expected: float
) -> None:
    """On average of the flavors, also of fifteen."""
    flavors = cohorts.make_flavors((8, 10, 12), fifteen=True)
    assert len(flavors) == 15
    population = cohorts.make_population(strength, flavors=flavors, seed=1)
    reached = [population.truth(flavor).residual_correlation for flavor in flavors]
    tolerance = 0.08 if strength == "none" else 1e-6
    assert np.mean(reached) == pytest.approx(expected, abs=tolerance)


def test_raw_predictions_are_worse_than_the_mean_at_the_strength_of_the_benchmark(
    cohorts: Any,
) -> None:
    """Raw correlation is high all the same: it is that of the mean."""
    cohort = cohorts.make_cohort("weak", n_subjects=60, seed=0)
    target = next(iter(cohort.measured))
    truth = cohort.population.truth(target)
    assert truth.raw_gain < -0.01
    assert 0 < truth.best_gain < 0.03
    pairs = zip(cohort.measured[target], cohort.predicted["fusionSC", target], strict=True)
    assert np.mean([np.corrcoef(y, p)[0, 1] for y, p in pairs]) > 0.75


def test_a_change_is_planted_in_one_region_of_some_people(cohorts: Any) -> None:
    """And nowhere else: predictions, structure and other people stay."""
    options = {"n_subjects": 12, "seed": 5, "siblings": True}
    without = cohorts.make_cohort("weak", **options)
    changed = cohorts.make_cohort("weak", **options, n_changed=3, change=2.0)
    function, structure = changed.measured
    edges = cohorts.edges_of_region(function, changed.changed_region)
    moved = changed.measured[function] - without.measured[function]
    size = 2.0 * np.sqrt(changed.population.truth(function).variance_measured[edges])
    np.testing.assert_allclose(moved[np.ix_(changed.changed, edges)], [size] * 3, atol=1e-5)
    assert np.count_nonzero(moved) == 3 * len(edges)
    np.testing.assert_array_equal(changed.measured[structure], without.measured[structure])
    assert changed.families[:4] == ["f0000", "f0000", "f0001", "f0001"]


def test_the_true_gain_of_calibrations_is_that_of_new_people(
    cohorts: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of 20 000 of the same population, each calibrated by every fold's calibration."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import worth_repeats

    population = cohorts.make_population("medium", flavors=cohorts.make_flavors((8,)), seed=2)
    target = next(iter(population.flavors))
    cohort = cohorts.make_cohort("medium", n_subjects=50, seed=2, population=population)
    fitted = worth_repeats.calibrate(cohort, target)
    others = cohorts.make_cohort("medium", n_subjects=20_000, seed=3, population=population)
    measured, predicted = worth_repeats.take(others, target)
    errors = [((measured - one.apply(predicted)) ** 2).sum() for one in fitted.without]
    means = [((measured - one.mean_measured) ** 2).sum() for one in fitted.without]
    true = worth_repeats.find_true_gain(cohort, target, fitted)
    assert true == pytest.approx(float(1 - sum(errors) / sum(means)), abs=0.004)
