"""Measured and predicted connectomes of one flavor, side by side in the same colours."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.colorbar import Colorbar
from matplotlib.colors import ListedColormap, LogNorm, Normalize
from matplotlib.patches import Rectangle
from matplotlib.ticker import NullFormatter, NullLocator

from kraken_bids.report import theme
from kraken_bids.report.pages import FlavorPanel, Floats, Group
from kraken_bids.report.png import Bytes, draw_png
from kraken_bids.report.regions import Layout, group_colours, layout_regions, spread_labels
from kraken_bids.report.sentences import explain_source

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PANEL = 280.0
"""Width of one matrix in CSS pixels."""
STRIP = 8.0
GAP = 18.0
TOP = 44.0
BOTTOM = 14.0
BAR = 92.0
MISSING = np.array([214, 219, 224], dtype=np.uint8)
HATCH = np.array([160, 168, 176], dtype=np.uint8)
BELOW = np.array([250, 250, 248], dtype=np.uint8)
DIAGONAL = np.array([255, 255, 255], dtype=np.uint8)


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
    n_regions = len(layout.order)
    cell = max(1, round(600 / n_regions))
    scale = n_regions * cell / PANEL
    margin = label_margin(layout.titles)
    width = margin + len(squares) * (PANEL + STRIP) + (len(squares) - 1) * GAP + BAR
    figure = theme.new_figure(width, TOP + STRIP + PANEL + BOTTOM, scale=scale)
    norm = scale_of([s for _, s in squares if s is not None], panel.group)
    left = margin
    for title, square in squares:
        _draw_panel(figure, left, title=title, square=square, look=Look(layout, norm, cell))
        left += PANEL + STRIP + GAP
    _draw_group_names(figure, layout, margin)
    _draw_colour_bar(figure, left - GAP + 16, norm=norm, label=_value_label(panel))
    return draw_png(figure)


def scale_of(squares: Sequence[Floats], group: Group) -> Normalize:
    """One colour scale for all squares of a flavor, from the measured one where there is one.

    Parameters
    ----------
    squares : sequence of arrays [n_regions, n_regions]
        Measured and predicted; the diagonal and NaN do not count.
    group : {'FC', 'SC'}
        FC: symmetric around 0, up to the 99th percentile of the absolute values. SC: logarithmic,
        three decades below the 99.8th percentile.
    """
    values = np.concatenate([s[~np.eye(len(s), dtype=bool)] for s in squares] or [np.zeros(1)])
    values = values[np.isfinite(values)]
    if group == "FC":
        limit = float(np.percentile(np.abs(values), 99)) if values.size else 0.0
        return Normalize(-_round_up(limit), _round_up(limit))
    positive = values[values > 0]
    limit = _round_up(float(np.percentile(positive, 99.8)) if positive.size else 0.0)
    return LogNorm(limit / 1000, limit)


def colour_square(square: Floats, *, layout: Layout, norm: Normalize, cell: int) -> Bytes:
    """RGB image [n_regions * cell, n_regions * cell, 3] of one matrix in display order."""
    shown = np.asarray(square, dtype=float)[np.ix_(layout.order, layout.order)]
    missing = ~np.isfinite(shown)
    # zeros, and negative values of a linear decoder, lie below a logarithmic scale
    below = shown < _bounds(norm)[0] if isinstance(norm, LogNorm) else np.zeros_like(missing)
    level = norm(np.where(missing | below, _bounds(norm)[1], shown)) * theme.N_LEVELS
    table = (np.asarray(_colours(norm).colors)[:, :3] * 255).round().astype(np.uint8)
    rgb = table[np.clip(level, 0, theme.N_LEVELS - 1).astype(int)]
    rgb[below] = BELOW
    rgb[np.eye(len(shown), dtype=bool)] = DIAGONAL
    rgb[missing] = MISSING
    rgb = rgb.repeat(cell, axis=0).repeat(cell, axis=1)
    stripes = np.add.outer(np.arange(len(rgb)), np.arange(len(rgb))) % 12 < 3
    rgb[stripes & missing.repeat(cell, axis=0).repeat(cell, axis=1)] = HATCH
    return np.asarray(rgb, dtype=np.uint8)


def label_margin(names: Sequence[str]) -> float:
    """Room in CSS pixels left of the first matrix for the longest of the group names."""
    return 24 + 7.0 * max(map(len, names), default=0)


def _draw_panel(
    figure: "Figure", left: float, *, title: str, square: Floats | None, look: Look
) -> None:
    axes = theme.add_box(figure, left + STRIP, TOP + STRIP, PANEL, PANEL)
    axes.set_axis_off()
    theme.add_text(
        axes, 0, 1 + (STRIP + 9) / PANEL, title, transform=axes.transAxes, fontsize=theme.LARGE
    )
    layout = look.layout
    n_regions = len(layout.order)
    if square is None:
        _draw_absent(axes)
        return
    rgb = colour_square(square, layout=layout, norm=look.norm, cell=look.cell)
    axes.imshow(rgb, interpolation="nearest", aspect="auto", extent=(0, n_regions, n_regions, 0))
    for start in layout.starts[1:-1]:
        axes.axhline(start, color="#3b4754", linewidth=0.35, alpha=0.55)
        axes.axvline(start, color="#3b4754", linewidth=0.35, alpha=0.55)
    _draw_strips(axes, layout)


def _draw_strips(axes: "Axes", layout: Layout) -> None:
    """Draw the colours of the regions left of a matrix and above it, outside its axes."""
    n_regions = len(layout.order)
    # axes of their own would take most of the time of a page
    outer, inner = (-css * n_regions / PANEL for css in (STRIP, 2.0))
    strip = group_colours(layout)
    for image, extent in (
        (strip[:, None], (outer, inner, n_regions, 0)),
        (strip[None], (0, n_regions, inner, outer)),
    ):
        axes.imshow(image, interpolation="nearest", aspect="auto", extent=extent, clip_on=False)
    axes.set(xlim=(0, n_regions), ylim=(n_regions, 0))


def _draw_absent(axes: "Axes") -> None:
    axes.add_patch(
        Rectangle((0, 0), 1, 1, facecolor="#f6f7f8", edgecolor=theme.LINE, linestyle=(0, (4, 4)))
    )
    theme.add_text(
        axes,
        0.5,
        0.5,
        "not measured",
        transform=axes.transAxes,
        ha="center",
        va="center",
        color=theme.MUTED,
    )


def _draw_group_names(figure: "Figure", layout: Layout, margin: float) -> None:
    """Names left of the first matrix, moved apart where groups are small, tied to their blocks."""
    axes = theme.add_box(figure, 0, TOP + STRIP, margin, PANEL)
    axes.set_axis_off()
    axes.set(xlim=(0, margin), ylim=(PANEL, 0))
    middles = layout.middles * PANEL / len(layout.order)
    placed = spread_labels(middles, gap=13.5, low=5.0, high=PANEL - 5.0)
    for name, middle, y in zip(layout.titles, middles, placed, strict=True):
        axes.plot(
            [margin - 12, margin - 8, margin - 2], [y, y, middle], color=theme.MUTED, linewidth=0.5
        )
        theme.add_text(axes, margin - 14, y, name, ha="right", va="center", fontsize=theme.SMALL)


def _draw_colour_bar(figure: "Figure", left: float, *, norm: Normalize, label: str) -> None:
    axes = theme.add_box(figure, left, TOP + STRIP, 11, PANEL)
    extend: Literal["both", "max"] = "max" if isinstance(norm, LogNorm) else "both"
    bar = Colorbar(
        axes,
        ScalarMappable(norm, _colours(norm)),
        extend=extend,
        extendfrac=0.025,
        drawedges=False,
    )
    bar.outline.set_visible(False)
    axes.tick_params(labelsize=theme.SMALL, colors=theme.MUTED, length=2.5, width=0.6)
    if isinstance(norm, LogNorm):
        axes.yaxis.set_minor_locator(NullLocator())
        axes.yaxis.set_minor_formatter(NullFormatter())
    place = {"transform": axes.transAxes, "rotation": 90, "ha": "center", "va": "center"}
    theme.add_text(axes, 6.2, 0.5, label, fontsize=theme.SMALL, color=theme.MUTED, **place)


def _bounds(norm: Normalize) -> tuple[float, float]:
    return float(norm.vmin or 0.0), float(norm.vmax or 1.0)


def _colours(norm: Normalize) -> ListedColormap:
    return theme.sequential_colours() if isinstance(norm, LogNorm) else theme.diverging_colours()


def _value_label(panel: FlavorPanel) -> str:
    if panel.group == "SC":
        return (
            "streamlines (log scale)"
            if "volnorm" not in panel.name
            else "volume-normalised streamlines (log scale)"
        )
    return "partial correlation" if "pcorr" in panel.name.lower() else "correlation"


def _round_up(value: float) -> float:
    """Round up to two leading digits, so that colour bars end at a readable value."""
    if value <= 0:
        return 1.0
    step = 10.0 ** (np.floor(np.log10(value)) - 1)
    return float(np.ceil(value / step) * step)
