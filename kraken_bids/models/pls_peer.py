"""The peer of a prediction: partial least squares on the same subjects, from inner products alone.

The connectomes of n subjects span n - 1 dimensions, whatever the number of their edges: regression
in these is regression between edges, and a prediction is a weighted sum of measured connectomes.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigh

from kraken_bids.models.krakencoder.moments import Matrix, Moments
from kraken_bids.models.krakencoder.pls import PATIENCE
from kraken_bids.models.krakencoder.pls_components import extract_components, extract_together
from kraken_bids.scores.inner_products import center_products

MAX_COMPONENTS = 40
MAX_DIMENSIONS = 256
"""Principal components of a side; up to 257 subjects span no more."""
FLAT = 1e-12
"""Share of the largest eigenvalue below which a dimension is rounding."""


@dataclass(frozen=True)
class HeldOut:
    """Predictions of everyone by a regression that was fitted and chosen without the own fold."""

    weights: Matrix
    """Of everyone's measured connectome in everyone's prediction ``[n_subjects, n_subjects]``;
    rows add up to 1."""
    n_components: NDArray[np.intp]
    """Of each fold's regression ``[n_folds]``; 0 is the mean of the subjects outside the fold."""


@dataclass(frozen=True)
class _Cohort:
    """Coordinates of everyone's inputs and outcomes, and the folds."""

    x: Matrix
    y: Matrix
    rows: tuple[NDArray[np.bool_], ...]
    """Who is in each fold."""
    parts: tuple[Moments, ...]
    """Sums over each fold."""

    @property
    def whole(self) -> Moments:
        """Sums over everyone."""
        return sum(self.parts[1:], self.parts[0])


def embed(gram: NDArray[np.floating], *, most: int = MAX_DIMENSIONS) -> Matrix:
    """Coordinates ``[n_subjects, n_dimensions]`` with these inner products, around their mean.

    Of more than ``most`` dimensions the principal ones are kept: the regression is then between
    principal components of both sides, as it is where people compare themselves with it.
    """
    n = len(gram)
    values, vectors = eigh(center_products(gram), subset_by_index=(max(0, n - most), n - 1))
    kept = values > FLAT * max(values[-1], 0)
    return np.asarray(vectors[:, kept] * np.sqrt(values[kept]))


def predict_held_out(
    inputs: NDArray[np.floating],
    outcomes: NDArray[np.floating],
    folds: NDArray[np.intp],
    *,
    max_components: int = MAX_COMPONENTS,
) -> HeldOut:
    """Predict everyone by partial least squares on the subjects outside their fold.

    The number of components is chosen for each fold among the others, each of these held out in
    turn (nested cross-validation). What is fitted without folds k and j chooses for both.

    Parameters
    ----------
    inputs, outcomes : ndarray of shape (n_subjects, n_subjects)
        Inner products of connectomes, around any center: of what is predicted from, and of what
        is predicted.
    folds : ndarray of int, shape (n_subjects,)
        Families, and sessions of one subject, are in one fold; at least 3.

    Source: Rännar et al. 1994, doi:10.1002/cem.1180080204 (partial least squares from inner
    products); the same as ``PLSRegression(scale=False)`` of scikit-learn on the edges.
    """
    x, y = embed(inputs), embed(outcomes)
    rows = tuple(folds == fold for fold in np.unique(folds))
    cohort = _Cohort(x, y, rows, tuple(Moments.of(x[own], y[own]) for own in rows))
    n_components = _choose(cohort, max_components)
    weights = np.zeros((len(x), len(x)))
    for own, part, n in zip(rows, cohort.parts, n_components.tolist(), strict=True):
        kept = cohort.whole - part
        shares = np.full((int(own.sum()), kept.n), 1 / kept.n)
        for _, (rotation, _) in zip(range(n), extract_components(kept.centered()), strict=False):
            scores = (x - kept.mean_x) @ rotation
            shares += np.outer(scores[own], scores[~own] / (scores[~own] @ scores[~own]))
        weights[np.ix_(own, ~own)] = shares
    return HeldOut(weights, n_components)


def _choose(cohort: _Cohort, most: int) -> NDArray[np.intp]:
    """Choose the number of components without each fold, by the error in the others."""
    n_folds = len(cohort.rows)
    pairs = [(one, other) for one in range(n_folds) for other in range(one)]
    errors: list[Matrix] = []
    for found in _follow(cohort, pairs, most):
        total = np.zeros(n_folds)
        for (one, other), (of_one, of_other) in zip(pairs, found, strict=True):
            # the regression without one is judged on the people of the other
            total[one] += of_other
            total[other] += of_one
        errors.append(total)
        if len(errors) - 1 - int(np.argmin(errors, axis=0).max()) >= PATIENCE:
            break
    return np.asarray(np.argmin(errors, axis=0), np.intp)


def _follow(
    cohort: _Cohort, pairs: Sequence[tuple[int, int]], most: int
) -> Iterator[list[tuple[float, float]]]:
    """Squared errors in both folds of each pair after 0, 1 … components, fitted without both."""
    kept = [cohort.whole - cohort.parts[one] - cohort.parts[other] for one, other in pairs]
    rows = [[cohort.rows[fold] for fold in pair] for pair in pairs]
    inputs = [
        [cohort.x[own] - fit.mean_x for own in both] for fit, both in zip(kept, rows, strict=True)
    ]
    left = [
        [cohort.y[own] - fit.mean_y for own in both] for fit, both in zip(kept, rows, strict=True)
    ]
    yield _square(left)
    found = extract_together([fit.centered() for fit in kept])
    for _, (rotations, loadings) in zip(range(most), found, strict=False):
        for k, (rotation, loading) in enumerate(zip(rotations, loadings, strict=True)):
            for own, rest in zip(inputs[k], left[k], strict=True):
                np.subtract(rest, np.outer(own @ rotation, loading), out=rest)
        yield _square(left)


def _square(left: Sequence[Sequence[Matrix]]) -> list[tuple[float, float]]:
    return [(float(np.vdot(one, one)), float(np.vdot(other, other))) for one, other in left]
