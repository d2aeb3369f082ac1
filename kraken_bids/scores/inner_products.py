"""Inner products of subjects' connectomes: what every score of a cohort follows from.

All connectomes are taken less one center, mostly the cohort's mean, so that nothing is lost to
rounding. A prediction that is a weighted sum of other rows needs no edges of its own.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kraken_bids.scores.component_metrics import PairCorrelations, correlate_around
from kraken_bids.scores.metrics import Matrix, check_shapes, list_blocks

Indices = NDArray[np.intp] | Sequence[int]


@dataclass(frozen=True)
class Center:
    """The connectome that is taken from every other one."""

    n_edges: int
    total: float
    """Sum of its edges."""
    square: float
    """Sum of their squares."""


@dataclass(frozen=True)
class Rows:
    """Connectomes less the center, as their inner products."""

    gram: Matrix
    """``[n_rows, n_rows]``."""
    sums: Matrix
    """Sum of each one's edges ``[n_rows]``."""
    by_center: Matrix
    """Inner product with the center ``[n_rows]``."""

    def mix(self, weights: Matrix) -> "Rows":
        """Weighted sums of the rows.

        Parameters
        ----------
        weights : ndarray of shape (n_sums, n_rows)
            Each sum's add up to 1, so that the center stays what it is; or the rows are factors.
        """
        return Rows(weights @ self.gram @ weights.T, weights @ self.sums, weights @ self.by_center)

    def take(self, rows: Indices) -> "Rows":
        """Keep some of the rows."""
        kept = np.asarray(rows, np.intp)
        return Rows(self.gram[np.ix_(kept, kept)], self.sums[kept], self.by_center[kept])


@dataclass(frozen=True)
class Products:
    """Everybody's measured connectome with everybody's prediction."""

    center: Center
    observed: Rows
    predicted: Rows
    cross: Matrix
    """Inner products, observed in rows ``[n_subjects, n_predicted]``."""
    r2: Matrix | None = None
    """Share of each edge's variance over the observed subjects that is predicted, mean over edges,
    if all subjects were as this one is with this prediction; None where it was not asked for."""

    @property
    def errors(self) -> Matrix:
        """Squared error of every prediction for every observed subject, sum over edges."""
        own, other = (np.diag(side.gram) for side in (self.observed, self.predicted))
        return np.asarray(np.maximum(own[:, None] + other - 2 * self.cross, 0))

    def correlate(self) -> PairCorrelations:
        """Correlate everyone with everyone, with and without the center."""
        x, y = (
            (side.sums, np.diag(side.gram), side.by_center)
            for side in (self.observed, self.predicted)
        )
        center = (self.center.n_edges, self.center.total, self.center.square)
        return correlate_around(center, self.cross, x, y)


@dataclass(frozen=True)
class Basis:
    """What the scores of every source of one target rest on, for the same observed subjects."""

    center: Center
    observed: Rows
    columns: Rows
    """Of what predictions are sums of, the last one the center itself, taken away."""
    cross: Matrix
    """``[n_subjects, n_columns]``."""
    scaled: tuple[Matrix, Matrix, Matrix]
    """The same in units of each edge's sum of squares over subjects, mean over edges: squares of
    the observed ``[n_subjects]``, cross, products of the columns."""
    counted: float
    """Share of the edges that vary, or that nobody's prediction misses."""

    def multiply(self, weights: Matrix) -> Products:
        """Products with predictions that are sums of the columns, by weights of each."""
        squares, cross, columns = self.scaled
        own = np.einsum("nk,kl,nl->n", weights, columns, weights, optimize=True)
        errors = squares[:, None] - 2 * cross @ weights.T + own
        r2 = self.counted - len(squares) * errors
        return Products(
            self.center, self.observed, self.columns.mix(weights), self.cross @ weights.T, r2
        )


def multiply(
    observed: NDArray[np.floating],
    predicted: NDArray[np.floating],
    *,
    center: NDArray[np.floating] | None = None,
) -> Products:
    """Multiply everybody's measured connectome with everybody's prediction.

    Parameters
    ----------
    observed, predicted : ndarray of shape (n_subjects, n_edges)
        The same subjects in the same order.
    center : ndarray of shape (n_edges,), optional
        Taken from both; the observed mean by default.

    Raises
    ------
    ConnectomeError
        If the shapes differ.
    """
    check_shapes(observed, predicted)
    basis = _sum_up(observed, predicted, center, are_predictions=True)
    return multiply_factors(basis, np.eye(len(predicted)))


def make_basis(observed: NDArray[np.floating], columns: NDArray[np.floating]) -> Basis:
    """Multiply measured connectomes with the columns of all predictions of a target.

    Parameters
    ----------
    observed : ndarray of shape (n_subjects, n_edges)
    columns : ndarray of shape (n_factors, n_edges)
        Predictions are sums of these.
    """
    return _sum_up(observed, columns, None, are_predictions=False)


def multiply_factors(basis: Basis, rows: NDArray[np.floating]) -> Products:
    """Products with predictions that are ``rows @ columns``, of the columns of the basis."""
    return basis.multiply(np.hstack([rows, np.ones((len(rows), 1))]).astype(np.float64))


def multiply_rows(edges: NDArray[np.floating]) -> tuple[Center, Rows]:
    """Inner products of connectomes ``[n_subjects, n_edges]`` less their mean."""
    n = len(edges)
    gram, sums, by_center = np.zeros((n, n)), np.zeros(n), np.zeros(n)
    total = square = 0.0
    for part in list_blocks(edges):
        x = edges[:, part].astype(np.float64)
        middle = x.mean(axis=0)
        x -= middle
        gram += x @ x.T
        sums += x.sum(axis=1)
        by_center += x @ middle
        total += middle.sum()
        square += middle @ middle
    return Center(edges.shape[1], total, square), Rows(gram, sums, by_center)


def center_on(center: Center, rows: Rows, kept: Indices) -> tuple[Center, Rows]:
    """Take the mean of some of the rows as the center, and keep these rows only."""
    kept = np.asarray(kept, np.intp)
    mean = np.zeros(len(rows.sums))
    np.add.at(mean, kept, 1 / len(kept))
    by_mean = rows.gram @ mean
    total, square = float(mean @ rows.sums), float(mean @ by_mean)
    moved = Center(
        center.n_edges,
        center.total + total,
        center.square + float(2 * mean @ rows.by_center) + square,
    )
    own, by_center = by_mean[kept], rows.by_center + by_mean
    return moved, Rows(
        rows.gram[np.ix_(kept, kept)] - own[:, None] - own + square,
        rows.sums[kept] - total,
        by_center[kept] - mean @ by_center,
    )


def center_products(products: NDArray[np.floating]) -> Matrix:
    """Inner products ``[n_rows, n_columns]`` of rows and columns less the mean of either."""
    by_row, by_column = products.mean(axis=1, keepdims=True), products.mean(axis=0)
    return np.asarray(products - by_row - by_column + by_column.mean())


def leave_out_means(folds: NDArray[np.intp]) -> Matrix:
    """Weights whose sums are each subject's mean of everyone outside the own fold.

    Parameters
    ----------
    folds : ndarray of int, shape (n_subjects,)

    Returns
    -------
    ndarray of shape (n_subjects, n_subjects)
        NaN where all are in one fold.
    """
    others = (folds[:, None] != folds).astype(np.float64)
    with np.errstate(invalid="ignore"):
        return np.asarray(others / others.sum(axis=1, keepdims=True))


def multiply_left_out(gram: Matrix, folds: NDArray[np.intp]) -> Matrix:
    """``gram @ leave_out_means(folds).T``, by the sums of the folds.

    Parameters
    ----------
    gram : ndarray of shape (n_subjects, n_subjects)
    folds : ndarray of int, shape (n_subjects,)

    Returns
    -------
    ndarray of shape (n_subjects, n_subjects)
        In columns, the mean of everyone outside the fold of each; NaN where all are in one fold.
    """
    order = np.argsort(folds, kind="stable")
    _, starts, place, sizes = np.unique(
        folds[order], return_index=True, return_inverse=True, return_counts=True
    )
    fold_of = np.empty_like(place)
    fold_of[order] = place
    inside = np.add.reduceat(gram[:, order], starts, axis=1)
    n_others = (len(folds) - sizes).astype(np.float64)
    n_others[n_others == 0] = np.nan
    outside = (gram.sum(axis=1, keepdims=True) - inside) / n_others
    return np.asarray(outside[:, fold_of])


class _Sums:
    """Products of measured connectomes and columns, summed over edges."""

    def __init__(self, n_subjects: int, n_columns: int) -> None:
        self.gram = np.zeros((n_subjects, n_subjects))
        self.cross = np.zeros((n_subjects, n_columns))
        self.columns = np.zeros((n_columns, n_columns))

    def add(self, x: Matrix, y: Matrix) -> None:
        """Add a block of edges ``[n_subjects, n_block]``, ``[n_columns, n_block]``."""
        self.gram += x @ x.T
        self.cross += x @ y.T
        self.columns += y @ y.T


def _sum_up(
    observed: NDArray[np.floating],
    columns: NDArray[np.floating],
    center: NDArray[np.floating] | None,
    *,
    are_predictions: bool,
) -> Basis:
    """Sum products over edges, a block at a time; the center is the last of the columns."""
    n, n_edges, n_columns = len(observed), observed.shape[1], len(columns) + 1
    plain, scaled = (_Sums(n, n_columns) for _ in range(2))
    sums, by_center = np.zeros((2, n + n_columns))
    total = square = counted = 0.0
    for part in list_blocks(observed if n > n_columns else columns):
        x, y = observed[:, part].astype(np.float64), columns[:, part].astype(np.float64)
        middle = x.mean(axis=0)
        spread = ((x - middle) ** 2).sum(axis=0)
        is_met = (x == y).all(axis=0) if are_predictions else ~(x.any(axis=0) | y.any(axis=0))
        counted += np.count_nonzero((spread > 0) | is_met)
        middle = middle if center is None else center[part].astype(np.float64)
        x, y = x - middle, np.vstack([y, -middle])
        plain.add(x, y)
        sums += np.concatenate([x.sum(axis=1), y.sum(axis=1)])
        by_center += np.concatenate([x @ middle, y @ middle])
        total += middle.sum()
        square += middle @ middle
        unit = np.sqrt(np.where(spread > 0, spread, np.inf))
        scaled.add(x / unit, y / unit)
    return Basis(
        Center(n_edges, total, square),
        Rows(plain.gram, sums[:n], by_center[:n]),
        Rows(plain.columns, sums[n:], by_center[n:]),
        plain.cross,
        (np.diag(scaled.gram) / n_edges, scaled.cross / n_edges, scaled.columns / n_edges),
        counted / n_edges,
    )
