"""Connectomes that lie edge by edge in their file: all subjects' edges in one pass over it."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from kraken_bids.cohort.read_ahead import read_ahead
from kraken_bids.cohort.triangles import Triangles
from kraken_bids.io.stored_rows import Rows

Edges = NDArray[np.floating]

BLOCK = 4096
"""Edges that are given at once, or a multiple: as they are multiplied."""


class Cells(Rows, Protocol):
    """Numbers that lie together cell by cell, each cell with those of all subjects."""

    @property
    def lies_by_cells(self) -> bool:
        """Whether they do."""

    def read_cells(self) -> Iterator[NDArray[Any]]:
        """Give them in the order of the file, ``[n_cells, n_rows]`` at once."""


@dataclass(frozen=True)
class EdgeColumns:
    """Edges of all rows of one file, in the order of the edges."""

    cells: Cells
    n_rows: int
    n_edges: int
    n_regions: int
    """Of squares; 0 where cells are edges."""

    def read(self, aside: set[int]) -> Iterator[Edges]:
        """Give edges ``[n_edges_of_block, n_rows]``, as many at once as are multiplied at once.

        Parameters
        ----------
        aside : set of int
            At the end it has the rows that must be read by themselves, whose edges here mean
            nothing: those that are not finite, not symmetric, or numbers of columns.
        """
        yield from _in_steps(
            self._read_squares(aside) if self.n_regions else self._read_edges(aside)
        )

    def _read_edges(self, aside: set[int]) -> Iterator[Edges]:
        total, place, start = np.zeros(self.n_rows), 0, None
        is_header = True  # pandas writes the numbers of the columns above a table
        for cells in read_ahead(self.cells.read_cells()):
            edges = _to_floats(cells)
            start = edges[0, 0] if start is None else start
            with np.errstate(invalid="ignore", over="ignore"):
                total += edges.sum(axis=0, dtype=np.float64)
                counted = start + np.arange(place, place + len(edges))
                is_header &= np.array_equal(edges[:, 0], counted)
            place += len(edges)
            yield edges
        aside.update(np.flatnonzero(~np.isfinite(total)).tolist(), [0] * is_header)

    def _read_squares(self, aside: set[int]) -> Iterator[Edges]:
        """Give the triangle that lies in the order of edges; the other must weigh the same."""
        triangles = Triangles(self.n_regions, self.n_rows)
        for edges in _in_steps(self._split(triangles)):
            triangles.add_own(edges)
            yield edges
        aside.update(triangles.list_unlike())

    def _split(self, triangles: Triangles) -> Iterator[Edges]:
        """Give what lies in the order of edges, column by column; weigh what lies across."""
        n, place = self.n_regions, 0
        for cells in read_ahead(self.cells.read_cells()):
            for column in range(place // n, -(-(place + len(cells)) // n)):
                first = column * n - place
                above = cells[max(first, 0) : max(first + column, 0)]
                below = cells[max(first + column + 1, 0) : first + n]
                if len(above):
                    triangles.add_other(_to_floats(above))
                if len(below):
                    yield below
            place += len(cells)


def find_columns(array: Rows, n_regions: int, n_edges: int) -> EdgeColumns | None:
    """Find a reader in blocks of edges, for an array that lies edge by edge in its file; or None.

    Parameters
    ----------
    array : array of shape (n_subjects, n_regions, n_regions) or (n_subjects, n_edges)
    n_regions : int
        0 where its cells are edges.
    """
    if not getattr(array, "lies_by_cells", False):
        return None
    cells: Any = array
    return EdgeColumns(cells, array.shape[0], n_edges, n_regions)


def _to_floats(cells: NDArray[Any]) -> Edges:
    return np.asarray(cells, np.float64 if cells.dtype == np.float64 else np.float32)


def _in_steps(pieces: Iterable[NDArray[Any]]) -> Iterator[Edges]:
    """Put pieces together into blocks of a multiple of BLOCK rows; the last may be shorter."""
    waiting: list[NDArray[Any]] = []
    n_waiting = 0
    for piece in pieces:
        waiting.append(piece)
        n_waiting += len(piece)
        if n_waiting >= BLOCK:
            # what is too much of the last piece waits: it is copied once, with the next block
            n_left = n_waiting % BLOCK
            waiting[-1] = piece[: len(piece) - n_left]
            yield _to_floats(np.concatenate(waiting))
            waiting, n_waiting = [piece[len(piece) - n_left :]], n_left
    if n_waiting:
        yield _to_floats(np.concatenate(waiting))
