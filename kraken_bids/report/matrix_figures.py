"""Measured and predicted connectomes of one flavor, side by side in the same colours.

Painted cell by cell rather than drawn: a page shows 15 flavors, and drawing them took most of its
time.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.colors import LogNorm, Normalize
from matplotlib.ticker import MaxNLocator

from kraken_bids.report import theme
from kraken_bids.report.canvas import Canvas
from kraken_bids.report.matrix_colours import (
    bounds_of,
    colours_of,
    number_square,
    scale_of,
    spread_regions,
)
from kraken_bids.report.pages import FlavorPanel, Floats
from kraken_bids.report.regions import Layout, group_colours, layout_regions, spread_labels
from kraken_bids.report.sentences import explain_source

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
class Look:
    """What the matrices of one figure have in common."""

    layout: Layout
    norm: Normalize
    cell: int
    """Pixels per region."""


def draw_flavor(panel: FlavorPanel) -> bytes:
    """PNG of the measured and every predicted matrix of one flavor.

    All matrices share one colour scale: FC diverging and centred at 0, SC logarithmic with zeros
    pale. Regions are sorted by group and hemisphere; regions not measured are hatched grey; the
    diagonal is blank.
    """
    squares = [(panel.measured_title, panel.measured)]
    squares += [(explain_source(p.source), p.square) for p in panel.predictions]
    layout = layout_regions(panel.region_groups, panel.hemispheres)
    cell = max(1, round(FINENESS / len(layout.order)))
    look = Look(layout, scale_of([s for _, s in squares if s is not None], panel.group), cell)
    margin = label_margin(layout.titles)
    step = STRIP + PANEL + GAP
    canvas = Canvas(
        margin + len(squares) * step - GAP + BAR,
        TOP + STRIP + PANEL + BOTTOM,
        scale=len(spread_regions(layout, cell)) / PANEL,
    )
    for k, (title, square) in enumerate(squares):
        _draw_panel(canvas, margin + k * step, title=title, square=square, look=look)
    _draw_group_names(canvas, layout, margin)
    _draw_colour_bar(
        canvas, margin + len(squares) * step, norm=look.norm, label=value_label(panel)
    )
    return canvas.encode()


def label_margin(names: Sequence[str]) -> float:
    """Room in CSS pixels left of the first matrix for the longest of the group names."""
    return 24 + 6.6 * max(map(len, names), default=0)


def value_label(panel: FlavorPanel) -> str:
    """Say what the cells of a flavor's matrices are, and on which scale."""
    if panel.group == "SC":
        volumes = " over region volume" if "volnorm" in panel.name else ""
        return f"streamlines{volumes}, log scale"
    return "partial correlation" if "pcorr" in panel.name.lower() else "correlation"


def choose_ticks(norm: Normalize) -> list[tuple[float, str]]:
    """Values that a colour bar names, with their words."""
    low, high = bounds_of(norm)
    if isinstance(norm, LogNorm):
        powers = range(
            int(np.ceil(np.log10(low) - 1e-9)), int(np.floor(np.log10(high) + 1e-9)) + 1
        )
        return [(10.0**power, f"{10.0**power:g}") for power in powers]
    locator = MaxNLocator(7, steps=[1, 2, 4, 5, 10])
    values = np.asarray(locator.tick_values(low, high), dtype=float)
    step = float(values[1] - values[0])
    digits = max(0, -int(np.floor(np.log10(step) + 1e-9)))
    inside = values[(values >= low - 1e-9) & (values <= high + 1e-9)]
    return [(float(v), f"{v:z.{digits}f}".replace("-", "−")) for v in inside]


def _draw_panel(
    canvas: Canvas, left: float, *, title: str, square: Floats | None, look: Look
) -> None:
    inner = left + STRIP
    canvas.write(inner, TOP - 12, title, points=theme.LARGE, colour=theme.TEXT)
    if square is None:
        canvas.fill(inner, TOP + STRIP, PANEL, PANEL, "#f6f7f8")
        x, y = inner + PANEL / 2, TOP + STRIP + PANEL / 2
        canvas.write(x, y, ABSENT, points=theme.NORMAL, colour=theme.MUTED, align="center")
        return
    numbers = number_square(square, layout=look.layout, norm=look.norm, cell=look.cell)
    canvas.place(inner, TOP + STRIP, numbers, colours_of(look.norm))
    _draw_strips(canvas, left, look)


def _draw_strips(canvas: Canvas, left: float, look: Look) -> None:
    """Draw the colours of the regions left of a matrix and above it."""
    colours = np.round(255 * group_colours(look.layout)).astype(np.uint8)
    colours = np.concatenate([colours, np.full((1, 3), 255, np.uint8)])
    strip = spread_regions(look.layout, look.cell) % len(colours)
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


def _draw_colour_bar(canvas: Canvas, left: float, *, norm: Normalize, label: str) -> None:
    """Draw the bar, with an arrow at each end that values go beyond, ticks and label."""
    colours = colours_of(norm)
    top, bottom = TOP + STRIP + TIP, TOP + STRIP + PANEL - TIP
    height, width = round((bottom - top) * canvas.scale), round(11 * canvas.scale)
    level = np.arange(height)[::-1] * theme.N_LEVELS // height
    canvas.place(left, top, np.repeat(level[:, None], width, axis=1), colours)
    tip = _triangle(round(TIP * canvas.scale), width)
    ends = np.array([[255, 255, 255], colours[theme.N_LEVELS - 1], colours[0]], dtype=np.uint8)
    canvas.place(left, TOP + STRIP, tip.astype(int), ends)
    if not isinstance(norm, LogNorm):
        canvas.place(left, bottom, 2 * tip[::-1].astype(int), ends)
    for value, text in choose_ticks(norm):
        y = bottom - (bottom - top) * float(norm(value))
        canvas.fill(left + 11, y, 3, 0.8, theme.MUTED)
        canvas.write(left + 18, y, text, points=theme.SMALL, colour=theme.MUTED)
    x, y = left + BAR - GAP - 10, (top + bottom) / 2
    canvas.write(x, y, label, points=theme.SMALL, colour=theme.MUTED, upright=False)


def _triangle(height: int, width: int) -> Floats:
    """Pixels of an arrow that points upwards [height, width]: 1 inside, 0 outside."""
    reach = (np.arange(height) + 0.5) / height * width / 2
    middle = np.abs(np.arange(width) + 0.5 - width / 2)
    return np.asarray(middle[None] < reach[:, None], dtype=float)
