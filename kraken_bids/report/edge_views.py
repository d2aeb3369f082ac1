"""Connections of one person at their places in the brain, seen from the left, above and right."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from kraken_bids.report import theme
from kraken_bids.report.brain_views import TOP, VIEW, WIDTH, View, draw_outlines, lay_out_views
from kraken_bids.report.colour_scale import draw_colour_bar
from kraken_bids.report.regions import order_groups
from kraken_bids.report.sections.brain import GlassBrain

if TYPE_CHECKING:
    from matplotlib.axes import Axes

KEY_LEFT = 780
Views = Sequence[tuple[GlassBrain, View]]


def draw_connections(brains: Mapping[str, GlassBrain]) -> bytes:
    """PNG with a row per title: the strongest connections, and regions coloured by network."""
    figure = theme.new_figure(WIDTH, len(brains) * (VIEW + TOP) + 16, scale=1.5)
    plane = theme.add_plane(figure)
    views: list[tuple[GlassBrain, View]] = []
    for row, (title, brain) in enumerate(brains.items()):
        top = row * (VIEW + TOP) + TOP
        theme.add_text(plane, 10, top - 18, title, va="center", fontsize=theme.NORMAL)
        place = KEY_LEFT - 34, top + 0.15 * VIEW, 9, 0.7 * VIEW
        draw_colour_bar(plane, place, *brain.scale, at_most=5)
        views += [(brain, view) for view in lay_out_views(brain.centres, top)]
    # of all views together, since many collections take long
    draw_outlines(plane, [view for _, view in views])
    _draw_lines(plane, views)
    _draw_dots(plane, views)
    _draw_key(plane, list(brains.values()))
    return theme.draw_png(figure)


def _draw_lines(plane: "Axes", views: Views) -> None:
    """Draw the connections between regions that are shown, the strongest on top."""
    lines, line_colours = [], []
    for brain, view in views:
        norm, colours = brain.scale
        first, second = np.nonzero(np.triu(brain.square, 1))
        within = view.shown[first] & view.shown[second]
        first, second = first[within], second[within]
        values = brain.square[first, second]
        order = np.argsort(np.abs(values), kind="stable")
        ends = np.stack([view.points[first], view.points[second]], axis=1)
        lines += list(ends[order])
        line_colours.append(colours(norm(values[order])))
    drawn = theme.collections.LineCollection(
        lines, colors=np.concatenate(line_colours), linewidths=1.2, zorder=2
    )
    plane.add_collection(drawn, autolim=False)


def _draw_dots(plane: "Axes", views: Views) -> None:
    """Draw the regions that are shown, larger the more connections end there."""
    sizes, colours = [], list[str]()
    for brain, view in views:
        sums = np.abs(brain.square).sum(axis=1)
        sizes.append((6 + 34 * sums / sums.max())[view.shown])
        colours += [brain.colours[brain.networks[k]] for k in np.flatnonzero(view.shown)]
    x, y = np.concatenate([view.points[view.shown] for _, view in views]).T
    style: dict[str, Any] = {"edgecolors": "white", "linewidths": 0.4, "zorder": 3}
    plane.scatter(x, y, s=np.concatenate(sizes), c=colours, **style)


def _draw_key(plane: "Axes", brains: Sequence[GlassBrain]) -> None:
    """Name the networks that any row has, in two columns beside the first one."""
    names = order_groups([name for brain in brains for name in brain.networks])
    columns, rows = np.divmod(np.arange(len(names)), max((len(names) + 1) // 2, 1))
    x, y = KEY_LEFT + 30 + 120 * columns, TOP + 22 + 20 * rows
    plane.scatter(x, y, s=22, c=[brains[0].colours[name] for name in names])
    for k, name in enumerate(names):
        theme.add_text(plane, x[k] + 10, y[k], name, va="center", fontsize=theme.SMALL)
