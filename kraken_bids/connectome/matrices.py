"""Between square connectomes and edge vectors: the strict upper triangle, row by row."""

import math
from functools import cache

import numpy as np
from numpy.typing import NDArray

from kraken_bids.exceptions import ConnectomeError

SYMMETRY_TOLERANCE = 1e-5


def square_to_edges(square: NDArray[np.floating]) -> NDArray[np.floating]:
    """Strict upper triangles of square connectomes, row by row.

    Parameters
    ----------
    square : ndarray of shape (..., n_regions, n_regions)
        Connectomes; the lower triangle and the diagonal are not read.

    Returns
    -------
    ndarray of shape (..., n_edges)
        Edge (0, 1) first, then (0, 2) …, as ``numpy.triu_indices(n_regions, 1)``.

    Raises
    ------
    ConnectomeError
        If the last two axes differ in length.
    """
    if square.ndim < 2 or square.shape[-1] != square.shape[-2]:
        raise ConnectomeError(
            "expected square connectomes [..., n_regions, n_regions]; "
            f"found an array of shape {square.shape}."
        )
    rows, columns = _upper_triangle(square.shape[-1])
    return square[..., rows, columns]


def edges_to_square(edges: NDArray[np.floating], *, diagonal: float) -> NDArray[np.floating]:
    """Symmetric square connectomes of edge vectors; the inverse of :func:`square_to_edges`.

    Parameters
    ----------
    edges : ndarray of shape (..., n_edges)
        Edge vectors.
    diagonal : float
        What the diagonal holds: 1 for functional, 0 for structural connectomes.

    Returns
    -------
    ndarray of shape (..., n_regions, n_regions)
        Same dtype as ``edges``.

    Raises
    ------
    ConnectomeError
        If no number of regions has that many edges.
    """
    n_regions = n_regions_of(edges.shape[-1])
    rows, columns = _upper_triangle(n_regions)
    square = np.full((*edges.shape[:-1], n_regions, n_regions), diagonal, dtype=edges.dtype)
    square[..., rows, columns] = edges
    square[..., columns, rows] = edges
    return square


def n_regions_of(n_edges: int) -> int:
    """How many regions have ``n_edges`` pairs.

    Raises
    ------
    ConnectomeError
        If ``n_edges`` is not n(n-1)/2 for a whole n of at least 2.
    """
    n_regions = (1 + math.isqrt(1 + 8 * n_edges)) // 2
    if n_edges < 1 or n_regions * (n_regions - 1) // 2 != n_edges:
        raise ConnectomeError(
            "expected n(n-1)/2 edges for some number of regions n, such as 3655 for 86; "
            f"found {n_edges} edges."
        )
    return n_regions


def check_connectome(square: NDArray[np.floating], where: str) -> None:
    """Raise unless an array can be one connectome.

    Regions that were not seen may be NaN, but only as whole rows and columns.

    Parameters
    ----------
    square : ndarray
        What should be a symmetric matrix [n_regions, n_regions].
    where : str
        File or flavor, for the message.

    Raises
    ------
    ConnectomeError
        If it is not square, not symmetric within 1e-5 of its largest value, infinite, or NaN in
        single cells.
    """
    if square.ndim != 2 or square.shape[0] != square.shape[1] or square.shape[0] < 2:
        raise ConnectomeError(
            f"{where}: expected a square matrix [n_regions, n_regions]; "
            f"found shape {square.shape}."
        )
    if np.isinf(square).any():
        raise ConnectomeError(
            f"{where}: expected finite numbers; found {int(np.isinf(square).sum())} infinite ones."
        )
    missing = find_missing_regions(square, where)
    seen = square[np.ix_(~missing, ~missing)]
    asymmetry = float(np.abs(seen - seen.T).max())
    if asymmetry > SYMMETRY_TOLERANCE * float(np.abs(seen).max()):
        raise ConnectomeError(
            f"{where}: expected a symmetric matrix; found cells (i, j) and (j, i) that differ by "
            f"up to {asymmetry:g}. Was only one triangle written?"
        )


def find_missing_regions(
    square: NDArray[np.floating], where: str = "connectome"
) -> NDArray[np.bool_]:
    """Regions whose whole row and column are NaN (the diagonal may hold anything).

    Parameters
    ----------
    square : ndarray of shape (n_regions, n_regions)
        A connectome.
    where : str
        File or flavor, for the message.

    Returns
    -------
    ndarray of bool, shape (n_regions,)
        True where the region is missing.

    Raises
    ------
    ConnectomeError
        If single cells are NaN, or if fewer than two regions are left.
    """
    empty = np.isnan(square)
    np.fill_diagonal(empty, val=True)
    missing: NDArray[np.bool_] = empty.all(axis=0) & empty.all(axis=1)
    np.fill_diagonal(empty, val=False)
    stray = int(empty[np.ix_(~missing, ~missing)].sum())
    if stray or int((~missing).sum()) < 2:
        raise ConnectomeError(
            f"{where}: expected NaN only as whole rows and columns, and at least two regions with "
            f"numbers; found {int(missing.sum())} of {len(missing)} regions missing and {stray} "
            "single NaN cells."
        )
    return missing


@cache
def _upper_triangle(n_regions: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    rows, columns = np.triu_indices(n_regions, 1)
    return rows, columns
