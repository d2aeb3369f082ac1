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
    draw_outlines,
    lay_out,
)
from kraken_bids.report.colour_scale import draw_colour_bar
from kraken_bids.report.regions import order_groups
from kraken_bids.report.section import Floats
from kraken_bids.report.sections.brain import GlassBrain

if TYPE_CHECKING:
    from matplotlib.axes import Axes

KEY_LEFT = 780


def draw_connections(brains: Mapping[str, GlassBrain]) -> bytes:
    """PNG with a row per title: the strongest connections, and regions coloured by network."""
    figure = theme.new_figure(WIDTH, len(brains) * (VIEW + TOP) + 16, scale=1.5)
    plane = theme.add_plane(figure)
    tops = np.arange(len(brains)) * (VIEW + TOP) + TOP
    for top, (title, brain) in zip(tops, brains.items(), strict=True):
        theme.add_text(plane, 10, top - 18, title, va="center", fontsize=theme.NORMAL)
        place = KEY_LEFT - 34, top + 0.15 * VIEW, 9, 0.7 * VIEW
        draw_colour_bar(plane, place, *_scale(brain), at_most=5)
    _draw_views(plane, brains, tops)
    _draw_key(plane, list(brains.values()))
    return theme.draw_png(figure)


def _draw_views(plane: "Axes", brains: Mapping[str, GlassBrain], tops: Floats) -> None:
    """Draw regions, and connections between those that are shown, all as one: many take long."""
    outlines, lines, line_colours, dots, sizes, dot_colours = [], [], [], [], [], []
    for top, brain in zip(tops, brains.values(), strict=True):
        norm, colours = _scale(brain)
        own = brain.colours
        networks = np.array([own[name] for name in brain.networks], object)
        sums = np.abs(brain.square).sum(axis=1)
        first, second = np.nonzero(np.triu(brain.square, 1))
        order = np.argsort(np.abs(brain.square[first, second]), kind="stable")
        first, second = first[order], second[order]
        for _, right, up, side, left in VIEWS:
            shown = choose_side(brain.centres, side)
            width = 262 if side else 182
            points = lay_out(
                brain.centres[:, [right, up]], shown, turned=side == "L", width=width
            ) + np.array([left, top])
            within = shown[first] & shown[second]
            ends = first[within], second[within]
            outlines.append(points[shown])
            lines.append(np.stack([points[end] for end in ends], axis=1))
            line_colours.append(colours(norm(brain.square[ends])))
            dots.append(points[shown])
            sizes.append((6 + 34 * sums / sums.max())[shown])
            dot_colours += list(networks[shown])
    draw_outlines(plane, outlines)
    plane.add_collection(
        theme.collections.LineCollection(
            list(np.concatenate(lines)),
            colors=np.concatenate(line_colours),
            linewidths=1.2,
            zorder=2,
        ),
        autolim=False,
    )
    x, y = np.concatenate(dots).T
    plane.scatter(
        x,
        y,
        s=np.concatenate(sizes),
        c=dot_colours,
        edgecolors="white",
        linewidths=0.4,
        zorder=3,
    )


def _scale(brain: GlassBrain) -> tuple["theme.colors.Normalize", "theme.colors.ListedColormap"]:
    high = float(np.abs(brain.shown).max())
    if (brain.shown < 0).any():
        return theme.colors.Normalize(-high, high), theme.diverging_colours()
    low = brain.threshold
    return theme.colors.Normalize(
        low, high if high > low else low * 1.01
    ), theme.strength_colours()


def _draw_key(plane: "Axes", brains: Sequence[GlassBrain]) -> None:
    """Name the networks that any row has, in two columns beside the first one."""
    names = order_groups([name for brain in brains for name in brain.networks])
    columns, rows = np.divmod(np.arange(len(names)), max((len(names) + 1) // 2, 1))
    x, y = KEY_LEFT + 30 + 120 * columns, TOP + 22 + 20 * rows
    plane.scatter(x, y, s=22, c=[brains[0].colours[name] for name in names])
    for k, name in enumerate(names):
        theme.add_text(plane, x[k] + 10, y[k], name, va="center", fontsize=theme.SMALL)
