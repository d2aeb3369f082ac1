"""Values that a connectome of its kind cannot have, found while connectomes pass one by one."""

from dataclasses import dataclass, field
from math import isqrt

import numpy as np
from numpy.typing import NDArray

from kraken_bids.flavors import Flavor
from kraken_bids.scores.doubt_words import Doubt

MAX_CORRELATION = 1.001
MAX_NEGATIVE = 0.1
"""Share of the absolute values of SC that may be negative: harmonised sites have a few."""
MAX_ZEROS = 0.1
"""Share of correlations that may be exactly 0: measured ones never are, rounded ones seldom."""
MAX_EMPTY = 0.1
"""Share of regions that may be without any streamline."""
COUNT = "count"
FEW = 256


@dataclass
class EdgeValues:
    """Rows whose values a flavor cannot have."""

    flavor: Flavor
    largest: float = 0.0
    """Largest absolute value."""
    beyond: list[int] = field(default_factory=list)
    """Rows of correlations beyond 1."""
    zeros: list[int] = field(default_factory=list)
    """Rows of correlations of which many are exactly 0."""
    empty: dict[int, int] = field(default_factory=dict)
    """How many regions are 0 with all others, by row."""
    negative: list[int] = field(default_factory=list)
    """Rows of SC with too many negative edges."""
    counts: list[int] = field(default_factory=list)
    """Rows of whole numbers, of a flavor that divides or weights its streamlines."""

    def add(self, row: int, edges: NDArray[np.floating], present: NDArray[np.floating]) -> None:
        """Take one connectome ``[n_edges]``, and those of its edges that are not NaN."""
        low, high = float(present.min()), float(present.max())
        self.largest = max(self.largest, high, -low)
        n_zeros = present.size - int(np.count_nonzero(present))
        self._find_empty(row, edges, n_zeros)
        if self.flavor.group == "FC":
            if max(high, -low) > MAX_CORRELATION:
                self.beyond.append(row)
            if row not in self.empty and n_zeros > MAX_ZEROS * present.size:
                self.zeros.append(row)
            return
        if low < 0 and _share_negative(present) > MAX_NEGATIVE:
            self.negative.append(row)
        if self.flavor.processing != COUNT and _are_whole(present):
            self.counts.append(row)

    def list_doubts(self, n_subjects: int) -> list[Doubt]:
        """List what is unlikely, with the rows that it concerns."""
        flavor = self.flavor
        kinds = (
            (
                self.beyond,
                "correlations beyond 1, as of Fisher's z, covariances or percent",
                (("up to", f"{self.largest:.3g}"),),
                "Give correlations (numpy.tanh undoes Fisher's z).",
            ),
            (
                self.zeros,
                "many correlations are exactly 0, as after a threshold or rounding",
                (),
                "Give the connectomes as they were measured.",
            ),
            (
                self.negative,
                "many negative edges, which structure cannot have (logarithms? z-scores? "
                "function?)",
                (),
                "Give the connectomes as they were measured.",
            ),
            (
                self.counts,
                "all edges are whole numbers, as counts of streamlines are: this flavor divides "
                "or weights them",
                (),
                "Give them as the flavor that they are.",
            ),
        )
        doubts = [
            Doubt(flavor, claim, figures, remedy, some_rows(rows, n_subjects))
            for rows, claim, figures, remedy in kinds
            if rows
        ]
        return doubts + self._list_empty(n_subjects)

    def _list_empty(self, n_subjects: int) -> list[Doubt]:
        if not self.empty:
            return []
        numbers = sorted(set(self.empty.values()))
        figures = (("regions:", f"{numbers[0]}" + f" to {numbers[-1]}" * (len(numbers) > 1)),)
        return [
            Doubt(
                self.flavor,
                "regions are 0 with all others, as where zeros stand for what is missing",
                figures,
                "Write NaN where a region has no data: such regions are filled in; zeros are "
                "taken for measured.",
                some_rows(list(self.empty), n_subjects),
            )
        ]

    def _find_empty(self, row: int, edges: NDArray[np.floating], n_zeros: int) -> None:
        n_regions = (1 + isqrt(1 + 8 * edges.size)) // 2
        if n_zeros < n_regions - 1 or n_regions * (n_regions - 1) // 2 != edges.size:
            return
        first, second = np.triu_indices(n_regions, 1)
        has_edge = np.zeros(n_regions, bool)
        not_zero = edges != 0  # NaN is not zero either: its region is missing, not empty
        has_edge[first[not_zero]] = has_edge[second[not_zero]] = True
        n_empty = n_regions - int(has_edge.sum())
        least = 1 if self.flavor.group == "FC" else MAX_EMPTY * n_regions
        if n_empty and n_empty >= least:
            self.empty[row] = n_empty


def some_rows(rows: list[int], n_subjects: int) -> tuple[int, ...]:
    """Rows that a doubt concerns; none where it concerns all."""
    return tuple(rows) if len(rows) < n_subjects else ()


def _share_negative(values: NDArray[np.floating]) -> float:
    size = float(np.abs(values).sum())
    return (size - float(values.sum())) / 2 / size


def _are_whole(values: NDArray[np.floating]) -> bool:
    # most are not, which a few of them show
    return not any((some != np.rint(some)).any() for some in (values[:FEW], values))
