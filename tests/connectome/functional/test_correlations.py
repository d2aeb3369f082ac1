from pathlib import Path

import numpy as np
import pytest
from sklearn.covariance import EmpiricalCovariance

from kraken_bids.connectome.functional.correlations import (
    compute_correlation,
    compute_partial_correlation,
    concatenate_runs,
    partial_correlation_ridge,
)
from kraken_bids.exceptions import ConnectomeError

COHORT = Path(__file__).resolve().parents[3].parent / "shared/conformance/connectomes_cohort20.npz"


def random_run(n_volumes=80, n_regions=7, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n_volumes, n_regions)) @ rng.normal(size=(n_regions, n_regions)) + 50


def test_correlation_agrees_with_numpy():
    """One run's correlation is numpy.corrcoef, symmetric to the last bit, diagonal 1."""
    run = random_run()
    square = compute_correlation(run)
    np.testing.assert_allclose(square, np.corrcoef(run.T), atol=1e-13)
    np.testing.assert_array_equal(square, square.T)
    assert (np.diag(square) == 1).all()


def test_runs_are_scored_within_run_then_stacked():
    """Two runs of other level and scale give fmriclean's covariance of stacked z-scores."""
    runs = [random_run(seed=1), random_run(60, seed=2) * 30 - 999]
    kept = [np.arange(80) % 7 > 0, np.arange(60) > 3]
    stacked = concatenate_runs(runs, kept)
    expected = [
        (run[mask] - run[mask].mean(0)) / run[mask].std(0)
        for run, mask in zip(runs, kept, strict=True)
    ]
    np.testing.assert_allclose(stacked, np.vstack(expected), atol=1e-12)
    covariance = EmpiricalCovariance().fit(np.vstack(expected)).covariance_
    np.testing.assert_allclose(compute_correlation(stacked), covariance, atol=1e-12)


def test_outlier_frames_do_not_matter():
    """Whatever an excluded frame holds, the connectome is the same."""
    run, kept = random_run(), np.arange(80) != 11
    wild = run.copy()
    wild[11] = 1e9
    one, other = (compute_correlation(concatenate_runs([r], [kept])) for r in (run, wild))
    np.testing.assert_array_equal(one, other)


def test_missing_regions_stay_missing():
    """A region that is NaN in one run is a NaN row and column; the others are untouched."""
    runs = [random_run(seed=1), random_run(seed=2)]
    kept = [np.ones(80, dtype=bool)] * 2
    whole = compute_correlation(concatenate_runs(runs, kept))
    runs[1][:, 3] = np.nan
    square = compute_correlation(concatenate_runs(runs, kept))
    rest = [0, 1, 2, 4, 5, 6]
    assert np.isnan(square[3]).all()
    assert np.isnan(square[:, 3]).all()
    np.testing.assert_allclose(square[np.ix_(rest, rest)], whole[np.ix_(rest, rest)], atol=1e-14)
    partial = compute_partial_correlation(square, ridge=0.1)
    assert np.isnan(partial[3]).all()
    np.testing.assert_allclose(
        partial[np.ix_(rest, rest)],
        compute_partial_correlation(square[np.ix_(rest, rest)], ridge=0.1),
        atol=1e-14,
    )


def test_a_region_without_variance_is_missing():
    """A constant region has no correlation: NaN, not 0 or 1."""
    run = random_run()
    run[:, 2] = 5.0
    stacked = concatenate_runs([run], [np.ones(80, dtype=bool)])
    assert (stacked[:, 2] == 0).all()
    assert np.isnan(compute_correlation(stacked)[2]).all()


def test_partial_correlation_without_ridge_is_that_of_residuals():
    """At λ = 0 an edge is the correlation of what two regions' regressions on the rest leave."""
    run = random_run(200, 5)
    run = run - run.mean(0)
    partial = compute_partial_correlation(compute_correlation(run), ridge=0.0)
    for i, j in ((0, 1), (2, 4)):
        rest = run[:, [k for k in range(5) if k not in (i, j)]]
        left = [run[:, k] - rest @ np.linalg.lstsq(rest, run[:, k])[0] for k in (i, j)]
        assert partial[i, j] == pytest.approx(np.corrcoef(left)[0, 1], abs=1e-10)


def test_partial_correlation_with_fewer_frames_than_regions():
    """The ridge makes it defined for 20 frames of 30 regions; without ridge that is refused."""
    square = compute_correlation(random_run(20, 30))
    partial = compute_partial_correlation(square, ridge=0.06)
    P = np.linalg.inv(square + 0.06 * np.eye(30))
    expected = -P / np.sqrt(np.outer(np.diag(P), np.diag(P)))
    np.fill_diagonal(expected, 1)
    np.testing.assert_allclose(partial, expected, atol=1e-9)
    singular = compute_correlation(np.repeat(random_run(50, 3), 2, axis=1))
    with pytest.raises(ConnectomeError, match="λ = 0;"):
        compute_partial_correlation(singular - 1e-9 * np.eye(6), ridge=0.0)


def test_covariances_are_scaled_first():
    """A covariance gives the same partial correlation as its correlation."""
    run = random_run()
    one = compute_partial_correlation(np.cov(run.T), ridge=0.06)
    other = compute_partial_correlation(compute_correlation(run), ridge=0.06)
    np.testing.assert_allclose(one, other, atol=1e-12)


@pytest.mark.skipif(not COHORT.exists(), reason="needs ../shared/conformance, which is not here")
def test_published_partial_correlations_are_reproduced():
    """FCpcorr_fs86_hpf of 20 people follows from their FCcorr_fs86_hpf at λ = 0.06."""
    with np.load(COHORT) as cohort:
        correlations, expected = cohort["FCcorr_fs86_hpf"], cohort["FCpcorr_fs86_hpf"]
    ridge, origin = partial_correlation_ridge("fs86")
    assert "published" in origin
    for correlation, partial in zip(correlations, expected, strict=True):
        ours = compute_partial_correlation(correlation, ridge=ridge)
        np.testing.assert_allclose(ours, partial, atol=1e-5)


def test_origin_of_the_ridge():
    """The user's λ wins over the published one; parcellations without one get the default."""
    assert partial_correlation_ridge("fs86", {"fs86": 0.1}) == (0.1, "chosen by the user")
    assert partial_correlation_ridge("coco439", {"fs86": 0.1})[0] == 0.06


def test_too_little_data_is_refused():
    """No runs, unequal runs, one kept frame, no varying region: each is said."""
    with pytest.raises(ConnectomeError, match="at least one run"):
        concatenate_runs([], [])
    with pytest.raises(ConnectomeError, match="same regions"):
        concatenate_runs([random_run(), random_run(n_regions=5)], [np.ones(80, dtype=bool)] * 2)
    with pytest.raises(ConnectomeError, match="found 1 of 80"):
        concatenate_runs([random_run()], [np.arange(80) == 3])
    with pytest.raises(ConnectomeError, match="0 of 4 regions"):
        compute_correlation(np.ones((30, 4)))
