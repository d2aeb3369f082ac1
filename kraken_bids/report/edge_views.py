"""Connections of one person at their places in the brain, seen from the left, above and right."""

from collections.abc import Mapping, Sequence

import numpy as np

from kraken_bids.report import theme
from kraken_bids.report.brain_views import TOP, VIEW, WIDTH, View, draw_outlines, lay_out_views
from kraken_bids.report.colour_scale import draw_colour_bar
from kraken_bids.report.plane import Plane
from kraken_bids.report.regions import order_groups
from kraken_bids.report.sections.brain import GlassBrain

KEY_LEFT = 780
Views = Sequence[tuple[GlassBrain, View]]


def draw_connections(brains: Mapping[str, GlassBrain]) -> bytes:
    """PNG with a row per title: the strongest connections, and regions coloured by network."""
    figure = theme.new_figure(WIDTH, len(brains) * (VIEW + TOP) + 16, scale=1.5)
    plane = Plane(figure)
    views: list[tuple[GlassBrain, View]] = []
    for row, (title, brain) in enumerate(brains.items()):
        top = row * (VIEW + TOP) + TOP
        plane.write(10, top - 18, title)
        place = KEY_LEFT - 34, top + 0.15 * VIEW, 9, 0.7 * VIEW
        draw_colour_bar(plane, place, *brain.scale, at_most=5)
        views += [(brain, view) for view in lay_out_views(brain.centres, top)]
    # of all views together, since many collections take long
    draw_outlines(plane, [view for _, view in views])
    _draw_lines(plane, views)
    _draw_dots(plane, views)
    _draw_key(plane, list(brains.values()))
    return plane.draw()


def _draw_lines(plane: Plane, views: Views) -> None:
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
    plane.add_lines(lines, colors=np.concatenate(line_colours), linewidths=1.2)


def _draw_dots(plane: Plane, views: Views) -> None:
    """Draw the regions that are shown, larger the more connections end there."""
    sizes, colours = [], []
    for brain, view in views:
        sums = np.abs(brain.square).sum(axis=1)
        sizes.append((6 + 34 * sums / sums.max())[view.shown])
        names = list(brain.colours)
        rgb = theme.colors.to_rgba_array(list(brain.colours.values()))
        networks = [names.index(brain.networks[k]) for k in np.flatnonzero(view.shown)]
        colours.append(rgb[networks])
    places = np.concatenate([view.points[view.shown] for _, view in views])
    style = {"facecolors": np.concatenate(colours), "edgecolors": "white", "linewidths": 0.4}
    plane.add_dots(places, np.concatenate(sizes), **style)


def _draw_key(plane: Plane, brains: Sequence[GlassBrain]) -> None:
    """Name the networks that any row has, in two columns beside the first one."""
    names = order_groups([name for brain in brains for name in brain.networks])
    columns, rows = np.divmod(np.arange(len(names)), max((len(names) + 1) // 2, 1))
    x, y = KEY_LEFT + 30 + 120 * columns, TOP + 22 + 20 * rows
    colours = [brains[0].colours[name] for name in names]
    plane.add_dots(np.column_stack([x, y]), 38, facecolors=colours)
    for k, name in enumerate(names):
        plane.write(x[k] + 10, y[k], name, points=theme.SMALL)
