"""Components of partial least squares regressions, from sums of products alone.

Several regressions are walked at once, such as those of the folds of a cross-validation: each
operation is then long enough that threads do not wait for each other.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

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
KEPT, EACH, MOST = 10, 4, 58
"""Directions that are kept from a search for the next one, that are tried before it looks
whether it has arrived, and that it may have."""
LEAST = np.finfo(np.float64).tiny


def extract_components(moments: Moments) -> Iterator[tuple[Matrix, Matrix]]:
    """Yield the components of a partial least squares regression, the strongest first.

    Parameters
    ----------
    moments : Moments
        Centered.

    Yields
    ------
    rotation : ndarray of shape (n_inputs,)
        A subject's inputs times this is their score.
    loading : ndarray of shape (n_outcomes,)
        Outcomes per score; the coefficients are the sum of ``outer(rotation, loading)``.
    """
    for (rotation,), (loading,) in extract_together([moments]):
        yield rotation, loading


def extract_together(
    regressions: Sequence[Moments], *, tolerance: float = TOLERANCE
) -> Iterator[tuple[Matrix, Matrix]]:
    """Yield the components of several regressions at once; it ends where one of them does.

    Parameters
    ----------
    regressions : sequence of Moments
        Centered; of as many inputs and outcomes.
    tolerance : float
        Residual of a singular vector, in units of its squared singular value.

    Yields
    ------
    rotations : ndarray of shape (n_regressions, n_inputs)
    loadings : ndarray of shape (n_regressions, n_outcomes)

    Source: Dayal and MacGregor 1997, improved kernel algorithm 2,
    doi:10.1002/(SICI)1099-128X(199701)11:1<73::AID-CEM435>3.0.CO;2-#. What is left of the
    covariances is kept as their products with themselves, whose leading vectors are wanted;
    scores are orthogonal, so that loadings follow from the covariances as they were.
    """
    xx, xy = (np.stack([getattr(one, name) for one in regressions]) for name in ("xx", "xy"))
    left = xy @ xy.transpose(0, 2, 1)
    n_inputs = xx.shape[1]
    known = begin_search(left)
    least = LEAST_SHARE * np.trace(xx, axis1=1, axis2=2)
    rounding = ROUNDING * np.trace(left, axis1=1, axis2=2)
    rotations = loadings_x = np.empty((len(xx), 0, n_inputs))
    for _ in range(min(n_inputs, min(one.n for one in regressions) - 1)):
        if not (np.trace(left, axis1=1, axis2=2) > rounding).all():
            return
        weight, known = find_leading(left, known, tolerance)
        rotation = weight - _combine(rotations, _project(loadings_x, weight))
        projected = _project(xx, rotation)
        size = _multiply(rotation, projected)
        if not (size > least[:, None]).all():
            return
        loading_x = projected / size
        _take_out(left, known, rotation, loading_x)
        rotations = np.concatenate([rotations, rotation[:, None]], axis=1)
        loadings_x = np.concatenate([loadings_x, loading_x[:, None]], axis=1)
        yield rotation, _combine(xy, rotation) / size


def _project(rows: Matrix, vectors: Matrix) -> Matrix:
    """Inner products of rows ``[k, m, n]`` with vectors ``[k, n]``; ``[k, m]``."""
    return np.asarray((rows @ vectors[:, :, None])[:, :, 0])


def _combine(rows: Matrix, weights: Matrix) -> Matrix:
    """Add up rows ``[k, m, n]`` with weights ``[k, m]``; ``[k, n]``."""
    return np.asarray((weights[:, None] @ rows)[:, 0])


def _multiply(a: Matrix, b: Matrix) -> Matrix:
    """Inner products of vectors ``[k, n]``; ``[k, 1]``."""
    return np.asarray(np.einsum("kn,kn->k", a, b)[:, None])


def _take_out(left: Matrix, known: "Known", rotation: Matrix, loading: Matrix) -> None:
    """Take a component out, in place: ``(1 - p r') left (1 - r p')``.

    So are the images of the known vectors under it, without multiplying them anew.
    """
    vectors, images = known
    image = _project(left, rotation)
    image -= 0.5 * _multiply(rotation, image) * loading
    sides = np.stack([loading, image], axis=1)
    other = sides[:, ::-1]
    left -= sides.transpose(0, 2, 1) @ other
    images -= (vectors @ sides.transpose(0, 2, 1)) @ other


class Known(NamedTuple):
    """Orthonormal directions that a search knows of each matrix."""

    vectors: Matrix
    """``[k, m, n]``; the leading one is the first."""
    images: Matrix
    """Likewise; the matrices times these."""


def begin_search(matrices: Matrix) -> Known:
    """Begin a search with one direction, the same in all numbers."""
    k, n, _ = matrices.shape
    vectors = np.full((k, 1, n), n**-0.5)
    return Known(vectors, vectors @ matrices)


def find_leading(
    matrices: Matrix, known: Known, tolerance: float = TOLERANCE
) -> tuple[Matrix, Known]:
    """Leading eigenvectors of symmetric matrices without negative ones.

    Parameters
    ----------
    matrices : ndarray of shape (k, n, n)
    known : Known
        From where the search begins.
    tolerance : float
        Residual, in units of the leading eigenvalue.

    Returns
    -------
    leading : ndarray of shape (k, n)
    Known
        The leading vector and those that seem to come next.

    Source: the matrices in the basis of what is known (Rayleigh and Ritz), which grows by the
    Krylov vectors of what the leading one leaves; each is made orthogonal to all before. Golub
    and Van Loan, Matrix Computations, 10.1 and 10.6.
    """
    if matrices.shape[1] <= FEW:
        return np.linalg.eigh(matrices).eigenvectors[:, :, -1], known
    while True:
        inner = known.vectors @ known.images.transpose(0, 2, 1)
        values, turned = np.linalg.eigh((inner + inner.transpose(0, 2, 1)) / 2)
        is_full = known.vectors.shape[1] > MOST - EACH
        turn = turned[:, :, ::-1].transpose(0, 2, 1)[:, : KEPT if is_full else None]
        first = turn[:, :1]
        leading, image = (first @ known.vectors)[:, 0], (first @ known.images)[:, 0]
        rest = image - values[:, -1:] * leading
        lengths = np.linalg.norm(rest, axis=1)
        has_arrived = bool((lengths <= tolerance * values[:, -1]).all())
        if has_arrived or is_full:
            turn = turn[:, :KEPT]
            known = Known(turn @ known.vectors, turn @ known.images)
        if has_arrived:
            return leading, known
        known = _extend(matrices, known, rest)


def _extend(matrices: Matrix, known: Known, start: Matrix) -> Known:
    """Add a few directions: a start, its image, the image of that, and so on."""
    k, m, n = known.vectors.shape
    vectors, images = (np.empty((k, m + EACH, n)) for _ in range(2))
    vectors[:, :m], images[:, :m] = known
    image = start
    for step in range(m, m + EACH):
        before = vectors[:, :step]
        vector = image / np.linalg.norm(image, axis=1, keepdims=True).clip(LEAST)
        for _ in range(2):  # once is not enough where little is left
            vector -= _combine(before, _project(before, vector))
            vector /= np.linalg.norm(vector, axis=1, keepdims=True).clip(LEAST)
        vectors[:, step] = vector
        images[:, step] = image = _project(matrices, vector)
    return Known(vectors, images)
