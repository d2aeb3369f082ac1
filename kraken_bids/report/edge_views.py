"""Connections of one person at their places in the brain, seen from the left, above and right."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from kraken_bids.report import theme
from kraken_bids.report.brain_views import (
    TOP,
    VIEW,
    VIEWS,
    WIDTH,
    choose_side,
    draw_outline,
    lay_out,
)
from kraken_bids.report.regions import order_groups
from kraken_bids.report.section import Booleans, Floats
from kraken_bids.report.sections.brain import GlassBrain

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

KEY_LEFT = 780


def draw_connections(brains: Mapping[str, GlassBrain]) -> bytes:
    """PNG with a row per title: the strongest connections, and regions coloured by network."""
    figure = theme.new_figure(WIDTH, len(brains) * (VIEW + TOP) + 16, scale=1.5)
    plane = theme.add_plane(figure)
    for row, (title, brain) in enumerate(brains.items()):
        top = row * (VIEW + TOP) + TOP
        theme.add_text(plane, 10, top - 18, title, va="center", fontsize=theme.NORMAL)
        for _, right, up, side, left in VIEWS:
            shown = choose_side(brain.centres, side)
            points = lay_out(
                brain.centres[:, [right, up]],
                shown,
                turned=side == "L",
                width=262 if side else 182,
            )
            _draw_edges(plane, brain, points + np.array([left, top]), shown)
        _draw_colours(figure, brain, top)
    _draw_key(plane, list(brains.values()))
    return theme.draw_png(figure)


def _draw_edges(plane: "Axes", brain: GlassBrain, points: Floats, shown: Booleans) -> None:
    """Draw the connections between regions that are shown, and these."""
    draw_outline(plane, points[shown])
    first, second = np.nonzero(np.triu(brain.square, 1))
    within = shown[first] & shown[second]
    first, second = first[within], second[within]
    values = brain.square[first, second]
    order = np.argsort(np.abs(values), kind="stable")
    norm, colours = _scale(brain)
    lines = theme.collections.LineCollection(
        list(np.stack([points[first[order]], points[second[order]]], axis=1)),
        array=values[order],
        cmap=colours,
        norm=norm,
        linewidths=1.2,
        zorder=2,
    )
    plane.add_collection(lines)
    sums = np.abs(brain.square).sum(axis=1)
    sizes = 6 + 34 * sums / sums.max()
    node_colours = np.array([brain.colours[name] for name in brain.networks], object)
    plane.scatter(
        points[shown, 0],
        points[shown, 1],
        s=sizes[shown],
        c=list(node_colours[shown]),
        edgecolors="white",
        linewidths=0.4,
        zorder=3,
    )


def _scale(brain: GlassBrain) -> tuple["theme.colors.Normalize", "theme.colors.Colormap"]:
    high = float(np.abs(brain.shown).max())
    if (brain.shown < 0).any():
        return theme.colors.Normalize(-high, high), theme.diverging_colours()
    low = brain.threshold
    return theme.colors.Normalize(
        low, high if high > low else low * 1.01
    ), theme.strength_colours()


def _draw_colours(figure: "Figure", brain: GlassBrain, top: float) -> None:
    norm, colours = _scale(brain)
    axes = theme.add_box(figure, KEY_LEFT - 34, top + 0.15 * VIEW, 9, 0.7 * VIEW)
    bar = theme.colorbar.Colorbar(axes, theme.cm.ScalarMappable(norm, colours), drawedges=False)
    bar.outline.set_visible(False)
    bar.locator = theme.ticker.MaxNLocator(4)
    bar.update_ticks()
    axes.tick_params(labelsize=theme.SMALL, colors=theme.MUTED, length=2.5, width=0.6)


def _draw_key(plane: "Axes", brains: Sequence[GlassBrain]) -> None:
    """Name the networks that any row has, in two columns beside the first one."""
    names = order_groups([name for brain in brains for name in brain.networks])
    colours = brains[0].colours
    n_rows = max((len(names) + 1) // 2, 1)
    for k, name in enumerate(names):
        column, row = divmod(k, n_rows)
        x, y = KEY_LEFT + 30 + 120 * column, TOP + 22 + 20 * row
        plane.scatter([x], [y], s=22, c=[colours[name]])
        theme.add_text(plane, x + 10, y, name, va="center", fontsize=theme.SMALL)
