"""What connectomes are checked for, of files in which everybody's edges pass one by one."""

from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from kraken_bids.region_orders import count_regions
from kraken_bids.scores.edge_values import COUNT, Values
from kraken_bids.scores.plausibility import InputCheck

Edges = NDArray[np.floating]
Sums = NDArray[np.float64]
TWIN_DIGITS = 9
"""Equal columns give equal sums up to rounding."""
STEP_VALUES = 1 << 16
"""Numbers that are looked at at once, so that they stay in a processor's cache."""


class ColumnCheck:
    """What is kept of edges ``[n_edges, n_rows]`` while they pass in blocks.

    Parameters
    ----------
    check : InputCheck
        It is told at the end.
    groups : ndarray of shape (n_groups, n_rows)
        Weights by which rows are summed, edge by edge.
    """

    def __init__(self, check: InputCheck, n_edges: int, groups: Sums) -> None:
        n_rows = groups.shape[1]
        self._check, self._n_edges = check, n_edges
        self._groups, self._number_of_group = np.unique(groups, axis=0, return_inverse=True)
        self._is_sc = check.flavor.group == "SC"
        self._n_regions = count_regions(n_edges)
        self._firsts = _list_first_edges(self._n_regions)
        self._targets = check.list_targets()
        self._place = 0
        self._step = max(1, STEP_VALUES // n_rows)
        self._ones = np.ones(min(self._step, n_edges))
        self._low, self._high = np.full(n_rows, np.inf), np.full(n_rows, -np.inf)
        self._total, self._squares, self._negative = np.zeros((3, n_rows))
        self._n_zeros = np.zeros(n_rows, np.int64)
        self._has_edge = np.zeros((self._n_regions, n_rows), bool)
        self._are_whole = np.full(n_rows, self._is_sc and check.flavor.processing != COUNT)
        self._products = np.zeros((len(self._targets), n_rows))
        self._sums = np.empty((len(self._groups), n_edges))

    def watch(self, blocks: Iterable[Edges]) -> Iterator[Edges]:
        """Let blocks pass, from the first edge to the last, and keep what is asked of them."""
        for block in blocks:
            with np.errstate(invalid="ignore", over="ignore"):
                self._add(block)
            yield block

    @property
    def sums(self) -> Sums:
        """Sums of edges ``[n_groups, n_edges]``."""
        return self._sums[self._number_of_group.reshape(-1)]

    @property
    def vary(self) -> NDArray[np.bool_]:
        """Whether the edges of each row differ among each other."""
        return np.asarray(self._low < self._high)

    def tell(self, rows: NDArray[np.int64], is_told: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Tell the check of the rows that are chosen, by the numbers that they have there.

        Returns
        -------
        ndarray of shape (n_rows,)
            Whether each does not resemble the training mean.
        """
        deviation = np.sqrt(np.maximum(self._squares - self._total**2 / self._n_edges, 0.0))
        fits = self._products / np.where(deviation > 0, deviation, 1.0)
        n_empty = self._n_regions - self._has_edge.sum(axis=0)
        for place in np.flatnonzero(is_told).tolist():
            row, look = int(rows[place]), None
            if len(fits):
                own, *others = fits[:, place].tolist()
                self._check.take_fits(row, own, others)
                look = _round(own), _round(deviation[place]), _round(self._total[place])
            self._check.take(row, self._list_values(place, int(n_empty[place])), look)
        return np.isin(rows, self._check.unlike)

    def _list_values(self, place: int, n_empty: int) -> Values:
        negative, total = float(self._negative[place]), float(self._total[place])
        return Values(
            float(self._low[place]),
            float(self._high[place]),
            self._n_edges,
            int(self._n_zeros[place]),
            self._n_regions,
            n_empty,
            negative / (2 * negative + total) if negative else 0.0,
            bool(self._are_whole[place]),
        )

    def _add(self, block: Edges) -> None:
        """Take some edges at a time, so few that they stay in a processor's cache."""
        for start in range(0, len(block), self._step):
            self._add_part(block[start : start + self._step])

    def _add_part(self, block: Edges) -> None:
        part = slice(self._place, self._place + len(block))
        self._place = part.stop
        wide = block.astype(np.float64, copy=False)
        low = block.min(axis=0)
        self._low = np.minimum(self._low, low)
        self._high = np.maximum(self._high, block.max(axis=0))
        self._total += self._ones[: len(block)] @ wide
        self._squares += np.einsum("er,er->r", wide, wide)
        for number, target in enumerate(self._targets):
            self._products[number] += target[part] @ wide
        for group, sums in zip(self._groups, self._sums, strict=True):
            np.einsum("er,r->e", wide, group, out=sums[part])  # whatever threads a library has
        self._mark_regions(block != 0, part)
        if self._is_sc and low.min() < 0:
            self._negative -= np.minimum(wide, 0).sum(axis=0)
        if self._are_whole.any():
            some = block[:, self._are_whole]
            self._are_whole[self._are_whole] = (some == np.rint(some)).all(axis=0)

    def _mark_regions(self, is_edge: NDArray[np.bool_], part: slice) -> None:
        """Count edges of 0, and note the regions of the others."""
        if not is_edge.all():
            self._n_zeros += len(is_edge) - np.count_nonzero(is_edge, axis=0)
        if not self._n_regions or self._has_edge.all():
            return
        begin = int(np.searchsorted(self._firsts, part.start, side="right")) - 1
        for region in range(begin, self._n_regions - 1):
            first = int(self._firsts[region])
            if first >= part.stop:
                break
            start, stop = (
                max(first, part.start),
                min(first + self._n_regions - 1 - region, part.stop),
            )
            own = is_edge[start - part.start : stop - part.start]
            self._has_edge[region] |= own.any(axis=0)
            other = region + 1 + start - first
            self._has_edge[other : other + len(own)] |= own


def sum_columns(blocks: Iterable[Edges], groups: Sums) -> Sums:
    """Sum rows of edges ``[n_edges, n_rows]`` by weights ``[n_groups, n_rows]``, edge by edge.

    Rows without weight may hold anything. Returns ``[n_groups, n_edges]``.
    """
    is_used = groups.any(axis=0)
    weights = groups[:, is_used]
    sums = [weights @ block[:, is_used].astype(np.float64).T for block in blocks]
    return np.concatenate(sums, axis=1)


def _list_first_edges(n_regions: int) -> NDArray[np.int64]:
    """List which edge is each region's first with those after it."""
    regions = np.arange(max(n_regions - 1, 0))
    return regions * (2 * n_regions - regions - 1) // 2


def _round(value: float) -> float:
    return float(f"{value:.{TWIN_DIGITS}g}")
