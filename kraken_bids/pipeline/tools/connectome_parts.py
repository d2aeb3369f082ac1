"""Connectomes of a cohort in blocks: checked against their flavor, joined over subjects."""

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kraken_bids.connectome.matrices import edges_to_square, find_missing_regions, square_to_edges
from kraken_bids.exceptions import ConnectomeError, FlavorError, InputError
from kraken_bids.flavors import Flavor
from kraken_bids.parcellations import load_parcellation
from kraken_bids.pipeline.tools.stored_rows import Rows
from kraken_bids.settings import MAX_IMPUTED_SHARE

logger = logging.getLogger(__name__)

Edges = NDArray[np.floating]

SYMMETRY_TOLERANCE = 1e-4


@dataclass(frozen=True)
class Connectomes:
    """Connectomes of a cohort in memory."""

    subjects: tuple[str, ...]
    """Labels, one per row; ``01_ses-1`` where there are sessions."""
    edges: Mapping[Flavor, Edges]
    """``[n_subjects, n_edges]`` per flavor: NaN for missing regions, or a whole row of it where a
    subject lacks the flavor."""


@dataclass(frozen=True)
class Part:
    """Connectomes of one flavor in one file, read when they are asked for."""

    where: str
    subjects: tuple[str, ...] | None
    """Labels of the rows; None where the file does not say."""
    n_rows: int
    n_edges: int
    read: Callable[[int, int], Edges]
    """Checked edges of the rows from ``start`` to ``stop``."""


def to_part(flavor: Flavor, array: Rows, where: str, subjects: tuple[str, ...] | None) -> Part:
    """Connectomes of one flavor in one file; the numbers are checked as they are read.

    Parameters
    ----------
    flavor : Flavor
    array : array of shape (n_subjects, n_regions, n_regions) or (n_subjects, n_edges)
        Or one square matrix. In memory or on disk.
    where : str
        File and key, for messages.
    subjects : tuple of str or None
        Labels of the rows, where the file has them.

    Raises
    ------
    InputError
        If the labels do not fit the rows.
    ConnectomeError
        If the array has not the shape of its parcellation; on reading, if a connectome is not
        symmetric, infinite, or NaN in part.
    """
    n_regions = _known_regions(flavor)
    if _is_one_square(array.shape, n_regions):
        array = array[:][None]
    is_square = len(array.shape) == 3 and array.shape[1] == array.shape[2]
    n_regions = n_regions or (array.shape[1] if is_square else None)
    n_edges = n_regions * (n_regions - 1) // 2 if n_regions else array.shape[-1]
    fits = array.shape[1:] in {(n_regions, n_regions), (n_edges,)}
    if not fits or array.dtype.kind not in "fiu":
        raise ConnectomeError(
            f"{where}: expected {flavor} as [n_subjects, {n_regions or 'n'}, "
            f"{n_regions or 'n'}] or [n_subjects, {n_edges}] numbers; found {array.dtype} of "
            f"shape {list(array.shape)}. Check the flavor and the parcellation."
        )
    if not array.shape[0]:
        raise ConnectomeError(
            f"{where}: expected {flavor} of at least one subject; found none. Leave this input "
            "out, or give a file with subjects."
        )
    _check_subjects(subjects, array.shape[0], where)

    def read(start: int, stop: int) -> Edges:
        return _check_rows(_to_edges(array[start:stop], where), where, start, array.shape[0])

    return Part(where, subjects, array.shape[0], n_edges, read)


def to_table_part(
    flavor: Flavor, read_table: Callable[[], NDArray[Any]], where: str, subject: str
) -> Part:
    """One subject's square matrix in a text file, read when it is asked for.

    Parameters
    ----------
    flavor : Flavor
    read_table : callable
        Gives the matrix.
    where : str
        The file, for messages.
    subject : str
        Its label.
    """
    n_regions = _known_regions(flavor)
    if n_regions is None:
        return to_part(flavor, read_table(), where, (subject,))

    def read(start: int, stop: int) -> Edges:
        return to_part(flavor, read_table(), where, (subject,)).read(start, stop)

    return Part(where, (subject,), 1, n_regions * (n_regions - 1) // 2, read)


def _is_one_square(shape: tuple[int, ...], n_regions: int | None) -> bool:
    return len(shape) == 2 and shape[0] == shape[1] and n_regions in {None, shape[0]}


def _check_subjects(subjects: tuple[str, ...] | None, n_rows: int, where: str) -> None:
    if subjects is not None and len(subjects) != n_rows:
        raise InputError(
            f"expected as many subjects as connectomes in {where}; found {len(subjects)} names "
            f"and {n_rows} connectomes. Correct the list of subjects."
        )
    if subjects is not None and len(set(subjects)) != len(subjects):
        raise InputError(f"expected each subject once in {where}; found repeated names.")


def _to_edges(array: NDArray[Any], where: str) -> Edges:
    """``[n_subjects, n_edges]`` of squares or triangles, as floats."""
    if array.ndim == 3:
        _check_squares(array, where)
        array = square_to_edges(array)
    kept: Edges = np.asarray(array, np.float64 if array.dtype == np.float64 else np.float32)
    return kept


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


def _check_rows(edges: Edges, where: str, start: int, n_rows: int) -> Edges:
    """Rows that hold whole regions of NaN at most; one with too many of them is left out.

    Raises
    ------
    ConnectomeError
        If an edge is infinite, or single edges are NaN.
    """
    # a sum is finite only where every edge is: one pass, where nothing is missing
    for row in np.flatnonzero(~np.isfinite(edges.sum(axis=1))):
        if np.isinf(edges[row]).any():
            raise ConnectomeError(
                f"{where}: expected finite edges; found infinite ones. Leave that connectome out."
            )
        if np.isnan(edges[row]).all():
            continue
        which = f"{where}, connectome {start + row + 1} of {n_rows}"
        missing = find_missing_regions(edges_to_square(edges[row], diagonal=0.0), which)
        if missing.mean() > MAX_IMPUTED_SHARE:
            logger.warning(
                "%s is not used: %d of %d regions are missing, more than %g %%",
                which, missing.sum(), len(missing), 100 * MAX_IMPUTED_SHARE,
            )  # fmt: skip
            edges = np.where(np.arange(len(edges))[:, None] == row, np.nan, edges)
    return edges


def join_subjects(parts: Sequence[Part]) -> tuple[str, ...]:
    """Union of the subjects named, in the order met; numbers where no file names any."""
    named = list(dict.fromkeys(s for part in parts for s in part.subjects or ()))
    n_subjects = len(named) or parts[0].n_rows
    for part in parts:
        if part.subjects is None and part.n_rows != n_subjects:
            raise InputError(
                f"expected {n_subjects} connectomes in {part.where}, as in the other inputs, "
                f"since it does not name its subjects; found {part.n_rows}. Add an array of "
                "subjects."
            )
    return tuple(named) or tuple(str(number) for number in range(1, n_subjects + 1))


@dataclass(frozen=True)
class CohortRows:
    """Connectomes of one flavor over all subjects, in one file or many."""

    parts: tuple[Part, ...]
    places: tuple[tuple[int, int] | None, ...]
    """Of each subject: which part, and which row of it; None where it lacks the flavor."""
    n_edges: int

    def read(self, start: int, stop: int) -> Edges:
        """Edges of the subjects from ``start`` to ``stop``; NaN where one lacks the flavor."""
        pieces = []
        for part, first, n_rows in _list_runs(self.places[start:stop]):
            if part is None:
                pieces.append(np.full((n_rows, self.n_edges), np.nan, np.float32))
            else:
                pieces.append(self.parts[part].read(first, first + n_rows))
        return pieces[0] if len(pieces) == 1 else np.concatenate(pieces)

    def blocks(self, n_rows: int) -> Iterable[Edges]:
        """All rows, some at a time."""
        return (
            self.read(start, min(start + n_rows, len(self.places)))
            for start in range(0, len(self.places), n_rows)
        )


def join_rows(flavor: Flavor, parts: Iterable[Part], subjects: tuple[str, ...]) -> CohortRows:
    """Rows of all parts in the order of the subjects, read when they are asked for.

    Raises
    ------
    ConnectomeError
        If the parts differ in their number of edges.
    InputError
        If a subject is in two of them.
    """
    several = tuple(parts)
    widths = {part.n_edges for part in several}
    if len(widths) != 1:
        raise ConnectomeError(
            f"{flavor}: expected one number of edges; found {sorted(widths)} in "
            f"{', '.join(part.where for part in several)}. Give one parcellation per flavor."
        )
    places: dict[str, tuple[int, int]] = {}
    for index, part in enumerate(several):
        for row, subject in enumerate(part.subjects or subjects):
            if subject in places:
                raise InputError(
                    f"expected one {flavor} of subject {subject}; found it in "
                    f"{several[places[subject][0]].where} and {part.where}. Give one of them."
                )
            places[subject] = (index, row)
    return CohortRows(several, tuple(places.get(subject) for subject in subjects), widths.pop())


def join_parts(flavor: Flavor, parts: Iterable[Part], subjects: tuple[str, ...]) -> Edges:
    """Read the rows of all parts in the order of the subjects; NaN where a subject has none."""
    return join_rows(flavor, parts, subjects).read(0, len(subjects))


def _list_runs(
    places: Sequence[tuple[int, int] | None],
) -> Iterable[tuple[int | None, int, int]]:
    """Join consecutive rows of one part: part (None: absent), first row, number of rows."""
    runs: list[tuple[int | None, int, int]] = []
    for place in places:
        part, row = place or (None, 0)
        if runs and runs[-1][0] == part and (part is None or sum(runs[-1][1:]) == row):
            runs[-1] = (part, runs[-1][1], runs[-1][2] + 1)
        else:
            runs.append((part, row, 1))
    return runs
