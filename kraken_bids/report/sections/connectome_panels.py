"""Measured and predicted connectomes of a session side by side, painted cell by cell."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from kraken_bids.report import theme
from kraken_bids.report.canvas import Canvas
from kraken_bids.report.colour_scale import bounds_of, choose_ticks, map_of, scale_of
from kraken_bids.report.panels import FlavorPanel, list_panels
from kraken_bids.report.regions import Layout, group_colours, layout_regions, spread_labels
from kraken_bids.report.section import Floats, Section
from kraken_bids.report.theme import Bytes
from kraken_bids.report.words import explain_source, explain_unit
from kraken_bids.report.written import Written

if TYPE_CHECKING:
    from matplotlib.colors import Normalize


MISSING = np.array([214, 219, 224], dtype=np.uint8)
HATCH = np.array([160, 168, 176], dtype=np.uint8)
BELOW = np.array([250, 250, 248], dtype=np.uint8)
DIAGONAL = np.array([255, 255, 255], dtype=np.uint8)
BORDER = np.array([141, 152, 161], dtype=np.uint8)
"""Between groups of regions."""
EXTRA = ("below", "diagonal", "missing", "hatch", "border")
N_BELOW, N_DIAGONAL, N_MISSING, N_HATCH, N_BORDER = range(
    theme.N_LEVELS, theme.N_LEVELS + len(EXTRA)
)


def colours_of(norm: "Normalize") -> Bytes:
    """Colours [27 + 5, 3] of the numbers of :func:`number_square`."""
    levels = np.round(255 * np.asarray(map_of(norm).colors)[:, :3]).astype(np.uint8)
    return np.concatenate([levels, np.stack([BELOW, DIAGONAL, MISSING, HATCH, BORDER])])


def number_square(square: Floats, *, layout: Layout, norm: "Normalize", cell: int) -> Bytes:
    """Colour of every pixel of one matrix in display order.

    Parameters
    ----------
    square : array [n_regions, n_regions]
        Values; NaN where not measured, which is hatched.
    layout : Layout
        Order of the regions; a line of one pixel stands between groups.
    norm : "Normalize"
        From :func:`scale_of`.
    cell : int
        Pixels per region.

    Returns
    -------
    uint8 array [n, n], n = n_regions * cell + n_groups - 1
        Rows of :func:`colours_of`.
    """
    values = np.asarray(square, dtype=float)
    missing, (low, high) = ~np.isfinite(values), bounds_of(norm)
    # zeros, and negative values of a linear decoder, lie below a logarithmic scale
    is_log = isinstance(norm, theme.colors.LogNorm)
    below = values < low if is_log else np.zeros_like(missing)
    level = np.where(missing | below, high, values)
    if is_log:  # as the scale itself says it, without a mask
        level, (low, high) = np.log10(level), np.log10([low, high])
    level -= low
    level /= high - low
    numbers = np.clip(level * theme.N_LEVELS, 0, theme.N_LEVELS - 1).astype(np.uint8)
    numbers[below] = N_BELOW
    np.fill_diagonal(numbers, N_DIAGONAL)
    numbers[missing] = N_MISSING
    # bytes are moved to their places, not numbers
    places = np.append(layout.order, -1)[spread_regions(layout, cell)]
    numbers = np.pad(numbers, (0, 1), constant_values=N_BORDER)
    numbers = numbers.take(places, axis=0, mode="wrap").take(places, axis=1, mode="wrap")
    if missing.any():
        stripes = np.add.outer(np.arange(len(places)), np.arange(len(places))) % 12 < 3
        numbers[stripes & (numbers == N_MISSING)] = N_HATCH
    return np.asarray(numbers, dtype=np.uint8)


def spread_regions(layout: Layout, cell: int) -> NDArray[np.intp]:
    """Shown position of the region under each pixel; -1 on the lines between groups."""
    groups = np.split(np.arange(len(layout.order)), layout.starts[1:-1])
    parts = [np.append(group.repeat(cell), -1) for group in groups]
    return np.concatenate(parts)[:-1]


PANEL = 264.0
"""Width of one matrix in CSS pixels."""
FINENESS = 540
"""Pixels of a matrix, about; one per region where there are more."""
STRIP = 6.0
GAP = 16.0
TOP = 34.0
BOTTOM = 8.0
BAR = 84.0
TIP = 8.0
"""Height of the arrow at an end of the colour bar that values go beyond."""
ABSENT = "not measured"


@dataclass(frozen=True)
class Frame:
    """What figures of other subjects have in common with one: all but values."""

    canvas: Canvas
    layout: Layout
    cell: int
    """Pixels per region."""
    lefts: tuple[float, ...]
    """Left ends of the matrices, and of the colour bar."""


def draw_flavor(panel: FlavorPanel) -> bytes:
    """PNG of the measured and every predicted matrix of one flavor.

    All matrices share one colour scale: FC diverging and centred at 0, SC logarithmic with zeros
    pale. Regions are sorted by group and hemisphere; regions not measured are hatched grey; the
    diagonal is blank.
    """
    squares = {"Measured": panel.measured}
    squares |= {explain_source(p.source): p.square for p in panel.predictions}
    present = {title: square for title, square in squares.items() if square is not None}
    frame = _draw_frame(panel.region_groups, panel.hemispheres, tuple(squares), frozenset(present))
    norm = scale_of([*present.values()], panel.group)
    canvas = frame.canvas.copy()
    for square, left in zip(squares.values(), frame.lefts, strict=False):
        if square is not None:
            numbers = number_square(square, layout=frame.layout, norm=norm, cell=frame.cell)
            canvas.place(left, TOP + STRIP, numbers, colours_of(norm))
    _draw_colour_bar(canvas, frame.lefts[-1], norm=norm, label=value_label(panel))
    return canvas.encode()


@lru_cache(maxsize=16)
def _draw_frame(
    groups: tuple[str, ...],
    hemispheres: tuple[str, ...],
    titles: tuple[str, ...],
    present: frozenset[str],
) -> Frame:
    """Draw names and colours of the regions, and titles, some of matrices that are there."""
    layout = layout_regions(groups, hemispheres)
    cell = max(1, round(FINENESS / len(layout.order)))
    margin, step = label_margin(layout.titles), STRIP + PANEL + GAP
    canvas = Canvas(
        margin + len(titles) * step - GAP + BAR,
        TOP + STRIP + PANEL + BOTTOM,
        scale=len(spread_regions(layout, cell)) / PANEL,
    )
    _draw_group_names(canvas, layout, margin)
    lefts = [margin + STRIP + k * step for k in range(len(titles))]
    for title, left in zip(titles, lefts, strict=True):
        canvas.write(left, TOP - 12, title, points=theme.LARGE, colour=theme.TEXT)
        if title in present:
            _draw_strips(canvas, left - STRIP, layout, cell)
            continue
        canvas.fill(left, TOP + STRIP, PANEL, PANEL, "#f6f7f8")
        x, y = left + PANEL / 2, TOP + STRIP + PANEL / 2
        canvas.write(x, y, ABSENT, points=theme.NORMAL, colour=theme.MUTED, align="center")
    return Frame(canvas, layout, cell, (*lefts, margin + len(titles) * step))


def label_margin(names: Sequence[str]) -> float:
    """Room in CSS pixels left of the first matrix for the longest of the group names."""
    return 24 + 6.6 * max(map(len, names), default=0)


def value_label(panel: FlavorPanel) -> str:
    """Say what the cells of a flavor's matrices are, and on which scale."""
    return explain_unit(panel.name) + (", log scale" if panel.group == "SC" else "")


def _draw_strips(canvas: Canvas, left: float, layout: Layout, cell: int) -> None:
    """Draw the colours of the regions left of a matrix and above it."""
    colours = np.round(255 * group_colours(layout)).astype(np.uint8)
    colours = np.concatenate([colours, np.full((1, 3), 255, np.uint8)])
    strip = spread_regions(layout, cell) % len(colours)
    thickness = round((STRIP - 1.5) * canvas.scale)
    canvas.place(left, TOP + STRIP, np.repeat(strip[:, None], thickness, axis=1), colours)
    canvas.place(left + STRIP, TOP, np.repeat(strip[None], thickness, axis=0), colours)


def _draw_group_names(canvas: Canvas, layout: Layout, margin: float) -> None:
    """Names left of the first matrix, moved apart where groups are small, tied to their blocks."""
    top = TOP + STRIP
    middles = layout.middles * PANEL / len(layout.order)
    placed = spread_labels(middles, gap=14.0, low=5.0, high=PANEL - 5.0)
    for name, middle, y in zip(layout.titles, middles, placed, strict=True):
        line = [(margin - 13, y + top), (margin - 9, y + top), (margin - 2, middle + top)]
        canvas.draw_line(np.array(line), theme.MUTED)
        x = margin - 16
        canvas.write(x, y + top, name, points=theme.SMALL, colour=theme.TEXT, align="right")


def _draw_colour_bar(canvas: Canvas, left: float, *, norm: "Normalize", label: str) -> None:
    """Draw the bar, with an arrow at each end that values go beyond, ticks and label."""
    colours = colours_of(norm)
    top, bottom = TOP + STRIP + TIP, TOP + STRIP + PANEL - TIP
    height, width = round((bottom - top) * canvas.scale), round(11 * canvas.scale)
    level = np.arange(height)[::-1] * theme.N_LEVELS // height
    canvas.place(left, top, np.repeat(level[:, None], width, axis=1), colours)
    tip = _triangle(round(TIP * canvas.scale), width)
    ends = np.array([[255, 255, 255], colours[theme.N_LEVELS - 1], colours[0]], dtype=np.uint8)
    canvas.place(left, TOP + STRIP, tip.astype(int), ends)
    if not isinstance(norm, theme.colors.LogNorm):
        canvas.place(left, bottom, 2 * tip[::-1].astype(int), ends)
    for value, text in choose_ticks(norm):
        y = bottom - (bottom - top) * float(norm(value))
        canvas.fill(left + 11, y, 3, 0.8, theme.MUTED)
        canvas.write(left + 18, y, text, points=theme.SMALL, colour=theme.MUTED)
    x, y = left + BAR - GAP - 10, (top + bottom) / 2
    canvas.write(x, y, label, points=theme.SMALL, colour=theme.MUTED, upright=False)


def _triangle(height: int, width: int) -> Floats:
    """Pixels of an arrow that points upwards [height, width]: 1 inside, 0 outside."""
    half_width = (np.arange(height) + 0.5) / height * width / 2
    middle = np.abs(np.arange(width) + 0.5 - width / 2)
    return np.asarray(middle[None] < half_width[:, None], dtype=float)


def explain_cells(panel: FlavorPanel) -> str:
    """Say what the colours of a flavor's matrices mean."""
    if panel.group == "SC":
        volumes = ", relative to the volume of the regions" if "volnorm" in panel.name else ""
        return (
            f"Darker: more streamlines between two regions{volumes}; almost white: none. Each "
            "named value is ten times the one below it."
        )
    words = (
        "Red: the signals of two regions rise and fall together; blue: one rises as the other "
        "falls{}."
    )
    is_partial = "pcorr" in panel.name.lower()
    return words.format(
        ", once what they share with all other regions is taken out" if is_partial else ""
    )


def gather(written: Written) -> dict[str, tuple[FlavorPanel, ...]]:
    """List the flavors by parcellation."""
    panels = written.once(list_panels)
    names = dict.fromkeys(panel.parcellation for panel in panels)
    return {name: tuple(p for p in panels if p.parcellation == name) for name in names}


def draw(parcellations: Mapping[str, Sequence[FlavorPanel]]) -> dict[str, bytes]:
    """Draw the matrices of each flavor that was measured or predicted."""
    panels = (panel for own in parcellations.values() for panel in own)
    return {p.name: draw_flavor(p) for p in panels if p.measured is not None or p.predictions}


SECTION = Section(
    "connectomes",
    "Connectomes",
    "connectome_panels.html",
    gather,
    draw=draw,
    figures=("FC", "SC"),
    words={"explain_cells": explain_cells},
    entries=lambda parcellations: [panel.name for own in parcellations.values() for panel in own],
)
