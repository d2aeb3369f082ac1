"""One look for all figures: colours that colour-blind readers tell apart, sizes in CSS pixels."""

from typing import TYPE_CHECKING, Any

import matplotlib
import numpy as np
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes

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


def diverging_colours() -> ListedColormap:
    """Blue, white, red: for FC, centred at 0."""
    return _sample("RdBu_r", 0.0, 1.0)


def sequential_colours() -> ListedColormap:
    """From almost white to dark blue: for SC, log scale."""
    return _sample("YlGnBu", 0.1, 1.0)


def share_colours() -> ListedColormap:
    """From almost white to a calm blue: for shares from 0 to 1, where 1 is what is wanted."""
    return _sample("GnBu", 0.08, 0.78)


def number_colours() -> ListedColormap:
    """From dark violet to yellow-green: for numbers of people, such as their age."""
    return _sample("viridis", 0.0, 0.92)


def new_figure(width: float, height: float, *, scale: float = 1.75) -> Figure:
    """Figure of a size in CSS pixels, drawn ``scale`` times finer to be sharp on any screen."""
    return Figure(figsize=(width / 100, height / 100), dpi=100 * scale, facecolor="white")


def add_box(figure: Figure, left: float, top: float, width: float, height: float) -> "Axes":  # noqa: PLR0917
    """Axes at a place in CSS pixels, counted from the upper left corner as in the page."""
    full_width, full_height = figure.get_size_inches() * 100
    bottom = full_height - top - height
    return figure.add_axes(
        (left / full_width, bottom / full_height, width / full_width, height / full_height)
    )


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


def _sample(name: str, low: float, high: float) -> ListedColormap:
    return ListedColormap(matplotlib.colormaps[name](np.linspace(low, high, N_LEVELS)))
