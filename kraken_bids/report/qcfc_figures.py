"""How connectomes of a cohort follow head motion, edge by edge."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.colors import LogNorm

from kraken_bids.report import theme
from kraken_bids.report.pages import Floats, MotionEffect
from kraken_bids.report.png import draw_png

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH = 1060.0
PER_ROW = 3
LEFT, TOP, BOTTOM = 62.0, 4.0, 40.0
TITLE = 46.0
HEIGHT = 150.0
MARGIN = 56.0
"""Of the histogram beside each cloud."""
GAP = 42.0
N_BINS = 50


def draw_motion_effects(effects: Sequence[MotionEffect]) -> bytes:
    """PNG of small multiples: each edge's correlation with motion against its length.

    Beside each cloud the histogram of the correlations, with what chance would give as a line.
    """
    n_rows = -(-len(effects) // PER_ROW)
    cell = (WIDTH - LEFT - 8 + GAP) / PER_ROW - GAP
    width = LEFT + 8 + min(PER_ROW, len(effects)) * (cell + GAP) - GAP
    figure = theme.new_figure(width, TOP + n_rows * (TITLE + HEIGHT + 20) + BOTTOM, scale=1.5)
    limit = find_limit(effects)
    for k, effect in enumerate(effects):
        left = LEFT + (k % PER_ROW) * (cell + GAP)
        top = TOP + (k // PER_ROW) * (TITLE + HEIGHT + 20) + TITLE
        axes = theme.add_box(figure, left, top, cell - MARGIN - 4, HEIGHT)
        _draw_cloud(axes, effect, limit)
        _draw_histogram(
            theme.add_box(figure, left + cell - MARGIN, top, MARGIN, HEIGHT), effect, limit
        )
    _name_axes(figure)
    return draw_png(figure)


def find_limit(effects: Sequence[MotionEffect]) -> float:
    """Half of the range of r that all small multiples share."""
    values = np.concatenate([effect.correlation for effect in effects] or [np.zeros(1)])
    values = np.abs(values[np.isfinite(values)])
    return min(1.0, max(0.3, 1.05 * float(np.percentile(values, 99.9)) if values.size else 0.3))


def chance_density(r: Floats, n_sessions: int) -> Floats:
    """Density of Pearson's r of unrelated values over so many sessions.

    Parameters
    ----------
    r : array [n], evenly spaced over -1 … 1
    n_sessions : int
        At least 4.

    Source
    ------
    Fisher 1915: proportional to (1 - r²)^((n - 4) / 2).
    """
    shape = np.clip(1 - np.asarray(r) ** 2, 0, 1) ** ((n_sessions - 4) / 2)
    return np.asarray(shape / (shape.sum() * (r[1] - r[0])))


def running_median(x: Floats, y: Floats, n_bins: int = 12) -> tuple[Floats, Floats]:
    """Median of y in bins of x that hold the same number of points: middles [n], medians [n]."""
    order = np.argsort(x, kind="stable")
    parts = [part for part in np.array_split(order, n_bins) if part.size]
    return (
        np.array([np.median(x[part]) for part in parts]),
        np.array([np.median(y[part]) for part in parts]),
    )


def _draw_cloud(axes: "Axes", effect: MotionEffect, limit: float) -> None:
    theme.style_axes(axes, grid="")
    axes.set_ylim(-limit, limit)
    style = {"transform": axes.transAxes, "fontsize": theme.SMALL}
    theme.add_text(axes, 0, 1.16, effect.flavor, weight="bold", **style)
    theme.add_text(axes, 0, 1.04, _numbers(effect), color=theme.MUTED, **style)
    x, y = np.asarray(effect.distance, float), np.asarray(effect.correlation, float)
    known = np.isfinite(x) & np.isfinite(y)
    x, y = x[known], y[known]
    if x.size < 3 or np.ptp(x) == 0:
        axes.set_xticks([])
        style |= {"ha": "center", "color": theme.MUTED}
        theme.add_text(axes, 0.5, 0.5, "places of regions unknown", **style)
        return
    edges = np.linspace(0, x.max(), N_BINS), np.linspace(-limit, limit, N_BINS)
    counts = np.histogram2d(x, y, edges)[0].T
    axes.pcolormesh(
        *edges,
        np.ma.masked_equal(counts, 0),
        norm=LogNorm(1, max(float(counts.max()), 2)),
        cmap=theme.sequential_colours(),
    )
    axes.axhline(0, color=theme.MUTED, linewidth=0.6)
    axes.plot(*running_median(x, y), color=theme.WARM, linewidth=1.6)
    axes.set_xlim(0, x.max())


def _draw_histogram(axes: "Axes", effect: MotionEffect, limit: float) -> None:
    axes.set_axis_off()
    r = np.asarray(effect.correlation, float)
    bins = np.linspace(-limit, limit, 41)
    counts = np.histogram(r[np.isfinite(r)], bins)[0]
    heights = counts / max(counts.sum(), 1) / np.diff(bins)
    axes.barh(bins[:-1], heights, np.diff(bins), align="edge", color=theme.ACCENT, alpha=0.55)
    grid = np.linspace(-1, 1, 2001)
    density = chance_density(grid, effect.n_sessions)
    axes.plot(density, grid, color=theme.TEXT, linewidth=1.0, linestyle=(0, (3, 2)))
    axes.set(
        ylim=(-limit, limit), xlim=(0, 1.05 * max(float(heights.max()), float(density.max())))
    )


def _name_axes(figure: "Figure") -> None:
    full = theme.add_box(figure, 0, 0, *(figure.get_size_inches() * 100))
    full.set_axis_off()
    full.patch.set_visible(False)
    style = {"transform": full.transAxes, "color": theme.MUTED}
    theme.add_text(
        full, 0.5, 0.008, "distance of the two regions (mm)", ha="center", va="bottom", **style
    )
    theme.add_text(
        full, 0.002, 0.5, "correlation with head motion", rotation=90, va="center", **style
    )


def _numbers(effect: MotionEffect) -> str:
    rho = "–" if effect.distance_rho is None else f"{effect.distance_rho:z.2f}".replace("-", "−")
    return f"median |r| {effect.median_abs_r:.2f} (chance {effect.chance_abs_r:.2f})   ρ {rho}"
