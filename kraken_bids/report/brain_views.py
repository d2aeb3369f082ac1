"""How far the regions of one person are from controls, at their places in the brain."""

from collections.abc import Sequence
from dataclasses import dataclass
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
    from matplotlib.figure import Figure

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


@dataclass(frozen=True)
class View:
    """Regions as they are seen from one side."""

    title: str
    middle: float
    """Of the view, CSS pixels from the left of the figure."""
    shown: Booleans
    """[n_regions]: those of one hemisphere, or of both."""
    points: Floats
    """[n_regions, 2]: places in the figure, CSS pixels to the right and down."""


def draw_deviations(flavor: str, columns: Columns) -> bytes:
    """PNG of the z of every region at its place in the brain, and of networks beside it."""
    centres = load_centres(flavor.split("_")[1])
    is_region = columns["level"] == "region"
    names = columns["name"][is_region]
    figure = theme.new_figure(WIDTH, len(MEASURES) * (VIEW + TOP) + 28, scale=1.5)
    plane = theme.add_plane(figure)
    views: list[View] = []
    for row, measure in enumerate(MEASURES):
        top = row * (VIEW + TOP) + TOP
        theme.add_text(plane, 10, top - 12, TITLES[measure])
        z, q = (columns[f"{measure}_{name}"][is_region] for name in ("z", "q"))
        own = lay_out_views(centres, top) if len(centres) == len(z) else []
        for view in own:
            _draw_dots(plane, view, z, q <= RATE, names=names)
            style: dict[str, Any] = {"color": theme.MUTED, "fontsize": theme.SMALL}
            theme.add_text(plane, view.middle, top + VIEW + 4, view.title, ha="center", **style)
        views += own
    if views:
        draw_outlines(plane, views)
    _draw_networks(figure, columns)
    return theme.draw_png(figure)


def lay_out_views(centres: Floats, top: float) -> list[View]:
    """Lay out regions as seen from the left, above and the right, side by side.

    Parameters
    ----------
    centres : ndarray of shape (n_regions, 3)
        RAS mm; NaN where not known.
    top : float
        Of the views, CSS pixels.
    """
    views = []
    for title, right, up, side, left in VIEWS:
        width, shown = 262 if side else 182, _choose_side(centres, side)
        points = _lay_out(centres[:, [right, up]], shown, turned=side == "L", width=width)
        points += (left, top)
        views.append(View(title, left + width / 2, shown, points))
    return views


def _choose_side(centres: Floats, side: str) -> Booleans:
    x = centres[:, 0]
    return np.isfinite(x) & ((x <= 0) if side == "L" else (x >= 0) if side == "R" else True)


def _lay_out(points: Floats, shown: Booleans, *, turned: bool, width: float) -> Floats:
    """Pixels [n, 2], right and down, of places in mm; those shown fill a view to its margin."""
    x, y = (-points[:, 0] if turned else points[:, 0]), -points[:, 1]
    placed = np.column_stack([x, y])
    low, high = placed[shown].min(axis=0) - 14, placed[shown].max(axis=0) + 14
    size = np.array([width, VIEW])
    scale = float((size / (high - low)).min())
    moved: Floats = (placed - (low + high) / 2) * scale + size / 2
    return moved


def draw_outlines(plane: "Axes", views: Sequence[View]) -> None:
    """Draw the outline of the regions of each view, a centimetre around them."""
    from scipy.spatial import ConvexHull

    inside = [view.points[view.shown] for view in views]
    plane.add_collection(
        theme.collections.PolyCollection(
            [points[ConvexHull(points).vertices] for points in inside],
            facecolors=theme.EMPTY,
            edgecolors=theme.EMPTY,
            linewidths=16,
            joinstyle="round",
            zorder=0,
        ),
        autolim=False,
    )


def _draw_dots(
    plane: "Axes", view: View, z: Floats, found: Booleans, *, names: NDArray[Any]
) -> None:
    points, known = view.points, view.shown & np.isfinite(z)
    order = np.flatnonzero(known)[np.argsort(np.abs(z[known]), kind="stable")]
    norm = theme.colors.Normalize(-FULL_COLOUR, FULL_COLOUR)
    plane.scatter(
        points[order, 0],
        points[order, 1],
        s=4 + 9 * np.minimum(np.abs(z[order]), FULL_COLOUR),
        c=z[order],
        cmap=theme.diverging_colours(),
        norm=norm,
        edgecolors=[theme.TEXT if found[k] else theme.LINE for k in order],
        linewidths=[1.5 if found[k] else 0.4 for k in order],
    )
    style: dict[str, Any] = {"fontsize": 6.5, "ha": "center", "va": "bottom"}
    for k in [k for k in order[::-1] if found[k]][:MAX_NAMES]:
        theme.add_text(plane, points[k, 0], points[k, 1] - 7, str(names[k]), **style)


def _draw_networks(figure: "Figure", columns: Columns) -> None:
    """Draw z of the brain and of each network, with what chance gives in 19 of 20 cases."""
    rows = np.flatnonzero(columns["level"] != "region")
    height = (len(MEASURES) - 1) * (VIEW + TOP) + VIEW - 22
    axes = theme.add_box(figure, 850, TOP, 190, height)
    theme.style_axes(axes, x_label="z", grid="")
    axes.axvspan(-1.96, 1.96, color=theme.EMPTY, zorder=0)
    axes.axvline(0, color=theme.MUTED, linewidth=0.6)
    z, q = (np.stack([columns[f"{m}_{of}"][rows] for m in MEASURES]) for of in ("z", "q"))
    places = np.linspace(0, VIEW - 34, len(rows)) + 6
    places = places + np.arange(len(MEASURES))[:, None] * (VIEW + TOP)
    colours = [theme.WARM if passes else theme.ACCENT for passes in (q <= RATE).flat]
    axes.scatter(z.ravel(), places.ravel(), s=26, c=colours, zorder=3)
    limit = max(4.0, 1.1 * float(np.nanmax(np.abs(z), initial=0.0)))
    axes.set(xlim=(-limit, limit), ylim=(height, 0))
    names = [str(name) for name in columns["name"][rows]]
    axes.set_yticks(places.ravel(), names * len(MEASURES), parse_math=False)
