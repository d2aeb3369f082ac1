"""Comparison of residuals with those of controls."""

import numpy as np
import pytest
from scipy.stats import false_discovery_control, kstest, norm, t

from kraken_bids.connectome.edge_groups import group_edges
from kraken_bids.exceptions import ConnectomeError
from kraken_bids.parcellations import make_parcellation
from kraken_bids.scores.covariates import Covariates, encode_covariates
from kraken_bids.scores.discordance import (
    ControlRegression,
    choose_controls,
    measure_residuals,
)

N = 25
REGIONS = make_parcellation("mine", [f"r{k}" for k in range(9)], description="")


def make_covariates(rng: np.random.Generator, n: int = N) -> Covariates:
    """Make up ages and sexes."""
    sexes = np.where(rng.random(n) < 0.5, "F", "M")
    return encode_covariates({"age": rng.uniform(20, 80, n).tolist(), "sex": sexes.tolist()}, n)


def test_statistics_are_externally_studentised_residuals(rng: np.random.Generator) -> None:
    """By the formula of regression diagnostics, from one fit of everyone with the hat matrix."""
    covariates = make_covariates(rng)
    values = rng.standard_normal((N, 6)) + 3 * covariates.values[:, [1]]
    design = covariates.values
    hat = design @ np.linalg.inv(design.T @ design) @ design.T
    errors = values - hat @ values
    leverage = np.diag(hat)[:, None]
    freedom = N - design.shape[1] - 1
    without = ((errors**2).sum(axis=0) - errors**2 / (1 - leverage)) / freedom
    expected = errors / np.sqrt(without * (1 - leverage))
    for row in range(N):
        others = [one for one in range(N) if one != row]
        found = ControlRegression(values, covariates, others).compare(row)
        np.testing.assert_allclose(found.statistic, expected[row], rtol=1e-10)
        np.testing.assert_allclose(found.p, 2 * t.sf(np.abs(expected[row]), freedom), rtol=1e-9)
        np.testing.assert_allclose(norm.sf(np.abs(found.z)) * 2, found.p, rtol=1e-9)
        np.testing.assert_allclose(found.q, false_discovery_control(found.p), rtol=1e-12)
        assert (found.freedom, found.n_controls) == (freedom, N - 1)


def test_a_control_is_compared_with_the_others(rng: np.random.Generator) -> None:
    """From one fit, as from a fit without it; where that would lose digits, by such a fit."""
    covariates = make_covariates(rng)
    values = rng.standard_normal((N, 6)) + 3 * covariates.values[:, [1]]
    values[:, 2] = 0.3
    values[4, 2] = 0.4
    values[:, 3] = 0.1
    values[7, 5] = np.nan
    fitted = ControlRegression(values, covariates, range(N))
    for row in range(N):
        others = [one for one in range(N) if one != row]
        expected = ControlRegression(values, covariates, others).compare(row)
        found = fitted.compare(row)
        assert (found.freedom, found.n_controls) == (expected.freedom, N - 1)
        np.testing.assert_allclose(found.expected, expected.expected, atol=1e-12)
        np.testing.assert_allclose(found.statistic, expected.statistic, rtol=1e-9)
    assert np.isnan(fitted.compare(4).statistic[2])


def test_a_group_that_never_varies_takes_no_fit_of_each_control(
    rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor does one in which a control has no value: nobody can be compared there."""
    values = rng.standard_normal((N, 3))
    values[:, 1] = 0.1
    values[3, 2] = np.nan
    fitted = ControlRegression(values, make_covariates(rng), range(N))
    monkeypatch.setattr(np.linalg, "svd", None)
    for row in set(range(N)) - {3}:
        assert np.isfinite(fitted.compare(row).statistic).tolist() == [True, False, False]


def test_expectations_are_those_of_a_refit_without_the_session(rng: np.random.Generator) -> None:
    """By least squares over the controls that were named."""
    covariates = make_covariates(rng)
    values, controls = rng.standard_normal((N, 4)), list(range(3, 20))
    fit = np.linalg.lstsq(covariates.values[controls], values[controls], rcond=None)[0]
    found = ControlRegression(values, covariates, controls).compare(1)
    np.testing.assert_allclose(found.expected, covariates.values[1] @ fit, atol=1e-12)


def test_p_values_are_uniform_where_nothing_differs() -> None:
    """Over cohorts, with covariates that matter."""
    rng = np.random.default_rng(3)
    found = []
    for _ in range(400):
        covariates = make_covariates(rng, 20)
        values = rng.standard_normal((20, 1)) + 2 * covariates.values[:, [1]]
        row = ControlRegression(values, covariates, range(1, 20)).compare(0)
        found.append(row.p[0])
    assert kstest(found, "uniform").pvalue > 0.01


def test_groups_in_which_controls_do_not_vary_are_not_tested(rng: np.random.Generator) -> None:
    """Nor do they count among the tests that the false discovery rate allows for."""
    covariates = encode_covariates({}, N)
    values = rng.standard_normal((N, 3))
    values[:, 1] = 0.1
    values[0, 2] = np.nan
    found = ControlRegression(values, covariates, range(1, N)).compare(0)
    assert np.isfinite(found.p).tolist() == [True, False, False]
    np.testing.assert_allclose(found.q[0], found.p[0])


def test_too_few_controls_for_the_covariates_are_refused(rng: np.random.Generator) -> None:
    """With the number that is needed, and the columns that need it."""
    covariates = make_covariates(rng)
    values = rng.standard_normal((N, 2))
    ControlRegression(values, covariates, range(1, 14)).compare(0)
    with pytest.raises(ConnectomeError, match=r"at least 13 controls for 3 column.*found 12"):
        ControlRegression(values, covariates, range(1, 13)).compare(0)


def test_unknown_covariates_are_refused_or_leave_controls_out(rng: np.random.Generator) -> None:
    """Nobody is compared at a value that is made up."""
    ages = ["", *[str(age) for age in range(20, 20 + N - 2)], "n/a"]
    covariates = encode_covariates({"age": ages}, N)
    values = rng.standard_normal((N, 2))
    found = ControlRegression(values, covariates, range(2, N)).compare(1)
    assert found.n_controls == N - 3
    with pytest.raises(ConnectomeError, match="age is not known"):
        ControlRegression(values, covariates, range(1, N)).compare(0)


def test_a_value_that_no_control_has_is_refused(rng: np.random.Generator) -> None:
    """The effect of a site of its own cannot be told from the person."""
    covariates = encode_covariates({"site": ["x", *["y"] * (N - 1)]}, N)
    values = rng.standard_normal((N, 2))
    with pytest.raises(ConnectomeError, match="site=x"):
        ControlRegression(values, covariates, range(1, N)).compare(0)
    ControlRegression(values, covariates, range(2, N)).compare(1)


def test_everyone_counts_once_among_controls() -> None:
    """Of other subjects the session of the same label, else the first."""
    subjects = ["01", "01", "02", "02", "03", "04", "04"]
    sessions = ["a", "b", "a", "b", None, "c", "d"]
    everyone = range(len(subjects))
    assert choose_controls("a", subjects, sessions, everyone) == [0, 2, 4, 5]
    assert choose_controls("b", subjects, sessions, everyone) == [1, 3, 4, 5]
    assert choose_controls(None, subjects, sessions, [0, 1, 4]) == [0, 4]


def test_measures_are_means_and_sizes_of_residuals(rng: np.random.Generator) -> None:
    """Over the edges of each region; nothing left has no logarithm."""
    groups = group_edges(REGIONS)
    measured, predicted = rng.standard_normal((2, 20, REGIONS.n_edges)).astype(np.float32)
    predicted[3] = measured[3]
    found = measure_residuals(measured, predicted, groups)
    residuals = measured.astype(float) - predicted
    own = [e for e, pair in enumerate(zip(*np.triu_indices(9, 1), strict=True)) if 4 in pair]
    region = groups.names.index("r4")
    np.testing.assert_allclose(
        found["shift"][:, region], residuals[:, own].mean(axis=1), atol=1e-9
    )
    rms = np.sqrt((np.delete(residuals, 3, axis=0)[:, own] ** 2).mean(axis=1))
    np.testing.assert_allclose(np.exp(np.delete(found["size"], 3, axis=0)[:, region]), rms)
    assert np.isnan(found["size"][3]).all()
    assert not found["shift"][3].any()
