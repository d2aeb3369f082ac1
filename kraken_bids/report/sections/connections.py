"""The strongest connections of one subject in the brain: measured, predicted, and changed."""

from collections.abc import Mapping, Sequence

import numpy as np

from kraken_bids.connectome.matrices import square_to_edges
from kraken_bids.flavors import Flavor
from kraken_bids.report import theme
from kraken_bids.report.brain_views import TOP, VIEW, WIDTH, View, draw_outlines, lay_out_views
from kraken_bids.report.colour_scale import draw_colour_bar
from kraken_bids.report.plane import Plane
from kraken_bids.report.regions import order_groups
from kraken_bids.report.section import Group, Section
from kraken_bids.report.sections.brain import GlassBrain, find_strongest
from kraken_bids.report.written import Written, sort_flavors
from kraken_bids.scores.quality_control import CROSS_MODAL

MAX_SHOWN = 60
OTHERS = {"FC": "structure", "SC": "function"}
"""What each modality is predicted from."""
Brains = dict[str, GlassBrain]


def gather(written: Written) -> dict[Group, Brains] | None:
    """Choose the first measured flavor of FC and of SC, rather one that was predicted too."""
    found: dict[Group, Brains] = {}
    targets = written.list_targets()
    flavors = sort_flavors(one.name for one in written.measured)
    for flavor in sorted(flavors, key=lambda one: one not in targets):
        if flavor.group not in found and (brains := _find_brains(written, flavor)):
            found[flavor.group] = brains
    return found or None


def _find_brains(written: Written, flavor: Flavor) -> Brains:
    n_regions = written.read_regions(flavor.parcellation).n_regions
    measured = written.read_measured(flavor, n_regions)
    if measured is None:
        return {}
    edges = square_to_edges(measured)
    predicted = written.read_prediction(flavor, CROSS_MODAL[flavor.group], n_regions)
    mean, _ = written.means.get(flavor.name, (None, None))
    wanted = {
        "strongest connections, as measured": edges,
        f"strongest connections, as predicted from {OTHERS[flavor.group]} alone": (
            None if predicted is None else square_to_edges(predicted)
        ),
        "changed most: measured connections less the mean of the group": (
            edges - mean if mean is not None and mean.shape == edges.shape else None
        ),
    }
    found = {
        title: find_strongest(flavor, (values, None), at_most=MAX_SHOWN)
        for title, values in wanted.items()
    }
    return {title: brain for title, brain in found.items() if brain is not None}


def draw(found: Mapping[Group, Brains]) -> dict[str, bytes]:
    """Draw the brains of each modality."""
    return {f"connections_{group}": draw_connections(brains) for group, brains in found.items()}


SECTION = Section(
    "connections",
    "Brain",
    "connections.html",
    gather,
    heading="Connections in the brain",
    draw=draw,
    figures=("connections_",),
)


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
