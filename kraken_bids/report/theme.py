"""One look for all figures, and small PNG files of them; matplotlib is imported when it draws."""

import atexit
import io
import os
import shutil
import tempfile
from collections.abc import Sequence
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from kraken_bids.io.png import format_png
from kraken_bids.report.palette import choose_palette
from kraken_bids.report.section import Floats

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import ListedColormap
    from matplotlib.figure import Figure


# ruff: noqa: PLC0414 - modules of matplotlib are read as theme.colors …


TEXT = "#1c2733"
MUTED = "#5d6b79"
LINE = "#c9d1d9"
EMPTY = "#e9ecef"
ACCENT = "#0b6477"
WARM = "#c4572a"
GROUP_COLOURS = {"FC": "#b5482a", "SC": "#2a6f97", "both": "#5b5f97"}
# Paul Tol's "muted" set: told apart with every common kind of colour blindness
REGION_COLOURS = (
    "#332288", "#88ccee", "#117733", "#ddcc77", "#cc6677",
    "#44aa99", "#882255", "#999933", "#aa4499", "#777777",
)  # fmt: skip
CATEGORY_COLOURS = tuple(REGION_COLOURS[k] for k in (0, 4, 2, 3, 1, 6, 5, 7))
"""The first ones are the easiest to tell apart."""
N_LEVELS = 27
"""Colours of a matrix: finer steps are hardly seen and cost file size; odd, for a middle one."""
SMALL = 8.0
NORMAL = 9.5
LARGE = 11.0

Bytes = NDArray[np.uint8]
CSS_DPI = 100.0
"""Figures are laid out in hundredths of an inch, one per CSS pixel, and drawn finer."""


if TYPE_CHECKING:
    from matplotlib import cm as cm
    from matplotlib import collections as collections
    from matplotlib import colorbar as colorbar
    from matplotlib import colors as colors
    from matplotlib import lines as lines
    from matplotlib import patches as patches
    from matplotlib import path as path
    from matplotlib import textpath as textpath
    from matplotlib import ticker as ticker
    from matplotlib import transforms as transforms
else:

    def __getattr__(name: str) -> Any:
        """Import a module of matplotlib when something of it is drawn with."""
        if name.startswith("_"):
            raise AttributeError(name)
        prepare_matplotlib()
        return globals().setdefault(name, import_module(f"matplotlib.{name}"))


def prepare_matplotlib() -> None:
    """Give matplotlib a cache folder where there is no home to write to (containers)."""
    home = os.environ.get("HOME")
    if "MPLCONFIGDIR" in os.environ or (home and os.access(home, os.W_OK)):
        return
    # a folder of its own, which nobody else can have filled
    os.environ["MPLCONFIGDIR"] = folder = tempfile.mkdtemp(prefix="kraken_bids-matplotlib-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)


def diverging_colours() -> "ListedColormap":
    """Blue, white, red: for FC, centred at 0."""
    return _sample("RdBu_r", 0.0, 1.0)


def sequential_colours() -> "ListedColormap":
    """From almost white to dark blue: for SC, log scale."""
    return _sample("YlGnBu", 0.1, 1.0)


def share_colours() -> "ListedColormap":
    """From almost white to a calm blue: for shares from 0 to 1, where 1 is what is wanted."""
    return _sample("GnBu", 0.08, 0.78)


def number_colours() -> "ListedColormap":
    """From dark violet to yellow-green: for numbers of subjects, such as their age."""
    return _sample("viridis", 0.0, 0.92)


def strength_colours() -> "ListedColormap":
    """From orange to dark red: for strong values, all of which must be seen on white."""
    return _sample("YlOrRd", 0.35, 1.0)


def new_figure(width: float, height: float, *, scale: float = 1.75) -> "Figure":
    """Figure of a size in CSS pixels, drawn ``scale`` times finer to be sharp on any screen."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width / 100, height / 100), dpi=100 * scale, facecolor="white")


def add_box(figure: "Figure", left: float, top: float, width: float, height: float) -> "Axes":  # noqa: PLR0917
    """Axes at a place in CSS pixels, counted from the upper left corner as in the page."""
    full_width, full_height = figure.get_size_inches() * 100
    bottom = full_height - top - height
    return figure.add_axes(
        (left / full_width, bottom / full_height, width / full_width, height / full_height)
    )


def join_boxes(boxes: tuple[Floats | float, ...], **style: Any) -> "collections.PolyCollection":
    """Boxes as one collection, since many patches take long.

    Parameters
    ----------
    boxes : tuple of four arrays or numbers
        Left, top, right and bottom of each box, or of all of them.
    **style
        Of the collection, such as ``facecolors``, which begin again after the last of them.
    """
    from matplotlib.collections import PolyCollection

    left, top, right, bottom = np.broadcast_arrays(*boxes)
    corners = np.stack([left, top, right, top, right, bottom, left, bottom], axis=-1)
    return PolyCollection(list(corners.reshape(-1, 4, 2)), linewidths=0, **style)


def style_axes(axes: "Axes", *, x_label: str = "", y_label: str = "", grid: str = "y") -> None:
    """Light axes: two thin spines, small ticks, a faint grid behind the data."""
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color(LINE)
    axes.tick_params(colors=MUTED, labelsize=SMALL, length=3, width=0.6, color=LINE)
    axes.set_xlabel(x_label, fontsize=NORMAL, color=MUTED, parse_math=False)
    axes.set_ylabel(y_label, fontsize=NORMAL, color=MUTED, parse_math=False)
    axes.set_axisbelow(True)
    if grid:
        axes.grid(axis=grid, color=EMPTY, linewidth=0.7)  # type: ignore[arg-type]


def add_text(axes: "Axes", x: float, y: float, text: str, **style: Any) -> None:
    """Text as it is: a ``$`` in a name is no formula."""
    style = {"fontsize": NORMAL, "color": TEXT, "parse_math": False, **style}
    axes.text(x, y, text, **style)


def add_title(axes: "Axes", name: str, numbers: str, *, top: float) -> None:
    """Name of a small plot, and its numbers below, over it."""
    style: dict[str, Any] = {"transform": axes.transAxes, "fontsize": SMALL}
    add_text(axes, 0, top, name, weight="bold", **style)
    add_text(axes, 0, 1.04, numbers, color=MUTED, **style)


def name_cells(
    axes: "Axes",
    rows: Sequence[str],
    columns: Sequence[str],
    *,
    rotation: float = 38,
    gap: float = 0.0,
) -> None:
    """Write names of rows on the left of cells, of columns above; white lines in the gaps."""
    axes.set_xticks(
        range(len(columns)), list(columns), rotation=rotation, ha="left", parse_math=False
    )
    axes.set_yticks(range(len(rows)), list(rows), parse_math=False)
    axes.tick_params(
        top=True, labeltop=True, bottom=False, labelbottom=False, length=0, labelsize=SMALL
    )
    if gap:
        axes.spines[:].set_visible(False)
        axes.set_xticks(np.arange(len(columns) - 1) + 0.5, minor=True)
        axes.set_yticks(np.arange(len(rows) - 1) + 0.5, minor=True)
        axes.grid(which="minor", color="white", linewidth=gap)
        axes.tick_params(which="minor", length=0)


def name_axes_of_all(figure: "Figure", x_label: str, y_label: str) -> None:
    """Labels that all small plots of a figure share."""
    full = add_box(figure, 0, 0, *(figure.get_size_inches() * 100))
    full.set_axis_off()
    full.patch.set_visible(False)
    style: dict[str, Any] = {"transform": full.transAxes, "color": MUTED}
    add_text(full, 0.5, 0.006, x_label, ha="center", va="bottom", **style)
    add_text(full, 0.002, 0.5, y_label, rotation=90, va="center", **style)


def draw_density(axes: "Axes", x: Floats, y: Floats, edges: tuple[Floats, Floats]) -> None:
    """Draw how many points lie in each cell of a grid, darker where there are more."""
    from matplotlib.colors import LogNorm

    counts = np.histogram2d(x, y, edges)[0].T
    norm = LogNorm(1, max(float(counts.max()), 2))
    shown = np.ma.masked_equal(counts, 0)
    axes.pcolormesh(*edges, shown, norm=norm, cmap=sequential_colours())


@cache
def _sample(name: str, low: float, high: float) -> "ListedColormap":
    import matplotlib
    from matplotlib.colors import ListedColormap

    return ListedColormap(matplotlib.colormaps[name](np.linspace(low, high, N_LEVELS)))


def draw_png(figure: "Figure") -> bytes:
    """PNG file of a matplotlib figure at the figure's own resolution.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
        Made without pyplot; it is drawn on an opaque Agg canvas.
    """
    return encode_png(draw_pixels(figure), dpi=float(figure.dpi))


def draw_pixels(figure: "Figure") -> Bytes:
    """Pixels [height, width, 4] of a matplotlib figure, red, green, blue and opacity."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    canvas = FigureCanvasAgg(figure)
    canvas.draw()  # type: ignore[no-untyped-call]
    return np.asarray(canvas.buffer_rgba())  # type: ignore[no-untyped-call]


def encode_png(pixels: Bytes, *, dpi: float = CSS_DPI) -> bytes:
    """Palette PNG of an opaque image.

    Parameters
    ----------
    pixels : uint8 array [height, width, 4]
        Images of at most 256 colours keep them exactly; of more, similar ones become the most
        frequent of them.
    dpi : float
        Stored in the file, so that a page can show it at its intended size.
    """
    return format_png(*choose_palette(pixels), dpi=dpi)


def read_png_size(png: bytes) -> tuple[int, int]:
    """Width and height in CSS pixels at which a PNG is meant to be shown."""
    from PIL import Image

    with Image.open(io.BytesIO(png)) as image:
        scale = CSS_DPI / image.info.get("dpi", (CSS_DPI, CSS_DPI))[0]
        return round(image.width * scale), round(image.height * scale)
