"""One λ for the partial correlations of many subjects, found by a search over all of them."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kraken_bids.connectome.functional.correlations import scale_to_unit_diagonal
from kraken_bids.connectome.matrices import find_missing_regions, square_to_edges
from kraken_bids.exceptions import ConnectomeError

Matrix = NDArray[np.floating]
ReadAll = Callable[[], Iterable[Matrix]]
"""Starts over at the first subject: a search reads everyone four times and keeps nobody."""

SMALLEST_EIGENVALUE = 1e-6
SEARCHED = (0.0, 1.0)
N_GRIDS, N_POINTS = 3, 10
DECIMALS = 2
MIN_SUBJECTS = 2
"""Without a given target: the mean inverse of one subject is best matched by no ridge at all."""


@dataclass(frozen=True)
class RidgeSearch:
    """What a search found."""

    ridge: float
    """λ, rounded to two decimals."""
    found: float
    """The same before rounding."""
    tried: NDArray[np.float64]
    """[n_tried] every λ that was tried, ascending."""
    errors: NDArray[np.float64]
    """[n_tried] mean distance from the target; infinite where an input has no inverse."""
    n_subjects: int
    n_singular: int
    """Of these, matrices without an inverse: fewer frames than regions."""


def search_ridge(
    read_all: ReadAll, *, target: Matrix | None = None, smallest: float = SMALLEST_EIGENVALUE
) -> RidgeSearch:
    """Find λ whose regularised inverses are nearest to a target.

    The error of λ is the mean over subjects of ‖(X + λI)⁻¹ - T‖₂ over the edges. Ten values of λ
    from 0 to 1 are tried, then twice more ten between the neighbours of the best.

    Parameters
    ----------
    read_all : callable
        Gives everyone's correlation matrix, one after the other and each time anew; regions that
        somebody lacks (NaN) are left out for that subject.
    target : ndarray of shape (n_regions, n_regions), optional
        Precision matrix T; else the mean of X⁻¹.
    smallest : float
        Eigenvalues up to here count as zero. With one a matrix has no inverse: T takes its
        pseudo-inverse, and neither λ = 0 nor what is rounded to it can be chosen.

    Raises
    ------
    ConnectomeError
        If there are fewer than two subjects (none, with a target), or the target has another size.

    Source
    ------
    Krakencoder, ``regularize_fc_precision.py`` (eigenvalue mode).
    """
    wanted = compute_mean_precision(read_all, smallest=smallest) if target is None else target
    tried = errors = np.empty(0)
    low, high = SEARCHED
    n_subjects = n_singular = 0
    for _ in range(N_GRIDS):
        grid = np.linspace(low, high, N_POINTS)
        found, n_subjects, n_singular = _mean_errors(read_all(), grid, wanted, smallest)
        best = int(np.argmin(found))
        low = grid[best - 1] if best > 0 else SEARCHED[0]
        high = grid[best + 1] if best < N_POINTS - 1 else SEARCHED[1]
        tried, errors = np.append(tried, grid), np.append(errors, found)
    tried, first = np.unique(tried, return_index=True)
    errors = errors[first]
    found_ridge = float(tried[np.argmin(errors)])
    least = 10.0**-DECIMALS if n_singular else 0.0
    ridge = max(round(found_ridge, DECIMALS), least)
    return RidgeSearch(ridge, found_ridge, tried, errors, n_subjects, n_singular)


def compute_mean_precision(
    read_all: ReadAll, *, smallest: float = SMALLEST_EIGENVALUE
) -> NDArray[np.float64]:
    """Mean [n_regions, n_regions] of everyone's inverse correlation matrix, without ridge.

    Each cell is the mean over those who have both regions; NaN where nobody has.

    Raises
    ------
    ConnectomeError
        If there are fewer than two subjects, or their matrices differ in size.
    """
    total = counts = np.zeros((0, 0))
    n_subjects = 0
    for correlation in read_all():
        if not n_subjects:
            total, counts = np.zeros(correlation.shape), np.zeros(correlation.shape)
        _check_size(correlation, total)
        seen, values, vectors = _decompose(correlation)
        total[seen] += _invert(values, vectors, 0.0, smallest)
        counts[seen] += 1
        n_subjects += 1
    if n_subjects < MIN_SUBJECTS:
        raise ConnectomeError(
            f"expected correlation matrices of at least {MIN_SUBJECTS} subjects to find the ridge "
            f"λ of their partial correlation; found {n_subjects}. Give λ with --pcorr-lambda, or "
            "run this again when more of them are measured."
        )
    with np.errstate(invalid="ignore"):
        return np.asarray(total / counts)


def _mean_errors(
    correlations: Iterable[Matrix], grid: NDArray[np.float64], target: Matrix, smallest: float
) -> tuple[NDArray[np.float64], int, int]:
    """Mean error of each λ, number of subjects, and of singular matrices."""
    total = np.zeros(len(grid))
    n_subjects = n_singular = 0
    for correlation in correlations:
        _check_size(correlation, target)
        seen, values, vectors = _decompose(correlation)
        wanted = square_to_edges(target[seen])
        is_singular = bool(values.min() <= smallest)
        for k, ridge in enumerate(grid):
            edges = square_to_edges(_invert(values, vectors, ridge, smallest))
            no_inverse = is_singular and ridge == 0
            total[k] += np.inf if no_inverse else np.linalg.norm(edges - wanted)
        n_subjects += 1
        n_singular += is_singular
    if not n_subjects:
        raise ConnectomeError(
            "expected the correlation matrix of at least one subject to find the ridge λ of its "
            "partial correlation; found none. Measure somebody first."
        )
    return total / n_subjects, n_subjects, n_singular


def _decompose(
    correlation: Matrix,
) -> tuple[tuple[NDArray[np.intp], ...], NDArray[np.float64], NDArray[np.float64]]:
    """Index of the cells that are there, eigenvalues (none negative) and eigenvectors of these."""
    present = np.flatnonzero(~find_missing_regions(correlation))
    seen = np.ix_(present, present)
    X = scale_to_unit_diagonal(correlation[seen])
    values, vectors = np.linalg.eigh((X + X.T) / 2)
    return seen, np.maximum(values, 0.0), vectors


def _invert(
    values: NDArray[np.float64], vectors: NDArray[np.float64], ridge: float, smallest: float
) -> NDArray[np.float64]:
    kept = values + ridge > smallest
    used = vectors[:, kept]
    return np.asarray((used / (values[kept] + ridge)) @ used.T)


def _check_size(correlation: Matrix, expected: Matrix) -> None:
    if correlation.shape != expected.shape:
        raise ConnectomeError(
            f"expected matrices of shape {expected.shape}, all of the same regions (and the "
            f"target too); found {correlation.shape}. Are they of different atlases?"
        )
