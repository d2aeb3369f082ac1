"""Partial least squares from inner products against scikit-learn's on the edges."""

import numpy as np
import pytest
from sklearn.cross_decomposition import PLSRegression
from sklearn.decomposition import PCA
from sklearn.model_selection import LeaveOneGroupOut

from kraken_bids.models.pls_peer import embed, predict_held_out
from kraken_bids.models.splits import deal_folds

N = 24


@pytest.fixture
def edges(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Draw inputs and outcomes that share three factors; more edges than people."""
    shared = rng.normal(size=(N, 3))
    return tuple(
        shared @ rng.normal(size=(3, size))
        + 2 * rng.normal(size=(N, size))
        + rng.normal(size=size)
        for size in (60, 45)
    )


def fit_sklearn(x: np.ndarray, y: np.ndarray, n: int, new: np.ndarray) -> np.ndarray:
    """Predict by scikit-learn; the mean without components."""
    if n == 0:
        return np.tile(y.mean(axis=0), (len(new), 1))
    fitted = PLSRegression(n, scale=False, tol=1e-14, max_iter=10_000).fit(x, y)
    return fitted.predict(new)


def choose_by_sklearn(x: np.ndarray, y: np.ndarray, folds: np.ndarray, most: int) -> int:
    """Components with the least error where each fold is held out in turn."""
    errors = []
    for n in range(most + 1):
        splits = LeaveOneGroupOut().split(x, groups=folds)
        errors.append(
            sum(((fit_sklearn(x[a], y[a], n, x[b]) - y[b]) ** 2).sum() for a, b in splits)
        )
    return int(np.argmin(errors))


def test_held_out_predictions_are_scikit_learns(
    edges: tuple[np.ndarray, np.ndarray],
) -> None:
    """Nested: components are chosen without the fold that is predicted; families together."""
    x, y = edges
    families = [f"f{k // 2}" for k in range(N)]
    folds = deal_folds(N, 4, families=families)

    found = predict_held_out(x @ x.T, y @ y.T, folds, max_components=6)

    assert any(found.n_components)
    np.testing.assert_allclose(found.weights.sum(axis=1), 1)
    for fold in range(4):
        held_out = folds == fold
        n = choose_by_sklearn(x[~held_out], y[~held_out], folds[~held_out], 6)
        assert found.n_components[fold] == n
        expected = fit_sklearn(x[~held_out], y[~held_out], n, x[held_out])
        np.testing.assert_allclose((found.weights @ y)[held_out], expected, atol=1e-5)


def test_nobody_of_the_own_fold_has_a_weight(edges: tuple[np.ndarray, np.ndarray]) -> None:
    """Not the person, nor the other session, nor a relative."""
    x, y = edges
    folds = np.arange(N) // 3

    weights = predict_held_out(x @ x.T, y @ y.T, folds).weights

    assert not weights[folds[:, None] == folds].any()


def test_unrelated_outcomes_are_predicted_by_little_more_than_the_mean() -> None:
    """On average no worse by more than choosing costs."""
    gains = []
    for seed in range(20):
        rng = np.random.default_rng(seed)
        x, y = rng.normal(size=(2, 20, 50))
        weights = predict_held_out(x @ x.T, y @ y.T, np.arange(20) % 5).weights
        folds = np.arange(20) % 5
        others = folds[:, None] != folds
        mean = others / others.sum(axis=1, keepdims=True)
        gains.append(1 - ((weights @ y - y) ** 2).sum() / ((mean @ y - y) ** 2).sum())

    assert -0.1 < np.mean(gains) < 0.01


def test_coordinates_have_the_inner_products(rng: np.random.Generator) -> None:
    """Around the mean; nobody's coordinates are needed where all are alike."""
    x = rng.normal(size=(6, 3)) + 5

    z = embed(x @ x.T)

    centred = x - x.mean(axis=0)
    assert z.shape == (6, 3)
    np.testing.assert_allclose(z @ z.T, centred @ centred.T, atol=1e-10)
    assert embed(np.ones((4, 4))).shape[1] == 0


def test_of_many_dimensions_the_principal_ones_are_kept(rng: np.random.Generator) -> None:
    """Those of scikit-learn's PCA, so that cohorts of thousands take no more than hundreds."""
    rows = rng.normal(size=(N, 40)) * np.linspace(3, 0.5, 40)
    found = embed(rows @ rows.T, most=5)
    scores = PCA(5).fit_transform(rows)
    np.testing.assert_allclose(found @ found.T, scores @ scores.T, atol=1e-9)
