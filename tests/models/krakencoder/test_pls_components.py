"""Components are those of scikit-learn's PLSRegression, found without all singular vectors."""

import numpy as np
from sklearn.cross_decomposition import PLSRegression

from kraken_bids.models.krakencoder.moments import Moments
from kraken_bids.models.krakencoder.pls_components import extract_components, find_leading


def test_many_inputs_give_scikit_learns_components(rng: np.random.Generator) -> None:
    """Rotations and loadings of 80 inputs, up to their sign; after the last there is none."""
    x = rng.normal(size=(150, 80)) * np.linspace(3, 0.5, 80) + 2
    y = x[:, :60] @ rng.normal(size=(60, 70)) * 0.2 + rng.normal(size=(150, 70))
    oracle = PLSRegression(12, scale=False, tol=1e-14, max_iter=100_000).fit(x, y)

    found = list(zip(range(12), extract_components(Moments.of(x, y).centered()), strict=False))

    for k, (rotation, loading) in found:
        sign = np.sign(rotation @ oracle.x_rotations_[:, k])
        np.testing.assert_allclose(sign * rotation, oracle.x_rotations_[:, k], atol=1e-5)
        np.testing.assert_allclose(sign * loading, oracle.y_loadings_[:, k], atol=1e-5)


def test_all_components_are_the_least_squares_fit(rng: np.random.Generator) -> None:
    """As many components as inputs explain what a plain regression does."""
    x, y = rng.normal(size=(40, 5)), rng.normal(size=(40, 3))

    parts = [np.outer(r, q) for r, q in extract_components(Moments.of(x, y).centered())]

    assert len(parts) == 5
    wanted = np.linalg.lstsq(x - x.mean(axis=0), y - y.mean(axis=0), rcond=None)[0]
    np.testing.assert_allclose(sum(parts), wanted, atol=1e-10)


def test_the_leading_vector_is_found_among_near_ones(rng: np.random.Generator) -> None:
    """Singular values of 1, 0.999, 0.998 …: the search begins anew until it has arrived."""
    u, v = (np.linalg.qr(rng.normal(size=(120, 120)))[0] for _ in range(2))
    matrix = u @ np.diag(1 - 0.001 * np.arange(120)) @ v

    leading, second = find_leading(matrix, np.ones(120))

    assert abs(leading @ u[:, 0]) > 1 - 1e-9
    assert abs(second @ leading) < 1e-6
