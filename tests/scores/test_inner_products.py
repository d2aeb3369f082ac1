"""Scores from inner products against those from edges."""

import numpy as np
import pytest
from sklearn.metrics import r2_score

from kraken_bids.scores.inner_products import (
    Products,
    center_on,
    center_products,
    leave_out_means,
    make_basis,
    multiply,
    multiply_factors,
    multiply_left_out,
    multiply_rows,
)
from kraken_bids.scores.metrics import row_correlations


@pytest.fixture
def pair(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Observed connectomes, and factors of predictions."""
    x = rng.normal(size=(9, 70)) + 4 * rng.normal(size=70)
    columns = rng.normal(size=(4, 70))
    rows = rng.normal(size=(9, 4))
    x[:, 5], columns[:, 5] = 0, 0  # nobody has this edge, and nobody is predicted to
    x[:, 6] = 0
    return x, rows, columns


@pytest.mark.parametrize("factored", [True, False])
def test_correlations_and_errors_are_those_of_edges(
    pair: tuple[np.ndarray, np.ndarray, np.ndarray], *, factored: bool
) -> None:
    """Through factors or not, around the observed mean."""
    x, rows, columns = pair
    y = rows @ columns

    found = multiply_factors(make_basis(x, columns), rows) if factored else multiply(x, y)

    both = found.correlate()
    np.testing.assert_allclose(both.plain, row_correlations(x, y), atol=1e-12)
    middle = x.mean(axis=0)
    np.testing.assert_allclose(both.demeaned, row_correlations(x - middle, y - middle), atol=1e-12)
    np.testing.assert_allclose(found.errors, ((x[:, None] - y) ** 2).sum(axis=-1))
    assert found.r2 is not None
    assert np.diag(found.r2).mean() == pytest.approx(r2_score(x, y))
    dealt = np.roll(np.arange(9), 1)
    assert found.r2[np.arange(9), dealt].mean() == pytest.approx(r2_score(x, y[dealt]))


def test_a_center_of_ones_own_is_taken_from_both(
    pair: tuple[np.ndarray, np.ndarray, np.ndarray], rng: np.random.Generator
) -> None:
    """Such as the training mean; R² stays around the mean of the observed subjects."""
    x, rows, columns = pair
    y, mean = rows @ columns, rng.normal(size=70)

    found = multiply(x, y, center=mean)

    np.testing.assert_allclose(
        found.correlate().demeaned, row_correlations(x - mean, y - mean), atol=1e-12
    )
    assert found.r2 is not None
    assert np.diag(found.r2).mean() == pytest.approx(r2_score(x, y))


def test_weighted_sums_of_people_need_no_edges(
    pair: tuple[np.ndarray, np.ndarray, np.ndarray], rng: np.random.Generator
) -> None:
    """Mixing the rows' products is multiplying the mixed rows."""
    x, _, _ = pair
    weights = rng.normal(size=(9, 9))
    weights /= weights.sum(axis=1, keepdims=True)

    own = multiply(x, x)
    mixed = own.observed.mix(weights)
    found = Products(own.center, own.observed, mixed, own.observed.gram @ weights.T)
    expected = multiply(x, weights @ x)

    np.testing.assert_allclose(found.errors, expected.errors, rtol=1e-9, atol=1e-9)
    for name in ("plain", "demeaned"):
        np.testing.assert_allclose(
            getattr(found.correlate(), name), getattr(expected.correlate(), name), atol=1e-10
        )


def test_some_of_the_rows_around_their_own_mean(
    pair: tuple[np.ndarray, np.ndarray, np.ndarray],
) -> None:
    """As if only these had been multiplied; one of them may come twice."""
    x, _, _ = pair
    kept = [7, 2, 3, 2]

    center, rows = center_on(*multiply_rows(x), kept)

    expected_center, expected = multiply_rows(x[kept])
    assert vars(center) == pytest.approx(vars(expected_center))
    for name, value in vars(expected).items():
        np.testing.assert_allclose(getattr(rows, name), value, atol=1e-10)


def test_means_of_the_other_folds_are_scikit_learns(rng: np.random.Generator) -> None:
    """Everyone's mean is over the people whom LeaveOneGroupOut leaves in; so LeaveOneOut."""
    from sklearn.model_selection import LeaveOneGroupOut, LeaveOneOut

    x, folds = rng.normal(size=(8, 5)), np.array([0, 1, 1, 2, 0, 2, 2, 1])
    for splits, labels in (
        (LeaveOneGroupOut().split(x, groups=folds), folds),
        (LeaveOneOut().split(x), np.arange(8)),
    ):
        found = leave_out_means(labels) @ x
        for fitted, held_out in splits:
            np.testing.assert_allclose(
                found[held_out], np.tile(x[fitted].mean(axis=0), (len(held_out), 1))
            )


@pytest.mark.parametrize("labels", [[0, 1, 2, 3, 4, 5, 6], [2, 0, 2, 1, 0, 1, 2], [3] * 7])
def test_means_without_the_own_fold_follow_from_the_sums_of_folds(
    labels: list[int], rng: np.random.Generator
) -> None:
    """As the product with their weights, NaN where nobody is outside."""
    gram, folds = rng.normal(size=(7, 7)), np.array(labels)
    np.testing.assert_allclose(
        multiply_left_out(gram, folds), gram @ leave_out_means(folds).T, atol=1e-14
    )


def test_products_are_centered_on_both_sides(rng: np.random.Generator) -> None:
    x, y = rng.normal(size=(5, 40)) + 3, rng.normal(size=(4, 40)) - 2
    expected = (x - x.mean(axis=0)) @ (y - y.mean(axis=0)).T
    np.testing.assert_allclose(center_products(x @ y.T), expected, atol=1e-11)
