"""Connectomes of one flavor in one file: checked against it, read in blocks of subjects."""

import logging
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kraken_bids.cohort.edge_columns import EdgeColumns, find_columns
from kraken_bids.cohort.row_axes import put_subjects_first
from kraken_bids.cohort.shape_hints import explain_shape
from kraken_bids.cohort.subject_names import list_few
from kraken_bids.connectome.matrices import edges_to_square, find_missing_regions, fold_square
from kraken_bids.exceptions import ConnectomeError, InputError, name_few
from kraken_bids.flavors import Flavor
from kraken_bids.io.stored_rows import Rows
from kraken_bids.parcellations import recognize_parcellation
from kraken_bids.region_spellings import order_edges, place_regions
from kraken_bids.settings import MAX_IMPUTED_SHARE

logger = logging.getLogger(__name__)

Edges = NDArray[np.floating]


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
    mirrored: set[int] = field(default_factory=set)
    """Rows, of those that were read, whose matrix holds one triangle only."""
    expect: Callable[[Sequence[int]], None] = lambda _order: None
    """Takes the order in which rows will be read, for files where that saves passes."""
    columns: EdgeColumns | None = None
    """The same numbers edge by edge, where they lie so in the file."""
    beside: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Lists beside connectomes without names of subjects: a value per row, none of them twice."""


def to_part(
    flavor: Flavor,
    array: Rows,
    where: str,
    subjects: tuple[str, ...] | None,
    *,
    regions: Sequence[str] | None = None,
) -> Part:
    """Connectomes of one flavor in one file; the numbers are checked as they are read.

    Parameters
    ----------
    array : array of shape (n_subjects, n_regions, n_regions) or (n_subjects, n_edges)
        Or one square matrix. In memory or on disk.
    where : str
        File and key, for messages.
    subjects : tuple of str or None
        Labels of the rows, where the file has them.
    regions : sequence of str, optional
        Names of the regions, where the file has them: in whatever order, edges come in the
        model's, with NaN for a region that is not there.

    Raises
    ------
    InputError
        If the labels do not fit the rows.
    ConnectomeError
        If the array has not the shape of its parcellation, or names of other regions; on reading,
        if a connectome is not symmetric, infinite, or NaN in part.
    """
    order = None if regions is None else find_order(flavor, regions, where)
    n_regions = known_regions(flavor) if order is None or regions is None else len(regions)
    array = put_subjects_first(array, n_regions, where)
    is_square = len(array.shape) == 3 and array.shape[1] == array.shape[2]
    n_regions = n_regions or (array.shape[1] if is_square else None)
    n_edges = n_regions * (n_regions - 1) // 2 if n_regions else (0, *array.shape)[-1]
    _check_shape(flavor, array, where, n_regions=n_regions, n_edges=n_edges)
    _check_subjects(subjects, array.shape[0], where)
    mirrored: set[int] = set()

    def read(start: int, stop: int) -> Edges:
        names = [
            f"{where}, connectome {row + 1} of {array.shape[0]}" for row in range(start, stop)
        ]
        edges, triangles = _to_edges(array[start:stop], names)
        mirrored.update(start + row for row in triangles)
        if order is not None:
            edges = np.where(order < 0, np.nan, edges[:, order])
        return _check_rows(edges, names)

    expect = getattr(array, "expect", lambda _order: None)
    columns = find_columns(array, n_regions or 0 if is_square else 0, n_edges)
    if order is not None:
        columns, n_edges = None, len(order)
    return Part(where, subjects, array.shape[0], n_edges, read, mirrored, expect, columns)


def find_order(flavor: Flavor, regions: Sequence[str], where: str) -> NDArray[np.integer] | None:
    """Where each edge of the model is among those of a file that names its regions.

    Returns
    -------
    ndarray of int, shape (n_edges,), or None
        As of :func:`kraken_bids.region_spellings.order_edges`; None too for a parcellation that
        the package has no table of.

    Raises
    ------
    ConnectomeError
        If names are those of other regions, one is there twice, or too many are not there.
    """
    table = recognize_parcellation(flavor.parcellation)
    if table is None:
        return None
    try:
        places = place_regions(table, regions)
    except ConnectomeError as error:
        raise ConnectomeError(f"{where}: {error}") from error
    found = set(places.tolist())
    missing = [name for place, name in enumerate(table.region_names) if place not in found]
    unknown = [name for name, place in zip(regions, places, strict=True) if place < 0]
    if len(missing) > MAX_IMPUTED_SHARE * table.n_regions:
        raise ConnectomeError(
            f"{where}: expected the {table.n_regions} regions of {table.name}, by name and in any "
            f"order (kraken_bids.region_names), at most {MAX_IMPUTED_SHARE:.0%} of them missing; "
            f"found {len(regions)} names, {len(unknown)} unknown ({name_few(unknown)}), and "
            f"{len(missing)} regions missing ({name_few(missing)}). Are they of another atlas? "
            "Connectomes of one cannot be turned into another's: measure again from the "
            "tractogram or BOLD (kraken-tools sc, fc)."
        )
    if missing:
        logger.warning(
            "%s: %d of %d regions are not among its rows (%s): they count as missing",
            where, len(missing), table.n_regions, name_few(missing),
        )  # fmt: skip
    order = order_edges(places, table.n_regions)
    if order is not None:
        logger.info("%s: rows are put into the order of %s by their names", where, table.name)
    return order


def to_table_part(
    flavor: Flavor,
    read_table: Callable[[], tuple[Sequence[str] | None, NDArray[Any]]],
    where: str,
    subject: str | None,
) -> Part:
    """One subject's square matrix in a text file, read when it is asked for.

    Parameters
    ----------
    read_table : callable
        Gives the names of the regions, where the file has them, and the matrix.
    where : str
        The file, for messages.
    subject : str or None
        Its label.
    """
    subjects = None if subject is None else (subject,)
    n_regions = known_regions(flavor)
    n_edges = (
        n_regions * (n_regions - 1) // 2
        if n_regions
        # of an atlas that is not known the file says the size; it is read again when asked for
        else to_part(flavor, read_table()[1], where, subjects).n_edges
    )
    mirrored: set[int] = set()

    def read(start: int, stop: int) -> Edges:
        regions, values = read_table()
        part = to_part(flavor, values, where, subjects, regions=regions)
        edges = part.read(start, stop)
        mirrored.update(part.mirrored)
        return edges

    return Part(where, subjects, 1, n_edges, read, mirrored)


def _check_shape(
    flavor: Flavor, array: Rows, where: str, *, n_regions: int | None, n_edges: int
) -> None:
    fits = array.shape[1:] in {(n_regions, n_regions), (n_edges,)}
    if not array.shape or not fits or array.dtype.kind not in "fiu":
        raise ConnectomeError(
            f"{where}: expected {flavor} as [n_subjects, {n_regions or 'n'}, "
            f"{n_regions or 'n'}] or [n_subjects, {n_edges}] numbers; found {array.dtype} of "
            f"shape {list(array.shape)}. {explain_shape(array.shape, flavor.parcellation)}"
        )
    if not array.shape[0]:
        raise ConnectomeError(
            f"{where}: expected {flavor} of at least one subject; found none. Leave this input "
            "out, or give a file with subjects."
        )


def _check_subjects(subjects: tuple[str, ...] | None, n_rows: int, where: str) -> None:
    if subjects is not None and len(subjects) != n_rows:
        raise InputError(
            f"expected as many subjects as connectomes in {where}; found {len(subjects)} names "
            f"and {n_rows} connectomes. Correct the list of subjects."
        )
    if subjects is not None and len(set(subjects)) != len(subjects):
        twice = [name for name, n in Counter(subjects).items() if n > 1]
        raise InputError(
            f"expected each subject once in {where}; found {list_few(twice)} more than once. "
            "Leave one of them out."
        )


def _to_edges(array: NDArray[Any], names: Sequence[str]) -> tuple[Edges, list[int]]:
    """``[n_subjects, n_edges]`` as floats; and the rows whose square holds one triangle only."""
    mirrored = []
    if array.ndim == 3:
        folded = [fold_square(square, name) for square, name in zip(array, names, strict=True)]
        mirrored = [row for row, (_, is_mirrored) in enumerate(folded) if is_mirrored]
        array = np.stack([edges for edges, _ in folded])
    elif len(array):
        _check_no_header(array[0], names[0])
    kept: Edges = np.asarray(array, np.float64 if array.dtype == np.float64 else np.float32)
    return kept, mirrored


def _check_no_header(row: NDArray[Any], where: str) -> None:
    """Refuse numbers of columns, which pandas writes above a table, as somebody's edges."""
    first = float(row[0]) if row.size > 2 else np.nan
    if first in (0, 1) and np.array_equal(row, np.arange(first, first + row.size)):
        raise ConnectomeError(
            f"{where}: expected edges; found the numbers {first:g} to {row[-1]:g}, which count "
            "the columns. Write the table without them (pandas: header=False, index=False)."
        )


def known_regions(flavor: Flavor) -> int | None:
    """Count the regions of a parcellation that the package has a table of."""
    known = recognize_parcellation(flavor.parcellation)
    return None if known is None else known.n_regions  # else the file says its size


def _check_rows(edges: Edges, names: Sequence[str]) -> Edges:
    """Rows that hold whole regions of NaN at most; one with too many of them is left out.

    Raises
    ------
    ConnectomeError
        If an edge is infinite, or single edges are NaN.
    """
    # a sum is finite only where every edge is: one pass, where nothing is missing
    for row in np.flatnonzero(~np.isfinite(edges.sum(axis=1))).tolist():
        if np.isinf(edges[row]).any():
            raise ConnectomeError(
                f"{names[row]}: expected finite edges; found {np.isinf(edges[row]).sum()} "
                "infinite ones. Leave that connectome out."
            )
        if np.isnan(edges[row]).all():
            continue
        missing = find_missing_regions(edges_to_square(edges[row], diagonal=0.0), names[row])
        if missing.mean() > MAX_IMPUTED_SHARE:
            logger.warning(
                "%s is not used: %d of %d regions are missing, more than %g %%",
                names[row], missing.sum(), len(missing), 100 * MAX_IMPUTED_SHARE,
            )  # fmt: skip
            edges = np.where(np.arange(len(edges))[:, None] == row, np.nan, edges)
    return edges
