"""Rubin's rules, against the formulas worked out by hand."""

import numpy as np
import pytest
from scipy import stats

from kraken_bids.exceptions import SettingsError
from kraken_bids.scores.pooled_estimates import pool_estimates


def test_three_draws_are_pooled_as_by_hand() -> None:
    """Within 0.045, between 0.01; two of three degrees of freedom formulas combine."""
    found = pool_estimates([1.0, 1.2, 1.1], [0.04, 0.05, 0.045], dof=48)
    # B = 0.01, (1 + 1/3) B = 1/75, T = 0.045 + 1/75 = 7/120
    assert found.estimate == pytest.approx(1.1)
    assert found.variance == pytest.approx(7 / 120)
    share = (1 / 75) / (7 / 120)  # 8/35
    by_draws = 2 / share**2  # 38.28125
    observed = 49 / 51 * 48 * (1 - share)
    dof = by_draws * observed / (by_draws + observed)
    assert share == pytest.approx(8 / 35)
    assert found.dof == pytest.approx(dof)
    ratio = (1 / 75) / 0.045
    assert found.fraction_missing == pytest.approx((ratio + 2 / (dof + 3)) / (ratio + 1))
    reach = stats.t.ppf(0.975, dof) * np.sqrt(7 / 120)
    assert found.low == pytest.approx(1.1 - reach)
    assert found.high == pytest.approx(1.1 + reach)
    assert found.p == pytest.approx(2 * stats.t.sf(1.1 / np.sqrt(7 / 120), dof))


def test_large_cohorts_have_the_degrees_of_freedom_of_the_draws() -> None:
    """Rubin's older formula, (M - 1) / λ²."""
    found = pool_estimates([1.0, 1.2, 1.1], [0.04, 0.05, 0.045])
    assert found.dof == pytest.approx(2 * (35 / 8) ** 2)


def test_draws_that_agree_lose_nothing() -> None:
    """Then the interval is that of the complete analysis, but for Barnard and Rubin's factor."""
    found = pool_estimates([2.0, 2.0], [0.25, 0.25], dof=20)
    assert found.variance == 0.25
    assert found.dof == pytest.approx(20 * 21 / 23)
    assert found.fraction_missing == 0
    endless = pool_estimates([2.0, 2.0], [0.25, 0.25])
    assert np.isinf(endless.dof)
    assert endless.high == pytest.approx(2.0 + stats.norm.ppf(0.975) * 0.5)


def test_without_variance_within_draws_everything_is_between_them() -> None:
    """All information is missing, and the degrees of freedom are none of the cohort's."""
    found = pool_estimates([1.0, 3.0], [0.0, 0.0], dof=30)
    assert found.variance == pytest.approx(1.5 * 2)
    assert found.fraction_missing == 1
    same = pool_estimates([0.0, 0.0], [0.0, 0.0])
    assert same.p == 1
    assert same.low == same.high == 0


def test_arrays_are_pooled_cell_by_cell(rng: np.random.Generator) -> None:
    """Any shape, with degrees of freedom of each cell."""
    q, u = rng.normal(size=(5, 3, 2)), rng.uniform(0.1, 1, (5, 3, 2))
    dof = rng.uniform(5, 50, (3, 2))
    found = pool_estimates(q, u, dof=dof, confidence=0.9)
    for cell in np.ndindex(3, 2):
        own = (slice(None), *cell)
        one = pool_estimates(q[own], u[own], dof=dof[cell], confidence=0.9)
        for name in ("estimate", "variance", "dof", "low", "high", "p", "fraction_missing"):
            assert getattr(found, name)[cell] == pytest.approx(float(getattr(one, name)))


def test_intervals_of_a_mean_with_people_missing_cover_at_their_rate() -> None:
    """Proper draws of a normal variable: of 2000 cohorts, within the binomial band."""
    rng = np.random.default_rng(1)
    n_cohorts, n, n_missing, n_draws = 2000, 25, 10, 10
    known = rng.normal(size=(n_cohorts, n - n_missing))
    n_known = known.shape[1]
    estimates, variances = [], []
    for _ in range(n_draws):
        spread = known.var(axis=1, ddof=1) * (n_known - 1)
        variance = spread / rng.chisquare(n_known - 1, n_cohorts)
        mean = rng.normal(known.mean(axis=1), np.sqrt(variance / n_known))
        drawn = rng.normal(mean[:, None], np.sqrt(variance)[:, None], (n_cohorts, n_missing))
        whole = np.hstack([known, drawn])
        estimates.append(whole.mean(axis=1))
        variances.append(whole.var(axis=1, ddof=1) / n)
    found = pool_estimates(estimates, variances, dof=n - 1)
    covered = int(((found.low <= 0) & (found.high >= 0)).sum())
    low, high = stats.binom.interval(0.999, n_cohorts, 0.95)
    assert low <= covered <= high


@pytest.mark.parametrize(
    ("estimates", "variances", "options", "message"),
    [
        ([1.0], [1.0], {}, "at least 2 draws"),
        ([1.0, 2.0], [1.0], {}, "of the same shape"),
        ([1.0, np.nan], [1.0, 1.0], {}, "found 1 not finite"),
        ([1.0, 2.0], [1.0, -1.0], {}, "1 below 0"),
        ([1.0, 2.0], [1.0, 1.0], {"dof": 0}, "degrees of freedom above 0"),
        ([1.0, 2.0], [1.0, 1.0], {"confidence": 95}, "confidence between 0 and 1"),
    ],
)
def test_what_cannot_be_pooled_is_refused(
    estimates: list[float], variances: list[float], options: dict[str, float], message: str
) -> None:
    with pytest.raises(SettingsError, match=message):
        pool_estimates(estimates, variances, **options)  # type: ignore[arg-type]
