"""Colour scales: the range and colours of matrices, and the values that a bar names."""

from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from kraken_bids.report import theme
from kraken_bids.report.plane import Plane
from kraken_bids.report.section import Floats, Group

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colorbar import Colorbar
    from matplotlib.colors import ListedColormap, Normalize

SAMPLED, MARGIN = 32, 0.02
"""Every so manyth value is looked at first; share of values by which these may mislead."""


def scale_of(squares: Sequence[Floats], group: Group) -> "Normalize":
    """One colour scale for all squares of a flavor, from the measured one where there is one.

    Parameters
    ----------
    squares : sequence of arrays [n_regions, n_regions]
        Measured and predicted; the diagonal and NaN do not count.
    group : {'FC', 'SC'}
        FC: symmetric around 0, up to the 99th percentile of the absolute values. SC: logarithmic,
        three decades below the 99.8th percentile.
    """
    values = np.concatenate([_drop_diagonal(s) for s in squares] or [np.zeros(1)])
    is_finite = np.isfinite(values)
    values = values if is_finite.all() else values[is_finite]
    if group == "FC":
        limit = _find_percentile(np.abs(values), 99) if values.size else 0.0
        return theme.colors.Normalize(-_round_up(limit), _round_up(limit))
    positive = values[values > 0]
    limit = _round_up(_find_percentile(positive, 99.8) if positive.size else 0.0)
    return theme.colors.LogNorm(limit / 1000, limit)


def _drop_diagonal(square: Floats) -> Floats:
    """All numbers [n * (n - 1)] of a square but its diagonal."""
    n = len(square)
    return np.ravel(square)[1:].reshape(n - 1, n + 1)[:, :-1].ravel() if n > 1 else np.zeros(0)


def _find_percentile(values: Floats, percent: float) -> float:
    """Percentile of finite values, as ``numpy.percentile`` in a fraction of the time."""
    place = percent / 100 * (len(values) - 1)
    # a part of the values tells which of them are too low to be among those that count
    low = np.quantile(values[::SAMPLED], max(0.0, percent / 100 - MARGIN))
    high = values[values >= low]
    if len(high) >= len(values) - int(place):
        place -= len(values) - len(high)
        values = high
    above = np.partition(values, int(place))[int(place) :]
    following = above[1:].min() if len(above) > 1 else above[0]
    return float(above[0] + (following - above[0]) * (place % 1))


def bounds_of(norm: "Normalize") -> tuple[float, float]:
    """Lowest and highest value of a scale."""
    return float(norm.vmin or 0.0), float(norm.vmax or 1.0)


def map_of(norm: "Normalize") -> "ListedColormap":
    """Colours of a scale: sequential where it is logarithmic, else diverging."""
    return (
        theme.sequential_colours()
        if isinstance(norm, theme.colors.LogNorm)
        else theme.diverging_colours()
    )


def _round_up(value: float) -> float:
    """Round up to two leading digits, so that colour bars end at a readable value."""
    if value <= 0:
        return 1.0
    step = 10.0 ** (np.floor(np.log10(value)) - 1)
    return float(np.ceil(value / step) * step)


def choose_ticks(norm: "Normalize", *, at_most: int = 7) -> tuple[tuple[float, str], ...]:
    """Values that a colour bar names, with their words; at most so many steps where linear."""
    return _choose_ticks(*bounds_of(norm), isinstance(norm, theme.colors.LogNorm), at_most)


@lru_cache(maxsize=1000)  # bounds are rounded: other people have the same
def _choose_ticks(
    low: float,
    high: float,
    is_log: bool,  # noqa: FBT001
    at_most: int,
) -> tuple[tuple[float, str], ...]:
    if is_log:
        powers = range(
            int(np.ceil(np.log10(low) - 1e-9)), int(np.floor(np.log10(high) + 1e-9)) + 1
        )
        return tuple((10.0**power, f"{10.0**power:g}") for power in powers)
    locator = theme.ticker.MaxNLocator(at_most, steps=[1, 2, 4, 5, 10])
    values = np.asarray(locator.tick_values(low, high), dtype=float)
    step = float(values[1] - values[0])
    digits = max(0, -int(np.floor(np.log10(step) + 1e-9)))
    inside = values[(values >= low - 1e-9) & (values <= high + 1e-9)]
    return tuple((float(v), f"{v:z.{digits}f}".replace("-", "−")) for v in inside)


def draw_colour_bar(
    plane: Plane,
    place: tuple[float, float, float, float],
    norm: "Normalize",
    colours: "ListedColormap",
    *,
    at_most: int,
) -> None:
    """Draw the colours of a scale upwards, and the values that some of them stand for.

    Parameters
    ----------
    place : tuple of float
        Left, top, width and height in CSS pixels.
    at_most : int
        Steps between the values.
    """
    left, top, width, height = place
    right, bottom = left + width, top + height
    rgb = theme.colors.to_rgba_array(colours.colors)[::-1, None, :3]
    plane.place(place, np.round(255 * rgb).astype(np.uint8))
    values, texts = zip(*choose_ticks(norm, at_most=at_most), strict=True)
    heights = bottom - height * np.asarray(norm(np.array(values)))
    marks = [[(right, y), (right + 3.5, y)] for y in heights]
    plane.add_lines(marks, colors=theme.MUTED, linewidths=0.6)
    for y, text in zip(heights, texts, strict=True):
        plane.write(right + 7, y, text, points=theme.SMALL, colour=theme.MUTED)


def fill_colour_bar(
    axes: "Axes", norm: "Normalize", colours: "ListedColormap", label: str, *, n_steps: int = 4
) -> "Colorbar":
    """Fill axes with the bar of a colour scale, ticks at round values, and say what it is of.

    Parameters
    ----------
    n_steps : int
        Most steps between ticks.
    """
    bar = theme.colorbar.Colorbar(axes, theme.cm.ScalarMappable(norm, colours))
    bar.outline.set_visible(False)
    bar.locator = theme.ticker.MaxNLocator(n_steps)
    bar.update_ticks()
    axes.tick_params(labelsize=theme.SMALL, colors=theme.MUTED, length=2.5, width=0.6)
    axes.set_ylabel(label, fontsize=theme.SMALL, color=theme.MUTED)
    return bar
