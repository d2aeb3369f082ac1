"""Connectomes of a cohort in memory: arrays checked against their flavor, joined over subjects."""

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kraken_bids.connectome.matrices import edges_to_square, find_missing_regions, square_to_edges
from kraken_bids.exceptions import ConnectomeError, FlavorError, InputError
from kraken_bids.flavors import Flavor
from kraken_bids.parcellations import load_parcellation
from kraken_bids.settings import MAX_IMPUTED_SHARE

logger = logging.getLogger(__name__)

Edges = NDArray[np.floating]

SYMMETRY_TOLERANCE = 1e-4


@dataclass(frozen=True)
class Connectomes:
    """Connectomes of a cohort."""

    subjects: tuple[str, ...]
    """Labels, one per row; ``01_ses-1`` where there are sessions."""
    edges: Mapping[Flavor, Edges]
    """``[n_subjects, n_edges]`` per flavor: NaN for missing regions, or a whole row of it where a
    subject lacks the flavor."""


@dataclass(frozen=True)
class Part:
    """Connectomes of one flavor from one file; subjects unknown where the file does not say."""

    where: str
    subjects: tuple[str, ...] | None
    edges: Edges


def to_part(
    flavor: Flavor, array: NDArray[Any], where: str, subjects: tuple[str, ...] | None
) -> Part:
    """Check the connectomes of one flavor in one file and turn them into edges.

    Parameters
    ----------
    flavor : Flavor
    array : ndarray of shape (n_subjects, n_regions, n_regions) or (n_subjects, n_edges)
        Or one square matrix.
    where : str
        File and key, for messages.
    subjects : tuple of str or None
        Labels of the rows, where the file has them.

    Raises
    ------
    InputError
        If the labels do not fit the rows.
    ConnectomeError
        If the array has not the shape of its parcellation, is not symmetric, or is NaN in part.
    """
    edges = _to_edges(flavor, array, where)
    if subjects is not None and len(subjects) != len(edges):
        raise InputError(
            f"expected as many subjects as connectomes in {where}; found {len(subjects)} names "
            f"and {len(edges)} connectomes. Correct the list of subjects."
        )
    if subjects is not None and len(set(subjects)) != len(subjects):
        raise InputError(f"expected each subject once in {where}; found repeated names.")
    return Part(where, subjects, edges)


def _to_edges(flavor: Flavor, array: NDArray[Any], where: str) -> Edges:
    """``[n_subjects, n_edges]`` of squares or triangles, checked against the parcellation."""
    n_regions = _known_regions(flavor)
    if array.ndim == 2 and array.shape[0] == array.shape[1] and n_regions in {None, len(array)}:
        array = array[None]
    if array.ndim == 3 and array.shape[1] == array.shape[2]:
        _check_squares(array, where)
        n_regions = n_regions or array.shape[1]
        array = square_to_edges(array)
    n_edges = n_regions * (n_regions - 1) // 2 if n_regions else array.shape[-1]
    if array.ndim != 2 or array.shape[1] != n_edges or array.dtype.kind not in "fiu":
        raise ConnectomeError(
            f"{where}: expected {flavor} as [n_subjects, {n_regions or 'n'}, "
            f"{n_regions or 'n'}] or [n_subjects, {n_edges}] numbers; found {array.dtype} of "
            f"shape {list(array.shape)}. Check the flavor and the parcellation."
        )
    kept: Edges = np.array(array, np.float64 if array.dtype == np.float64 else np.float32)
    return _check_rows(kept, where)


def _known_regions(flavor: Flavor) -> int | None:
    try:
        return load_parcellation(flavor.parcellation).n_regions
    except FlavorError:
        return None  # a parcellation of the user's own: the file says its size


def _check_squares(squares: NDArray[Any], where: str) -> None:
    scale = np.nanmax(np.abs(squares), initial=0.0)
    difference = np.nanmax(np.abs(squares - squares.swapaxes(1, 2)), initial=0.0)
    if difference > SYMMETRY_TOLERANCE * scale:
        raise ConnectomeError(
            f"{where}: expected symmetric matrices; found entries (i, j) and (j, i) that differ "
            f"by up to {difference:g}. Make them symmetric, or check the file."
        )


def _check_rows(edges: Edges, where: str) -> Edges:
    """Rows that hold whole regions of NaN at most; one with too many of them is left out.

    Raises
    ------
    ConnectomeError
        If an edge is infinite, or single edges are NaN.
    """
    if np.isinf(edges).any():
        raise ConnectomeError(
            f"{where}: expected finite edges; found infinite ones. Leave that connectome out."
        )
    holes = np.isnan(edges)
    for row in np.flatnonzero(holes.any(axis=1) & ~holes.all(axis=1)):
        which = f"{where}, connectome {row + 1} of {len(edges)}"
        missing = find_missing_regions(edges_to_square(edges[row], diagonal=0.0), which)
        if missing.mean() > MAX_IMPUTED_SHARE:
            logger.warning(
                "%s is not used: %d of %d regions are missing, more than %g %%",
                which, missing.sum(), len(missing), 100 * MAX_IMPUTED_SHARE,
            )  # fmt: skip
            edges[row] = np.nan
    return edges


def join_subjects(parts: Sequence[Part]) -> tuple[str, ...]:
    """Union of the subjects named, in the order met; numbers where no file names any."""
    named = list(dict.fromkeys(s for part in parts for s in part.subjects or ()))
    n_subjects = len(named) or len(parts[0].edges)
    for part in parts:
        if part.subjects is None and len(part.edges) != n_subjects:
            raise InputError(
                f"expected {n_subjects} connectomes in {part.where}, as in the other inputs, "
                f"since it does not name its subjects; found {len(part.edges)}. Add an array of "
                "subjects."
            )
    return tuple(named) or tuple(str(number) for number in range(1, n_subjects + 1))


def join_parts(flavor: Flavor, parts: Iterable[Part], subjects: tuple[str, ...]) -> Edges:
    """Rows of all parts in the order of the subjects; NaN where a subject has none."""
    several = list(parts)
    widths = {part.edges.shape[1] for part in several}
    if len(widths) != 1:
        raise ConnectomeError(
            f"{flavor}: expected one number of edges; found {sorted(widths)} in "
            f"{', '.join(part.where for part in several)}. Give one parcellation per flavor."
        )
    if len(several) == 1 and several[0].subjects in {None, subjects}:
        return several[0].edges
    rows = {subject: row for row, subject in enumerate(subjects)}
    joined = np.full((len(subjects), widths.pop()), np.nan, several[0].edges.dtype)
    owner: dict[str, str] = {}
    for part in several:
        for subject, edges in zip(part.subjects or subjects, part.edges, strict=True):
            if subject in owner:
                raise InputError(
                    f"expected one {flavor} of subject {subject}; found it in {owner[subject]} "
                    f"and {part.where}. Give one of them."
                )
            owner[subject] = part.where
            joined[rows[subject]] = edges
    return joined
