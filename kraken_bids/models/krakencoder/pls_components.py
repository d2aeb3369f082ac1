"""Components of a partial least squares regression, from sums of products alone."""

from collections.abc import Iterator

import numpy as np
from scipy.linalg import eigh_tridiagonal
from scipy.linalg.blas import dger

from kraken_bids.models.krakencoder.moments import Matrix, Moments

LEAST_SHARE = 1e-12
"""Of a source's variance: a component with less is none."""
TOLERANCE = 1e-10
"""Residual of a singular vector, in units of its squared singular value."""
FEW = 48
"""Of so few inputs all singular vectors are computed."""
STEPS, EACH = 48, 6
"""Steps before the search begins anew; after how many it looks whether it has arrived."""


def extract_components(moments: Moments) -> Iterator[tuple[Matrix, Matrix]]:
    """Yield the components of a partial least squares regression, the strongest first.

    Parameters
    ----------
    moments : Moments
        Centered.

    Yields
    ------
    rotation : ndarray of shape (n_inputs,)
        A person's inputs times this is their score.
    loading : ndarray of shape (n_outcomes,)
        Outcomes per score; the coefficients are the sum of ``outer(rotation, loading)``.

    Source: Dayal and MacGregor 1997, improved kernel algorithm 2,
    doi:10.1002/(SICI)1099-128X(199701)11:1<73::AID-CEM435>3.0.CO;2-#.
    """
    xx, xy = moments.xx, np.array(moments.xy, order="F")
    start = np.ones(len(xx))
    least = LEAST_SHARE * np.trace(xx)
    rotations, loadings_x = (np.empty((0, len(xx))) for _ in range(2))
    while len(rotations) < min(len(xx), moments.n - 1) and np.any(xy):
        weight, second = find_leading(xy, start)
        # nearly the next one, but never so nearly that the search ends where it begins
        start = second + np.full(len(xx), 0.1 / len(xx) ** 0.5)
        rotation = weight - (loadings_x @ weight) @ rotations
        projected = xx @ rotation
        size = float(rotation @ projected)
        if not size > least:
            return
        loading_x, loading = projected / size, rotation @ xy / size
        xy = dger(-size, loading_x, loading, a=xy, overwrite_a=1)
        rotations = np.vstack([rotations, rotation])
        loadings_x = np.vstack([loadings_x, loading_x])
        yield rotation, loading


def find_leading(matrix: Matrix, start: Matrix) -> tuple[Matrix, Matrix]:
    """Leading left singular vector, and the one after it.

    Parameters
    ----------
    matrix : ndarray of shape (n_inputs, n_outcomes)
    start : ndarray of shape (n_inputs,)
        Where the search begins.

    Source: Lanczos iterations on the matrix times its transpose, each step made orthogonal to all
    before; Golub and Van Loan, Matrix Computations, 10.1.
    """
    if len(matrix) <= FEW:
        vectors = np.linalg.svd(matrix, full_matrices=False)[0]
        return vectors[:, 0], start
    while True:
        leading, second, is_there = _search(matrix, start / np.linalg.norm(start))
        if is_there:
            return leading, second
        start = leading


def _search(matrix: Matrix, start: Matrix) -> tuple[Matrix, Matrix, bool]:
    """Take up to 48 steps; give the two leading vectors, and whether the first is exact."""
    basis = np.empty((STEPS + 1, len(matrix)))
    basis[0] = start
    diagonal, beside = np.empty(STEPS), np.empty(STEPS)
    for step in range(STEPS):
        image = matrix @ (basis[step] @ matrix)
        diagonal[step] = basis[step] @ image
        known = basis[: step + 1]
        for _ in range(2):
            image -= (known @ image) @ known
        beside[step] = length = np.linalg.norm(image)
        has_ended = length <= TOLERANCE * diagonal[: step + 1].max()
        if has_ended or (step + 1) % EACH == 0:
            values, vectors = eigh_tridiagonal(diagonal[: step + 1], beside[:step])
            has_ended |= length * abs(vectors[-1, -1]) <= TOLERANCE * values[-1]
            if has_ended:
                break
        basis[step + 1] = image / length
    found = vectors[:, -2:].T @ basis[: step + 1]
    return found[-1], found[0] if len(found) > 1 else start, bool(has_ended)
