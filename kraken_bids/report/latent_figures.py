"""Where people lie: fusion latents on two components, coloured by what is known of people."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize, to_rgba
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from kraken_bids.report import theme
from kraken_bids.report.pages import Colouring, Floats, Latents
from kraken_bids.report.png import draw_png

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MAX_LABELS = 40
"""Above this many participants only outliers carry their label."""
UNKNOWN = "#c3cad1"
PER_ROW = 4
MAX_LETTERS = 12
"""Of a category's name in the legend, where so many stand in a row."""


def compute_components(latents: Floats) -> tuple[Floats, Floats]:
    """First two principal components of the rows [n, 2], and the share of variance of each [2]."""
    centred = np.asarray(latents, dtype=float) - np.mean(latents, axis=0)
    left, singular, _ = np.linalg.svd(centred, full_matrices=False)
    if len(singular) < 2:
        return np.zeros((len(centred), 2)), np.zeros(2)
    total = float((singular**2).sum()) or 1.0
    return left[:, :2] * singular[:2], singular[:2] ** 2 / total


def draw_latents(latents: Latents) -> bytes:
    """PNG of the fusion latents on their first two principal components, outliers marked."""
    points, share = compute_components(latents.fusion)
    colouring = latents.colouring
    is_numeric = colouring is not None and colouring.is_numeric
    figure = theme.new_figure(520, 430)
    top = 14
    if colouring is not None and not is_numeric:
        top = 30 + 15 * -(-(len(colouring.categories) + ("" in colouring.values)) // PER_ROW)
    axes = theme.add_box(figure, 66, top, 360 if is_numeric else 440, 376 - top)
    names = [f"component {i + 1} ({100 * s:.0f} % of variance)" for i, s in enumerate(share)]
    theme.style_axes(axes, x_label=names[0], y_label=names[1], grid="both")
    axes.margins(0.12)
    colours = np.tile(to_rgba(theme.ACCENT), (len(points), 1))
    if colouring is not None and is_numeric:
        colours = _draw_bar(axes, theme.add_box(figure, 440, top, 12, 376 - top), colouring)
    elif colouring is not None:
        colours = _draw_legend(axes, colouring)
    outliers = np.asarray(latents.outliers, dtype=bool)
    for rows, style in (
        (~outliers, {"s": 30, "alpha": 0.85, "linewidth": 0}),
        (outliers, {"s": 52, "marker": "D", "edgecolor": theme.WARM, "linewidth": 1.6}),
    ):
        axes.scatter(points[rows, 0], points[rows, 1], color=colours[rows], **style)
    _name_points(axes, points, latents.labels, outliers)
    return draw_png(figure)


def _name_points(
    axes: "Axes", points: Floats, labels: Sequence[str], outliers: NDArray[np.bool_]
) -> None:
    for label, (x, y), outlier in zip(labels, points, outliers, strict=True):
        if len(points) <= MAX_LABELS or outlier:
            style: dict[str, Any] = {"fontsize": theme.SMALL - 1, "parse_math": False}
            style["color"] = theme.WARM if outlier else theme.MUTED
            axes.annotate(label, (x, y), (5, 4), textcoords="offset points", **style)


def _draw_bar(axes: "Axes", box: "Axes", colouring: Colouring) -> NDArray[np.float64]:
    """Draw the scale of a column of numbers; returns everyone's colour [n, 4]."""
    numbers = np.array([float(v) if v else np.nan for v in colouring.values])
    colours = theme.number_colours()
    lowest = float(np.nanmin(numbers))
    norm = Normalize(lowest, float(np.nanmax(numbers)))
    figure = axes.get_figure()
    assert figure is not None
    bar = figure.colorbar(ScalarMappable(norm, colours), cax=box)
    bar.outline.set_visible(False)
    box.tick_params(colors=theme.MUTED, labelsize=theme.SMALL, length=3, width=0.6)
    box.set_ylabel(colouring.column, fontsize=theme.NORMAL, color=theme.MUTED, parse_math=False)
    known = colours(norm(np.nan_to_num(numbers, nan=lowest)))
    return np.where(np.isnan(numbers)[:, None], to_rgba(UNKNOWN), known)


def _draw_legend(axes: "Axes", colouring: Colouring) -> NDArray[np.float64]:
    """Draw the legend of a column of categories; returns everyone's colour [n, 4]."""
    names = colouring.categories
    colour_of = dict(zip(names, theme.CATEGORY_COLOURS, strict=False)) | {"": UNKNOWN}
    shown = [*names, ""] if "" in colouring.values else names
    style: dict[str, Any] = {"marker": "o", "linestyle": "", "markersize": 5.5}
    handles = [Line2D([], [], color=colour_of[name], **style) for name in shown]
    legend = axes.legend(
        handles,
        [_shorten(name) if name else "not known" for name in shown],
        title=colouring.column,
        loc="lower left",
        bbox_to_anchor=(-0.02, 1.0),
        ncols=PER_ROW,
        frameon=False,
        fontsize=theme.SMALL,
        title_fontsize=theme.SMALL,
        handletextpad=0.1,
        columnspacing=1.2,
        borderaxespad=0.1,
        alignment="left",
    )
    for text in (*legend.get_texts(), legend.get_title()):
        text.set_parse_math(False)
        text.set_color(theme.TEXT)
    return np.array([to_rgba(colour_of[value]) for value in colouring.values])


def _shorten(name: str) -> str:
    return name if len(name) <= MAX_LETTERS else f"{name[: MAX_LETTERS - 1]}…"
