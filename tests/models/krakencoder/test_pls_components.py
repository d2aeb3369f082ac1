"""Components are those of scikit-learn's PLSRegression, found without all singular vectors."""

import numpy as np
from sklearn.cross_decomposition import PLSRegression

from kraken_bids.models.krakencoder.moments import Moments
from kraken_bids.models.krakencoder.pls_components import (
    begin_search,
    extract_components,
    extract_together,
    find_leading,
)


def draw(rng: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw inputs and outcomes that share much, of 80 and 70 numbers."""
    x = rng.normal(size=(n, 80)) * np.linspace(3, 0.5, 80) + 2
    return x, x[:, :60] @ rng.normal(size=(60, 70)) * 0.2 + rng.normal(size=(n, 70))


def test_many_inputs_give_scikit_learns_components(rng: np.random.Generator) -> None:
    """Rotations and loadings of 80 inputs, up to their sign, of two regressions at once."""
    people = [draw(rng, n) for n in (150, 90)]
    moments = [Moments.of(x, y).centered() for x, y in people]
    oracles = [
        PLSRegression(12, scale=False, tol=1e-14, max_iter=100_000).fit(x, y) for x, y in people
    ]

    found = list(zip(range(12), extract_together(moments), strict=False))

    assert len(found) == 12
    for k, parts in found:
        for oracle, rotation, loading in zip(oracles, *parts, strict=True):
            sign = np.sign(rotation @ oracle.x_rotations_[:, k])
            np.testing.assert_allclose(sign * rotation, oracle.x_rotations_[:, k], atol=1e-5)
            np.testing.assert_allclose(sign * loading, oracle.y_loadings_[:, k], atol=1e-5)


def test_one_regression_is_what_it_is_among_others(rng: np.random.Generator) -> None:
    """Who else is walked changes nothing but where it ends."""
    moments = [Moments.of(*draw(rng, n)).centered() for n in (150, 40)]

    alone = [q for _, q in extract_components(moments[0])]
    together = [q[0] for _, q in extract_together(moments)]

    assert (len(alone), len(together)) == (80, 39)
    signs = np.sign(np.einsum("ij,ij->i", together[:20], alone[:20]))
    np.testing.assert_allclose(signs[:, None] * together[:20], alone[:20], atol=1e-6)


def test_all_components_are_the_least_squares_fit(rng: np.random.Generator) -> None:
    """As many components as inputs explain what a plain regression does."""
    x, y = rng.normal(size=(40, 5)), rng.normal(size=(40, 3))

    parts = [np.outer(r, q) for r, q in extract_components(Moments.of(x, y).centered())]

    assert len(parts) == 5
    wanted = np.linalg.lstsq(x - x.mean(axis=0), y - y.mean(axis=0), rcond=None)[0]
    np.testing.assert_allclose(sum(parts), wanted, atol=1e-10)


def test_covariances_of_one_factor_have_one_component(rng: np.random.Generator) -> None:
    """What rounding leaves behind is no component."""
    factor = rng.normal(size=(60, 1))
    x, y = factor @ rng.normal(size=(1, 70)), factor @ rng.normal(size=(1, 65))

    parts = list(extract_components(Moments.of(x, y).centered()))

    assert len(parts) == 1


def test_the_leading_vector_is_found_among_near_ones(rng: np.random.Generator) -> None:
    """Eigenvalues of 1, 0.998, 0.996 …: the search begins anew until it has arrived."""
    u = np.linalg.qr(rng.normal(size=(120, 120)))[0]
    near = u @ np.diag((1 - 0.001 * np.arange(120)) ** 2) @ u.T
    far = u @ np.diag(0.5 ** np.arange(120)) @ u.T

    matrices = np.stack([near, far])
    leading, known = find_leading(matrices, begin_search(matrices))

    for one in leading:
        assert abs(one @ u[:, 0]) > 1 - 1e-8
    inner = known.vectors @ known.vectors.transpose(0, 2, 1)
    np.testing.assert_allclose(
        inner, np.broadcast_to(np.eye(inner.shape[1]), inner.shape), atol=1e-9
    )
    np.testing.assert_allclose(known.images, known.vectors @ matrices, atol=1e-9)
