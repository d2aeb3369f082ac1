"""How far the regions of one person are from controls, at their places in the brain."""

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from kraken_bids.connectome.labels.region_places import load_centres
from kraken_bids.report import theme
from kraken_bids.report.section import Booleans, Floats
from kraken_bids.report.written import Columns
from kraken_bids.scores.discordance import MEASURES, RATE

if TYPE_CHECKING:
    from matplotlib.axes import Axes

FULL_COLOUR = 5.0
"""z at which a colour is full."""
MAX_NAMES = 5
"""Regions that a view names."""
WIDTH, VIEW, TOP = 1060.0, 190.0, 34.0
VIEWS = (("left", 1, 2, "L", 10), ("from above", 0, 1, "", 276), ("right", 1, 2, "R", 462))
"""Title, axes of MNI space to the right and up, the hemisphere shown, and place from the left."""
TITLES = {
    "shift": "shift: blue: more weakly connected than expected, red: more strongly",
    "size": "size: red: farther from the prediction than controls, blue: nearer",
}


def draw_deviations(flavor: str, columns: Columns) -> bytes:
    """PNG of the z of every region at its place in the brain, and of networks beside it."""
    centres = load_centres(flavor.split("_")[1])
    is_region = columns["level"] == "region"
    figure = theme.new_figure(WIDTH, len(MEASURES) * (VIEW + TOP) + 28, scale=1.5)
    for row, measure in enumerate(MEASURES):
        top = row * (VIEW + TOP) + TOP
        z, q = (columns[f"{measure}_{name}"][is_region] for name in ("z", "q"))
        if len(centres) == len(z):
            names = columns["name"][is_region]
            for title, right, up, side, left in VIEWS:
                width = 262 if side else 182
                axes = theme.add_box(figure, left, top, width, VIEW)
                shown = _choose_side(centres, side)
                _draw_view(axes, centres[:, [right, up]], shown, turned=side == "L")
                _draw_dots(axes, centres[:, [right, up]], z, q <= RATE, shown, names)
                style: dict[str, Any] = {"transform": axes.transAxes, "color": theme.MUTED}
                theme.add_text(axes, 0.5, -0.02, title, ha="center", fontsize=theme.SMALL, **style)
        axes = theme.add_box(figure, 850, top, 190, VIEW - 22)
        _draw_networks(axes, columns, measure)
        full = theme.add_box(figure, 10, top - TOP + 6, 700, 20)
        full.set_axis_off()
        style = {"transform": full.transAxes, "fontsize": theme.NORMAL}
        theme.add_text(full, 0, 0.2, TITLES[measure], **style)
    return theme.draw_png(figure)


def _choose_side(centres: Floats, side: str) -> Booleans:
    x = centres[:, 0]
    return np.isfinite(x) & ((x <= 0) if side == "L" else (x >= 0) if side == "R" else True)


def _draw_view(axes: "Axes", points: Floats, shown: Booleans, *, turned: bool) -> None:
    """Draw the outline of the regions, a centimetre around them."""
    from scipy.spatial import ConvexHull

    axes.set_axis_off()
    axes.set_aspect("equal")
    inside = points[shown]
    outline = theme.patches.Polygon(
        inside[ConvexHull(inside).vertices],
        facecolor=theme.EMPTY,
        edgecolor=theme.EMPTY,
        linewidth=16,
        joinstyle="round",
        zorder=0,
    )
    axes.add_patch(outline)
    low, high = inside.min(axis=0) - 14, inside.max(axis=0) + 14
    axes.set(xlim=(high[0], low[0]) if turned else (low[0], high[0]), ylim=(low[1], high[1]))


def _draw_dots(  # noqa: PLR0917
    axes: "Axes",
    points: Floats,
    z: Floats,
    found: Booleans,
    shown: Booleans,
    names: NDArray[Any],
) -> None:
    known = shown & np.isfinite(z)
    order = np.flatnonzero(known)[np.argsort(np.abs(z[known]), kind="stable")]
    norm = theme.colors.Normalize(-FULL_COLOUR, FULL_COLOUR)
    axes.scatter(
        points[order, 0],
        points[order, 1],
        s=4 + 9 * np.minimum(np.abs(z[order]), FULL_COLOUR),
        c=z[order],
        cmap=theme.diverging_colours(),
        norm=norm,
        edgecolors=[theme.TEXT if found[k] else theme.LINE for k in order],
        linewidths=[1.5 if found[k] else 0.4 for k in order],
    )
    strongest = [k for k in order[::-1] if found[k]][:MAX_NAMES]
    for k in strongest:
        theme.add_text(
            axes,
            points[k, 0],
            points[k, 1] + 5,
            str(names[k]),
            fontsize=6.5,
            ha="center",
            va="bottom",
        )


def _draw_networks(axes: "Axes", columns: Columns, measure: str) -> None:
    """Draw z of the brain and of each network, with what chance gives in 19 of 20 cases."""
    rows = np.flatnonzero(columns["level"] != "region")
    z, q = columns[f"{measure}_z"][rows], columns[f"{measure}_q"][rows]
    places = np.arange(len(rows))
    axes.axvspan(-1.96, 1.96, color=theme.EMPTY, zorder=0)
    axes.axvline(0, color=theme.MUTED, linewidth=0.6)
    limit = max(4.0, 1.1 * float(np.nanmax(np.abs(z), initial=0.0)))
    colours = [theme.WARM if passes else theme.ACCENT for passes in q <= RATE]
    axes.scatter(z, places, s=26, c=colours, zorder=3)
    axes.set(xlim=(-limit, limit), ylim=(len(rows) - 0.4, -0.6))
    axes.set_yticks(places, [str(name) for name in columns["name"][rows]])
    for label in axes.get_yticklabels():
        label.set_parse_math(False)
    theme.style_axes(axes, x_label="z", grid="")
