"""Between square connectomes and edge vectors: the strict upper triangle, row by row."""

from functools import cache

import numpy as np
from numpy.typing import NDArray

from kraken_bids.exceptions import ConnectomeError
from kraken_bids.region_orders import count_regions

SYMMETRY_TOLERANCE = 1e-4
"""Times the largest edge of the matrix: more than six digits of text lose."""


def square_to_edges(square: NDArray[np.floating]) -> NDArray[np.floating]:
    """Strict upper triangles [..., n_edges] of square connectomes [..., n_regions, n_regions].

    Edge (0, 1) first, then (0, 2) …, as ``numpy.triu_indices(n_regions, 1)``; the lower triangle
    and the diagonal are not read.

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
    n_regions = square.shape[-1]
    places = _list_upper(n_regions)
    if square.ndim == 2:  # a fourth of the time
        return square.reshape(-1).take(places)
    rows, columns = np.divmod(places, n_regions)
    return square[..., rows, columns]


def edges_to_square(edges: NDArray[np.floating], *, diagonal: float) -> NDArray[np.floating]:
    """Symmetric square connectomes of edge vectors; the inverse of :func:`square_to_edges`.

    Parameters
    ----------
    edges : ndarray of shape (..., n_edges)
    diagonal : float
        1 for functional, 0 for structural connectomes.

    Returns
    -------
    ndarray of shape (..., n_regions, n_regions)

    Raises
    ------
    ConnectomeError
        If no number of regions has that many edges.
    """
    n_regions = n_regions_of(edges.shape[-1])
    # read from anywhere and written in order: a tenth of the time of the other way round
    square = edges.take(_place_edges(n_regions), axis=-1, mode="clip")
    own = np.arange(n_regions)
    square[..., own, own] = diagonal
    return square


def n_regions_of(n_edges: int) -> int:
    """How many regions have ``n_edges`` pairs.

    Raises
    ------
    ConnectomeError
        If ``n_edges`` is not n(n-1)/2 for a whole n of at least 2.
    """
    n_regions = count_regions(n_edges) if n_edges > 0 else 0
    if not n_regions:
        raise ConnectomeError(
            "expected n(n-1)/2 edges for some number of regions n, such as 3655 for 86; "
            f"found {n_edges} edges."
        )
    return n_regions


def check_connectome(square: NDArray[np.floating], where: str) -> None:
    """Raise unless an array can be one connectome; ``where`` names it in the message.

    Regions that were not seen may be NaN, but only as whole rows and columns.

    Raises
    ------
    ConnectomeError
        If it is not square, not symmetric within 1e-4 of its largest value, infinite, or NaN in
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
    """Regions [n_regions] whose whole row and column are NaN (the diagonal may hold anything).

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
def _list_upper(n_regions: int) -> NDArray[np.intp]:
    """Place of each edge in a square that lies flat [n_edges]."""
    rows, columns = np.triu_indices(n_regions, 1)
    return np.asarray(rows * n_regions + columns)


@cache
def _place_edges(n_regions: int) -> NDArray[np.intp]:
    """Edge of each cell [n_regions, n_regions]; any on the diagonal."""
    upper = _list_upper(n_regions)
    edges = np.zeros((n_regions, n_regions), np.intp)
    edges.reshape(-1)[upper] = np.arange(len(upper))
    return np.asarray(edges + edges.T)


def fold_square(square: NDArray[np.floating], where: str) -> tuple[NDArray[np.floating], bool]:
    """Edges of one square matrix, whichever triangle holds them; and whether only one does.

    Parameters
    ----------
    square : ndarray of shape (n_regions, n_regions)
        Symmetric, or with one triangle of zeros or NaN, as ``tck2connectome`` writes it without
        ``-symmetric``. The diagonal is not read.
    where : str
        File and connectome, for the message.

    Raises
    ------
    ConnectomeError
        If both triangles hold numbers, and different ones.
    """
    upper = square_to_edges(square)
    if np.array_equal(square, square.T):
        return upper, False
    lower = square_to_edges(square.T)
    if np.array_equal(upper, lower, equal_nan=True):  # the diagonal is NaN
        return upper, False
    if _is_empty(lower) != _is_empty(upper):
        return (lower, True) if _is_empty(upper) else (upper, True)
    with np.errstate(invalid="ignore"):  # infinite minus infinite
        difference = np.where(upper == lower, 0.0, np.abs(upper - lower))
    difference[np.isnan(upper) & np.isnan(lower)] = 0
    edges = np.concatenate([upper, lower])
    scale = np.abs(edges[np.isfinite(edges)]).max(initial=0.0)
    n_different = int((~(difference <= SYMMETRY_TOLERANCE * scale)).sum())
    if n_different:
        known = difference[~np.isnan(difference)].max(initial=0.0)
        raise ConnectomeError(
            f"{where}: expected a symmetric matrix, or one triangle and zeros; found "
            f"{n_different} of {len(upper)} pairs of entries (i, j) and (j, i) that differ, by up "
            f"to {known:g}{' and by NaN in one of them' * bool(np.isnan(difference).any())}. Make "
            "it symmetric, or check the file."
        )
    return upper, False


def fill_square(
    square: NDArray[np.float64], where: str
) -> tuple[NDArray[np.float64], NDArray[np.float64], bool]:
    """Square matrix with both triangles, its edges, and whether one triangle was empty.

    See :func:`fold_square`.
    """
    folded, is_mirrored = fold_square(square, where)
    edges = np.asarray(folded, np.float64)
    if is_mirrored:
        filled = np.asarray(edges_to_square(edges, diagonal=0.0), np.float64)
        np.fill_diagonal(filled, np.diagonal(square))
        square = filled
    return square, edges, is_mirrored


def _is_empty(edges: NDArray[np.floating]) -> bool:
    return bool((np.isnan(edges) | (edges == 0)).all())
