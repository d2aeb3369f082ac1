"""How far the regions of one subject are from controls, at their places in the brain."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kraken_bids.connectome.labels.region_places import load_centres
from kraken_bids.report import theme
from kraken_bids.report.colour_scale import choose_ticks
from kraken_bids.report.plane import Plane
from kraken_bids.report.section import Booleans, Floats
from kraken_bids.report.written import Columns
from kraken_bids.scores.discordance import MEASURES, RATE

FULL_COLOUR = 5.0
"""z at which a colour is full."""
MAX_NAMES = 5
"""Regions that a view names."""
WIDTH, VIEW, TOP = 1060.0, 190.0, 34.0
NETWORKS, NETWORKS_WIDTH = 850.0, 190.0
"""Place from the left, and width, of what is drawn of networks."""
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
    plane = Plane(figure)
    tops = [row * (VIEW + TOP) + TOP for row in range(len(MEASURES))]
    z, q = (np.stack([columns[f"{m}_{of}"][is_region] for m in MEASURES]) for of in ("z", "q"))
    is_known = len(centres) == len(names)
    views = [lay_out_views(centres, top) if is_known else [] for top in tops]
    if is_known:
        draw_outlines(plane, [view for row in views for view in row])
    for k, (measure, top) in enumerate(zip(MEASURES, tops, strict=True)):
        plane.write(10, top - 17, TITLES[measure])
        for view in views[k]:
            _draw_dots(plane, view, z[k], q[k] <= RATE, names=names)
            style: dict[str, Any] = {"colour": theme.MUTED, "points": theme.SMALL}
            plane.write(view.middle, top + VIEW, view.title, align="center", **style)
    _draw_networks(plane, columns)
    return plane.draw()


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


def draw_outlines(plane: Plane, views: Sequence[View]) -> None:
    """Draw the outline of the regions of each view, a centimetre around them."""
    from scipy.spatial import ConvexHull

    inside = [view.points[view.shown] for view in views]
    plane.add(
        theme.collections.PolyCollection(
            [points[ConvexHull(points).vertices] for points in inside],
            facecolors=theme.EMPTY,
            edgecolors=theme.EMPTY,
            linewidths=16,
            joinstyle="round",
        )
    )


def _draw_dots(
    plane: Plane, view: View, z: Floats, found: Booleans, *, names: NDArray[Any]
) -> None:
    points, known = view.points, view.shown & np.isfinite(z)
    order = np.flatnonzero(known)[np.argsort(np.abs(z[known]), kind="stable")]
    norm = theme.colors.Normalize(-FULL_COLOUR, FULL_COLOUR)
    plane.add_dots(
        points[order],
        4 + 9 * np.minimum(np.abs(z[order]), FULL_COLOUR),
        facecolors=theme.diverging_colours()(norm(z[order])),
        edgecolors=[theme.TEXT if found[k] else theme.LINE for k in order],
        linewidths=[1.5 if found[k] else 0.4 for k in order],
    )
    for k in [k for k in order[::-1] if found[k]][:MAX_NAMES]:
        x, y = points[k]
        plane.write(x, y - 12, str(names[k]), points=6.5, align="center")


def _draw_networks(plane: Plane, columns: Columns) -> None:
    """Draw z of the brain and of each network, with what chance gives in 19 of 20 cases."""
    rows = np.flatnonzero(columns["level"] != "region")
    height = (len(MEASURES) - 1) * (VIEW + TOP) + VIEW - 22
    z, q = (np.stack([columns[f"{m}_{of}"][rows] for m in MEASURES]) for of in ("z", "q"))
    limit = max(4.0, 1.1 * float(np.nanmax(np.abs(z), initial=0.0)))

    def place(value: Any) -> Any:
        return NETWORKS + NETWORKS_WIDTH * (value + limit) / (2 * limit)

    band = place(-1.96), TOP, place(1.96), TOP + height
    plane.add(theme.join_boxes(band, facecolors=theme.EMPTY))
    line = [[(place(0), TOP), (place(0), TOP + height)]]
    plane.add_lines(line, colors=theme.MUTED, linewidths=0.6)
    y = np.linspace(0, VIEW - 34, len(rows)) + TOP + 6
    y = y + np.arange(len(MEASURES))[:, None] * (VIEW + TOP)
    colours = [theme.WARM if passes else theme.ACCENT for passes in (q <= RATE).flat]
    places = np.column_stack([place(z.ravel()), y.ravel()])
    plane.add_dots(places, 44, facecolors=colours)
    names = [str(name) for name in columns["name"][rows]] * len(MEASURES)
    scale = choose_ticks(theme.colors.Normalize(-limit, limit), at_most=5)
    plane.draw_scales(
        (NETWORKS, TOP, NETWORKS_WIDTH, height),
        [(place(value), text) for value, text in scale],
        list(zip(y.ravel().tolist(), names, strict=True)),
        labels=("z", ""),
    )
