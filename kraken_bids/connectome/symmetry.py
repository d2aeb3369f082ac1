"""Edges of square matrices that should be symmetric, or hold one triangle and nothing else."""

import numpy as np
from numpy.typing import NDArray

from kraken_bids.connectome.matrices import edges_to_square, square_to_edges
from kraken_bids.exceptions import ConnectomeError

SYMMETRY_TOLERANCE = 1e-4
"""Times the largest edge of the matrix: more than six digits of text lose."""


def fold_square(square: NDArray[np.floating], where: str) -> tuple[NDArray[np.floating], bool]:
    """Edges of one square matrix, whichever of its triangles holds them.

    Parameters
    ----------
    square : ndarray of shape (n_regions, n_regions)
        Symmetric, or with one triangle of zeros or NaN, as ``tck2connectome`` writes it without
        ``-symmetric``. The diagonal may hold anything: it is not read.
    where : str
        File and connectome, for the message.

    Returns
    -------
    edges : ndarray of shape (n_edges,)
        As :func:`~kraken_bids.connectome.matrices.square_to_edges` gives them.
    is_mirrored : bool
        Whether one triangle is empty and the other was taken for both.

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

    Parameters
    ----------
    square : ndarray of shape (n_regions, n_regions)
        As :func:`fold_square` takes it.
    where : str
        File, for the message.

    Raises
    ------
    ConnectomeError
        As of :func:`fold_square`.
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
