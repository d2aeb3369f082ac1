"""Colours of a connectome's cells, and the scale that measured and predicted ones share."""

from collections.abc import Sequence

import numpy as np
from matplotlib.colors import ListedColormap, LogNorm, Normalize
from numpy.typing import NDArray

from kraken_bids.report import theme
from kraken_bids.report.pages import Floats, Group
from kraken_bids.report.png import Bytes
from kraken_bids.report.regions import Layout

MISSING = np.array([214, 219, 224], dtype=np.uint8)
HATCH = np.array([160, 168, 176], dtype=np.uint8)
BELOW = np.array([250, 250, 248], dtype=np.uint8)
DIAGONAL = np.array([255, 255, 255], dtype=np.uint8)
BORDER = np.array([141, 152, 161], dtype=np.uint8)
"""Between groups of regions."""
EXTRA = ("below", "diagonal", "missing", "hatch", "border")
N_BELOW, N_DIAGONAL, N_MISSING, N_HATCH, N_BORDER = range(
    theme.N_LEVELS, theme.N_LEVELS + len(EXTRA)
)


def scale_of(squares: Sequence[Floats], group: Group) -> Normalize:
    """One colour scale for all squares of a flavor, from the measured one where there is one.

    Parameters
    ----------
    squares : sequence of arrays [n_regions, n_regions]
        Measured and predicted; the diagonal and NaN do not count.
    group : {'FC', 'SC'}
        FC: symmetric around 0, up to the 99th percentile of the absolute values. SC: logarithmic,
        three decades below the 99.8th percentile.
    """
    values = np.concatenate([s[~np.eye(len(s), dtype=bool)] for s in squares] or [np.zeros(1)])
    values = values[np.isfinite(values)]
    if group == "FC":
        limit = float(np.percentile(np.abs(values), 99)) if values.size else 0.0
        return Normalize(-_round_up(limit), _round_up(limit))
    positive = values[values > 0]
    limit = _round_up(float(np.percentile(positive, 99.8)) if positive.size else 0.0)
    return LogNorm(limit / 1000, limit)


def colours_of(norm: Normalize) -> Bytes:
    """Colours [27 + 5, 3] of the numbers of :func:`number_square`."""
    levels = np.round(255 * np.asarray(_map_of(norm).colors)[:, :3]).astype(np.uint8)
    return np.concatenate([levels, np.stack([BELOW, DIAGONAL, MISSING, HATCH, BORDER])])


def number_square(square: Floats, *, layout: Layout, norm: Normalize, cell: int) -> Bytes:
    """Colour of every pixel of one matrix in display order.

    Parameters
    ----------
    square : array [n_regions, n_regions]
        Values; NaN where not measured, which is hatched.
    layout : Layout
        Order of the regions; a line of one pixel stands between groups.
    norm : Normalize
        From :func:`scale_of`.
    cell : int
        Pixels per region.

    Returns
    -------
    uint8 array [n, n], n = n_regions * cell + n_groups - 1
        Rows of :func:`colours_of`.
    """
    shown = np.asarray(square, dtype=float)[np.ix_(layout.order, layout.order)]
    missing = ~np.isfinite(shown)
    # zeros, and negative values of a linear decoder, lie below a logarithmic scale
    below = shown < bounds_of(norm)[0] if isinstance(norm, LogNorm) else np.zeros_like(missing)
    level = norm(np.where(missing | below, bounds_of(norm)[1], shown)) * theme.N_LEVELS
    numbers = np.clip(np.asarray(level), 0, theme.N_LEVELS - 1).astype(np.uint8)
    numbers[below] = N_BELOW
    np.fill_diagonal(numbers, N_DIAGONAL)
    numbers[missing] = N_MISSING
    places = spread_regions(layout, cell)
    numbers = np.pad(numbers, (0, 1), constant_values=N_BORDER)[np.ix_(places, places)]
    if missing.any():
        stripes = np.add.outer(np.arange(len(places)), np.arange(len(places))) % 12 < 3
        numbers[stripes & (numbers == N_MISSING)] = N_HATCH
    return np.asarray(numbers, dtype=np.uint8)


def spread_regions(layout: Layout, cell: int) -> NDArray[np.intp]:
    """Shown position of the region under each pixel; -1 on the lines between groups."""
    groups = np.split(np.arange(len(layout.order)), layout.starts[1:-1])
    parts = [np.append(group.repeat(cell), -1) for group in groups]
    return np.concatenate(parts)[:-1]


def bounds_of(norm: Normalize) -> tuple[float, float]:
    """Lowest and highest value of a scale."""
    return float(norm.vmin or 0.0), float(norm.vmax or 1.0)


def _map_of(norm: Normalize) -> ListedColormap:
    return theme.sequential_colours() if isinstance(norm, LogNorm) else theme.diverging_colours()


def _round_up(value: float) -> float:
    """Round up to two leading digits, so that colour bars end at a readable value."""
    if value <= 0:
        return 1.0
    step = 10.0 ** (np.floor(np.log10(value)) - 1)
    return float(np.ceil(value / step) * step)
