"""The strongest connections of a connectome on a circle."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from kraken_bids.report import theme
from kraken_bids.report.plane import Plane
from kraken_bids.report.regions import choose_colours
from kraken_bids.report.section import Floats
from kraken_bids.report.words import format_count

if TYPE_CHECKING:
    from matplotlib.path import Path


@dataclass(frozen=True)
class Circle:
    """One measured structural connectome, to be drawn as a circle."""

    flavor: str
    region_names: tuple[str, ...]
    region_groups: tuple[str, ...]
    hemispheres: tuple[str, ...]
    square: Floats
    """[n_regions, n_regions], NaN rows where a region was not measured."""


CIRCLE = 680.0
"""Room for the circle with its names, CSS pixels."""
LEFT = CIRCLE + 20
"""Of the key."""
REACH = 1.62
"""Half of that room, in radii of the circle."""
NAME_POINTS = 6.2
MAX_EDGES = 120
MAX_NAMES = 100
"""With more regions than this their names would run into each other."""
HEMISPHERE_GAP = 3.0
GROUP_GAP = 0.8
"""Empty places, in regions."""
FRONT_TO_BACK = (
    "Frontal", "Cingulate", "Insula", "Subcortex", "Temporal", "Parietal", "Occipital",
    "Cerebellum",
)  # fmt: skip
PREFIXES = ("ctx-lh-", "ctx-rh-", "Left-", "Right-")
SUFFIXES = ("-Cortex", "-Proper", "-area")
NOT_MEASURED = "not measured"
WITHIN, ACROSS = theme.ACCENT, theme.WARM


def place_regions(network: Circle) -> tuple[NDArray[np.float64], float]:
    """Angle of every region on the circle, and the width of one region, in radians.

    The left hemisphere is on the left, the right on the right, midline regions at the bottom;
    groups run from the front of the head (top) to the back where they are lobes.

    Returns
    -------
    angles : ndarray of shape (n_regions,)
        Of the middle of each region, counter-clockwise from the right.
    width : float
    """
    places = np.zeros(len(network.hemispheres))
    at = HEMISPHERE_GAP / 2
    for side in ("L", "M", "R"):
        members = _order_side(network, side)
        for i, region in enumerate(members):
            previous = members[i - 1] if i else region
            if network.region_groups[region] != network.region_groups[previous]:
                at += GROUP_GAP
            places[region] = at
            at += 1
        at += HEMISPHERE_GAP if members else 0
    total = at - HEMISPHERE_GAP / 2
    return np.pi / 2 + 2 * np.pi * (places + 0.5) / total, 2 * np.pi / total


def pick_strongest(square: Floats) -> tuple[NDArray[np.intp], NDArray[np.intp], Floats]:
    """Regions and value of the strongest connections, the weakest of them first.

    Parameters
    ----------
    square : array [n_regions, n_regions]
        Symmetric; the diagonal, zeros and NaN do not count.
    """
    i, j = np.triu_indices(len(square), 1)
    values = np.nan_to_num(np.asarray(square, float)[i, j])
    order = np.argsort(values, kind="stable")[::-1][:MAX_EDGES]
    order = order[values[order] > 0][::-1]
    return i[order], j[order], values[order]


def shorten_region(name: str) -> str:
    """Name without its hemisphere and other words that every region of its kind has."""
    for prefix in PREFIXES:
        name = name.removeprefix(prefix)
    for suffix in SUFFIXES:
        name = name.removesuffix(suffix)
    return name


def _order_side(network: Circle, side: str) -> list[int]:
    """Regions of one side in the order of the circle: front to back left, back to front right."""
    appearance = list(dict.fromkeys(network.region_groups))
    rank = {
        group: (FRONT_TO_BACK.index(group) if group in FRONT_TO_BACK else len(FRONT_TO_BACK), i)
        for i, group in enumerate(appearance)
    }
    members = [i for i, h in enumerate(network.hemispheres) if (h if h in "LR" else "M") == side]
    members.sort(key=lambda region: (rank[network.region_groups[region]], region))
    return members[::-1] if side == "R" else members


def draw_circle(plane: Plane, network: Circle) -> None:
    """Draw the regions as a ring, the strongest connections in it, and a key beside it."""
    angles, width = place_regions(network)
    missing = np.asarray(np.isnan(network.square).all(axis=0))
    colours = _group_colours(network.region_groups)
    faces = [
        theme.LINE if gone else colours[group]
        for group, gone in zip(network.region_groups, missing, strict=True)
    ]
    steps = np.linspace(-0.45, 0.45, 6) * width
    rims = np.stack([np.cos(angles[:, None] + steps), np.sin(angles[:, None] + steps)], axis=2)
    ring = _place(np.concatenate([1.07 * rims, 1.02 * rims[:, ::-1]], axis=1))
    plane.add(theme.collections.PolyCollection(list(ring), facecolors=faces, edgecolors="none"))
    _draw_chords(plane, network, angles)
    if len(angles) <= MAX_NAMES:
        shapes = _shape_names(network.region_names, tuple(angles.tolist()))
        inks = [theme.LINE if gone else theme.TEXT for gone in missing]
        plane.add(theme.collections.PathCollection(shapes, facecolors=inks, linewidths=0))
    for text, side in (("left", -1.5), ("right", 1.5)):
        x, y = _place(np.array([side, 1.5]))
        plane.write(x, y, text, align="center", colour=theme.MUTED)
    _draw_key(plane, network, colours | ({NOT_MEASURED: theme.LINE} if missing.any() else {}))


def _draw_chords(plane: Plane, network: Circle, angles: NDArray[np.float64]) -> None:
    i, j, values = pick_strongest(network.square)
    points = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    # neighbours are joined by flat curves, opposite regions by lines through the middle
    pull = 0.75 - 0.7 * np.linalg.norm(points[i] - points[j], axis=1) / 2
    middles = (points[i] + points[j]) / 2
    norms = np.maximum(np.linalg.norm(middles, axis=1), 1e-9)
    middles *= (pull / norms)[:, None] * np.minimum(norms, 1)[:, None]
    codes = [theme.path.Path.MOVETO, theme.path.Path.CURVE3, theme.path.Path.CURVE3]
    curves = [
        theme.path.Path(_place(np.array([points[a], middle, points[b]])), codes)
        for a, b, middle in zip(i, j, middles, strict=True)
    ]
    strength = np.sqrt(values / values.max()) if len(values) else values
    sides = np.array(network.hemispheres)
    across = sides[i] != sides[j]
    plane.add(
        theme.collections.PathCollection(
            curves,
            facecolors="none",
            edgecolors=[ACROSS if a else WITHIN for a in across],
            linewidths=0.3 + 3.2 * strength**2,
            alpha=0.2 + 0.65 * strength if len(strength) else None,
        )
    )


@lru_cache(maxsize=8)  # the same regions on every page
def _shape_names(names: tuple[str, ...], angles: tuple[float, ...]) -> list["Path"]:
    """Outlines of every name, outwards: texts would take longer."""
    shapes, size = [], NAME_POINTS * theme.CSS_DPI / 72
    for name, angle in zip(names, angles, strict=True):
        turn = np.degrees(angle) % 360
        is_left = 90 < turn < 270
        letters = theme.textpath.TextPath((0, -0.36 * size), shorten_region(name), size=size)
        way = theme.transforms.Affine2D()
        way.translate(-letters.vertices[:, 0].max() if is_left else 0.0, 0)
        way.rotate_deg(turn - 180 if is_left else turn).scale(1, -1)
        way.translate(*_place(1.1 * np.array([np.cos(angle), np.sin(angle)])))
        shapes.append(way.transform_path(letters))
    return shapes


def _draw_key(plane: Plane, network: Circle, colours: dict[str, str]) -> None:
    """Words and colours at the right of the circle."""
    edges = np.asarray(network.square)[np.triu_indices(len(network.square), 1)]
    _, _, shown = pick_strongest(network.square)
    n_edges, total = int((edges > 0).sum()), float(np.nansum(edges))
    share = f"{100 * shown.sum() / total:.0f} % of all connection strength" if total else ""
    plane.write(LEFT, 21, network.flavor, points=theme.LARGE, is_bold=True)
    drawn = f"the {len(shown)} strongest of {format_count(n_edges)} connections:"
    for y, text in ((43, drawn), (61, share)):
        plane.write(LEFT, y, text, colour=theme.MUTED)
    sides = {"within a hemisphere": WITHIN, "between the hemispheres": ACROSS}
    for words, first, step, ends, style in (
        (sides, 91, 22, (0, 22), {"linewidths": 2.2, "capstyle": "projecting"}),
        (colours, 148, 20, (4, 18), {"linewidths": 7}),
    ):
        places = first + step * np.arange(len(words))
        lines = [[(LEFT + x, at) for x in ends] for at in places]
        plane.add_lines(lines, colors=list(words.values()), **style)
        for y, text in zip(places.tolist(), words, strict=True):
            plane.write(LEFT + 30, y, text)


def _place(points: NDArray[np.floating]) -> NDArray[np.floating]:
    """CSS pixels in the figure of places [..., 2] in radii from the middle of the circle."""
    return (points * (1, -1) / REACH + 1) * CIRCLE / 2


def _group_colours(groups: Sequence[str]) -> dict[str, str]:
    """Colour of each group, the same as beside the matrices, in the order of the circle."""
    colours = choose_colours(groups)
    order = [group for group in FRONT_TO_BACK if group in colours]
    return {group: colours[group] for group in (*order, *colours)}
