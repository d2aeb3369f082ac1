"""Held-out predictions of folds: chance where nothing is predicted, and plain definitions."""

import numpy as np
import pytest
from scipy.stats import rankdata

from kraken_bids.scores.cross_fitted import compare_cross_fitted
from kraken_bids.scores.inner_products import leave_out_means, multiply_rows
from kraken_bids.scores.metrics import chance_rank, row_correlations
from kraken_bids.scores.significance import score_comparison

FOLDS = np.array([0, 1, 2, 0, 1, 2, 0, 1, 2, 0, 1, 2])


@pytest.fixture
def x(rng: np.random.Generator) -> np.ndarray:
    return rng.normal(size=(12, 80)) + 3 * rng.normal(size=80)


def test_the_mean_alone_is_at_chance_and_gains_nothing(x: np.ndarray) -> None:
    """Though everyone's own fold is missing from it."""
    found = compare_cross_fitted(multiply_rows(x), leave_out_means(FOLDS), FOLDS)
    scores = score_comparison(found, n_permutations=50, n_bootstraps=50)

    assert scores["gain"].value == pytest.approx(0)
    assert scores["avgrank"].value == pytest.approx(chance_rank(12))
    assert scores["avgcorr_resid"].value == 0
    assert scores["avgcorr"].value == pytest.approx(scores["baseline_avgcorr"].value)
    assert scores["avgrank"].p == 1


def test_scores_are_those_of_edges(x: np.ndarray, rng: np.random.Generator) -> None:
    """Of the predictions as they are; in ranks, of what they add to the mean."""
    weights = rng.uniform(size=(12, 12)) * (FOLDS[:, None] != FOLDS)
    weights /= weights.sum(axis=1, keepdims=True)
    mean, y = leave_out_means(FOLDS) @ x, weights @ x

    found = compare_cross_fitted(multiply_rows(x), weights, FOLDS)
    scores = score_comparison(found, n_permutations=0, n_bootstraps=0)

    gain = 1 - ((x - y) ** 2).sum() / ((x - mean) ** 2).sum()
    assert scores["gain"].value == pytest.approx(gain)
    own = np.diag(row_correlations(x, y))
    assert scores["avgcorr"].value == pytest.approx(own.mean())
    residual = np.diag(row_correlations(x - mean, y - mean))
    assert scores["avgcorr_resid"].value == pytest.approx(residual.mean())
    for i in range(12):
        around = mean[i] + (y - mean)
        expected = row_correlations(x[[i] * 12], around)[0]
        np.testing.assert_allclose(found.cells["avgcorr"][i], expected, atol=1e-10)
        rank = rankdata(-expected)[i] - 1
        assert found.cells["avgrank"][i, i] == pytest.approx(1 - rank / 12)
        errors = ((x[i] - around) ** 2).sum(axis=1)
        np.testing.assert_allclose(found.errors[i], errors)
