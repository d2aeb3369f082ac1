"""Components of partial least squares regressions, from sums of products alone.

Several regressions are walked at once, such as those of the folds of a cross-validation: each
operation is then long enough that threads do not wait for each other.
"""

from collections.abc import Iterator, Sequence

import numpy as np

from kraken_bids.models.krakencoder.moments import Matrix, Moments

LEAST_SHARE = 1e-12
"""Of a source's variance: a component with less is none."""
ROUNDING = 1e-12
"""Of the first component's squared covariance: what is less is left by rounding."""
TOLERANCE = 1e-7
"""Residual of a singular vector, in units of its squared singular value."""
FEW = 48
"""Of so few inputs all singular vectors are computed."""
STEPS, FIRST, EACH = 48, 12, 4
"""Steps before the search begins anew; after how many it looks whether it has arrived."""


def extract_components(regressions: Sequence[Moments]) -> Iterator[tuple[Matrix, Matrix]]:
    """Yield the components of partial least squares regressions, the strongest first.

    Parameters
    ----------
    regressions : sequence of Moments
        Centered; of as many inputs and outcomes.

    Yields
    ------
    rotations : ndarray of shape (n_regressions, n_inputs)
        A person's inputs times this are their score. It ends where one of the regressions does.
    loadings : ndarray of shape (n_regressions, n_outcomes)
        Outcomes per score; the coefficients are the sum of ``outer(rotation, loading)``.

    Source: Dayal and MacGregor 1997, improved kernel algorithm 2,
    doi:10.1002/(SICI)1099-128X(199701)11:1<73::AID-CEM435>3.0.CO;2-#. What is left of the
    covariances is kept as their products with themselves, whose leading vectors are wanted;
    scores are orthogonal, so that loadings follow from the covariances as they were.
    """
    xx, xy = (np.stack([getattr(one, name) for one in regressions]) for name in ("xx", "xy"))
    left = xy @ xy.transpose(0, 2, 1)
    n_inputs = xx.shape[1]
    start = np.ones((len(xx), n_inputs))
    least = LEAST_SHARE * np.trace(xx, axis1=1, axis2=2)
    rounding = ROUNDING * np.trace(left, axis1=1, axis2=2)
    rotations = loadings_x = np.empty((len(xx), 0, n_inputs))
    for _ in range(min(n_inputs, min(one.n for one in regressions) - 1)):
        if not (np.trace(left, axis1=1, axis2=2) > rounding).all():
            return
        weight, second = find_leading(left, start)
        # nearly the next one, but never so nearly that the search ends where it begins
        start = second + 0.1 / n_inputs**0.5
        rotation = weight - _apply(rotations.transpose(0, 2, 1), _apply(loadings_x, weight))
        projected = _apply(xx, rotation)
        size = _multiply(rotation, projected)
        if not (size > least[:, None]).all():
            return
        loading_x = projected / size
        _take_out(left, rotation, loading_x)
        rotations = np.concatenate([rotations, rotation[:, None]], axis=1)
        loadings_x = np.concatenate([loadings_x, loading_x[:, None]], axis=1)
        yield rotation, _apply(xy.transpose(0, 2, 1), rotation) / size


def _apply(matrices: Matrix, vectors: Matrix) -> Matrix:
    """Matrices ``[k, n, m]`` times vectors ``[k, m]``."""
    product: Matrix = (matrices @ vectors[:, :, None])[:, :, 0]
    return product


def _multiply(a: Matrix, b: Matrix) -> Matrix:
    """Inner products of vectors ``[k, m]``; ``[k, 1]``."""
    return np.einsum("km,km->k", a, b)[:, None]


def _take_out(left: Matrix, rotation: Matrix, loading: Matrix) -> None:
    """Take a component out: ``(1 - p r') left (1 - r p')``, in place."""
    image = _apply(left, rotation)
    image -= 0.5 * _multiply(rotation, image) * loading
    sides = np.stack([loading, image], axis=2)
    left -= sides @ sides[:, :, ::-1].transpose(0, 2, 1)


def find_leading(matrices: Matrix, start: Matrix) -> tuple[Matrix, Matrix]:
    """Leading eigenvectors of symmetric matrices without negative ones, and those after them.

    Parameters
    ----------
    matrices : ndarray of shape (k, n, n)
    start : ndarray of shape (k, n)
        Where the search begins.

    Source: Lanczos iterations, each step made orthogonal to all before; Golub and Van Loan,
    Matrix Computations, 10.1.
    """
    if matrices.shape[1] <= FEW:
        vectors = np.linalg.eigh(matrices).eigenvectors
        return vectors[:, :, -1], start
    leading, second = start.copy(), start.copy()
    lost = np.arange(len(matrices))
    while len(lost):
        found, other, is_there = _search(matrices[lost], leading[lost])
        leading[lost], second[lost] = found, other
        lost = lost[~is_there]
    return leading, second


def _search(matrices: Matrix, start: Matrix) -> tuple[Matrix, Matrix, Matrix]:
    """Take up to 48 steps; give the two leading vectors, and whether the first is exact."""
    k, n = start.shape
    basis = np.empty((k, STEPS + 1, n))
    basis[:, 0] = start / np.linalg.norm(start, axis=1, keepdims=True)
    inner = np.zeros((k, STEPS + 1, STEPS + 1))  # the matrices in this basis
    is_there = np.zeros(k, bool)
    leading, second = start.copy(), start.copy()
    for step in range(STEPS):
        image = _apply(matrices, basis[:, step])
        known = basis[:, : step + 1]
        inner[:, step, step] = np.einsum("kn,kn->k", basis[:, step], image)
        for _ in range(2):  # once is not enough where little is left
            image -= _apply(known.transpose(0, 2, 1), _apply(known, image))
        length = np.linalg.norm(image, axis=1)
        inner[:, step + 1, step] = inner[:, step, step + 1] = length
        has_ended = length <= TOLERANCE * inner[:, 0, 0]
        if (step + 1 >= FIRST and (step + 1) % EACH == 0) or (has_ended | is_there).all():
            values, vectors = np.linalg.eigh(inner[:, : step + 1, : step + 1])
            found = vectors[:, :, -2:].transpose(0, 2, 1) @ known
            new = ~is_there
            leading[new], second[new] = found[new, -1], found[new, 0]
            residual = length * abs(vectors[:, -1, -1])
            is_there |= has_ended | (residual <= TOLERANCE * values[:, -1])
            if is_there.all():
                break
        basis[:, step + 1] = image / np.maximum(length, np.finfo(float).tiny)[:, None]
    return leading, second, is_there
