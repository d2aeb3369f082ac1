"""Values that a connectome of its kind cannot have, found while connectomes pass one by one."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from kraken_bids.flavors import Flavor
from kraken_bids.region_orders import count_regions
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


@dataclass(frozen=True)
class Values:
    """What is asked of one connectome's edges; NaN is none of them."""

    low: float
    high: float
    n_edges: int
    """Those that are there."""
    n_zeros: int
    n_regions: int = 0
    """Those that have so many pairs; 0 where no number of them has."""
    n_empty: int = 0
    """Regions that are 0 with all others."""
    negative: float = 0.0
    """Share of the absolute values that is negative, of SC."""
    are_whole: bool = False
    """Whether all are whole numbers, of SC."""


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

    def add(self, row: int, values: Values) -> None:
        """Take what one connectome's values are."""
        largest = max(values.high, -values.low)
        self.largest = max(self.largest, largest)
        is_fc = self.flavor.group == "FC"
        if values.n_empty >= max(1, 0 if is_fc else MAX_EMPTY * values.n_regions):
            self.empty[row] = values.n_empty
        if is_fc:
            if largest > MAX_CORRELATION:
                self.beyond.append(row)
            if row not in self.empty and values.n_zeros > MAX_ZEROS * values.n_edges:
                self.zeros.append(row)
            return
        if values.negative > MAX_NEGATIVE:
            self.negative.append(row)
        if self.flavor.processing != COUNT and values.are_whole:
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


def measure_values(
    flavor: Flavor, edges: NDArray[np.floating], present: NDArray[np.floating]
) -> Values:
    """Measure one connectome ``[n_edges]``, of which ``present`` are those that are not NaN."""
    low, high = float(present.min()), float(present.max())
    n_zeros = present.size - int(np.count_nonzero(present))
    is_sc = flavor.group == "SC"
    return Values(
        low,
        high,
        present.size,
        n_zeros,
        count_regions(edges.size),
        _count_empty(edges, n_zeros),
        _share_negative(present) if is_sc and low < 0 else 0.0,
        is_sc and flavor.processing != COUNT and _are_whole(present),
    )


def _count_empty(edges: NDArray[np.floating], n_zeros: int) -> int:
    n_regions = count_regions(edges.size)
    if n_zeros < n_regions - 1 or not n_regions:
        return 0
    first, second = np.triu_indices(n_regions, 1)
    has_edge = np.zeros(n_regions, bool)
    not_zero = edges != 0  # NaN is not zero either: its region is missing, not empty
    has_edge[first[not_zero]] = has_edge[second[not_zero]] = True
    return n_regions - int(has_edge.sum())


def some_rows(rows: list[int], n_subjects: int) -> tuple[int, ...]:
    """Rows that a doubt concerns; none where it concerns all."""
    return tuple(rows) if len(rows) < n_subjects else ()


def _share_negative(values: NDArray[np.floating]) -> float:
    size = float(np.abs(values).sum())
    return (size - float(values.sum())) / 2 / size


def _are_whole(values: NDArray[np.floating]) -> bool:
    # most are not, which a few of them show
    return not any((some != np.rint(some)).any() for some in (values[:FEW], values))
