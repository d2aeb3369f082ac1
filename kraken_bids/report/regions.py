"""Order and names in which regions are shown: network by network, left before right."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import cycle

import numpy as np
from numpy.typing import NDArray

from kraken_bids.parcellations import read_table
from kraken_bids.report import theme
from kraken_bids.report.section import Floats

MAX_LETTERS = 21


@dataclass(frozen=True)
class Layout:
    """Order in which regions are shown, group by group."""

    order: NDArray[np.intp]
    """[n_regions]."""
    names: tuple[str, ...]
    """Groups, in the order shown."""
    starts: NDArray[np.intp]
    """First shown position of each group, and n_regions at the end [n_groups + 1]."""
    lateral: NDArray[np.bool_]
    """Shown positions that are not in the left hemisphere [n_regions]."""

    @property
    def titles(self) -> tuple[str, ...]:
        """Groups in words that fit beside a figure."""
        known = _group_titles()
        return tuple(shorten(known.get(name, name)) for name in self.names)

    @property
    def middles(self) -> Floats:
        """Middle of each group, in shown positions [n_groups]."""
        return np.asarray((self.starts[:-1] + self.starts[1:]) / 2)


def order_groups(groups: Sequence[str]) -> tuple[str, ...]:
    """Order groups as they are shown: cortex first, then subcortex and cerebellum.

    Where ``data/region_groups.tsv`` does not know all of them, as they first appear.
    """
    known = list(_group_titles())
    names = tuple(dict.fromkeys(groups))
    return tuple(sorted(names, key=known.index)) if set(names) <= set(known) else names


def layout_regions(groups: Sequence[str], hemispheres: Sequence[str]) -> Layout:
    """Order of display: group by group, within them left before right.

    Parameters
    ----------
    groups : sequence of str
        Lobe, network or structure of each region.
    hemispheres : sequence of str
        ``L``, ``R`` or ``M`` of each region.
    """
    names = order_groups(groups)
    rank = np.array([names.index(group) for group in groups])
    side = np.array([{"L": 0, "R": 1}.get(h, 2) for h in hemispheres])
    order = np.lexsort((np.arange(len(rank)), side, rank))
    starts = np.searchsorted(rank[order], np.arange(len(names) + 1))
    return Layout(order, names, starts, (side > 0)[order])


def choose_colours(groups: Sequence[str]) -> dict[str, str]:
    """Choose the colour of each group, the same in every figure, in the order of display."""
    return dict(zip(order_groups(groups), cycle(theme.REGION_COLOURS), strict=False))


def group_colours(layout: Layout) -> Floats:
    """RGB colour of each shown region [n_regions, 3]: that of its group, paler if not left."""
    base = [theme.colors.to_rgb(colour) for colour in choose_colours(layout.names).values()]
    colours = np.repeat(base, np.diff(layout.starts), axis=0)
    return np.where(layout.lateral[:, None], 0.5 + 0.5 * colours, colours)


def spread_labels(wanted: Floats, *, gap: float, low: float, high: float) -> Floats:
    """Positions near the wanted ones that keep a gap and stay between low and high.

    Parameters
    ----------
    wanted : array [n]
        In ascending order.
    gap, low, high : float
        In the unit of the positions; the gap shrinks where not all of them fit.
    """
    gap = min(gap, (high - low) / max(len(wanted) - 1, 1))
    placed = np.asarray(wanted, dtype=float).copy()
    steps = np.arange(len(placed)) * gap
    placed = np.maximum.accumulate(np.maximum(placed, low) - steps) + steps
    back = steps[::-1]
    ceiling = np.minimum.accumulate((np.minimum(placed, high) + back)[::-1])[::-1] - back
    return np.asarray(np.minimum(placed, ceiling))


def shorten(name: str, length: int = MAX_LETTERS) -> str:
    """Name of at most so many letters, the rest an ellipsis."""
    return name if len(name) <= length else name[: length - 1] + "…"


@cache
def _group_titles() -> dict[str, str]:
    return {row["group"]: row["title"] for row in read_table("region_groups.tsv")}
