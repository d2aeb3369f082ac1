"""Presence of communities over the volumes of a scan, one row each, and motion above them."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from kraken_bids.report import theme
from kraken_bids.report.carpet import LEFT_OUT, draw_displacement
from kraken_bids.report.section import Floats
from kraken_bids.report.theme import draw_png

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH, LEFT, ROW = 1060.0, 60.0, 22.0
TOP, BOTTOM = 40.0, 44.0
TRACE, GAP = 56.0, 10.0
"""Height of motion, and below it; all in CSS pixels."""


@dataclass(frozen=True)
class PresenceCarpet:
    """What is drawn of one scan."""

    title: str
    """Name of the scan."""
    names: tuple[str, ...]
    """Of the communities."""
    presence: Floats
    """[n_volumes, n_communities], 0 to 1; NaN in volumes that do not count."""
    displacement: Floats | None = None
    """Framewise displacement [n_volumes], mm, NaN where undefined; None where it is not known."""


def draw_presence(carpet: PresenceCarpet) -> bytes:
    """PNG with a row per community, dark where it is present, under the motion of the head."""
    motion = 0.0 if carpet.displacement is None else TRACE + GAP
    height = ROW * len(carpet.names)
    full = TOP + motion + height + BOTTOM
    figure = theme.new_figure(WIDTH, full)
    if carpet.displacement is not None:
        _draw_motion(figure, carpet.displacement)
    axes = _add_row(figure, TOP + motion, height)
    n_volumes = len(carpet.presence)
    colours = theme.share_colours().with_extremes(bad=LEFT_OUT)
    axes.imshow(
        carpet.presence.T, aspect="auto", cmap=colours, vmin=0, vmax=1, interpolation="nearest",
        extent=(0, n_volumes, len(carpet.names), 0),
    )  # fmt: skip
    axes.set(yticks=[k + 0.5 for k in range(len(carpet.names))], yticklabels=carpet.names)
    theme.style_axes(axes, x_label="volume", grid="")
    axes.tick_params(axis="y", length=0)
    for row in range(1, len(carpet.names)):
        axes.axhline(row, color="white", linewidth=1)
    shown = "presence" if carpet.displacement is None else "framewise displacement (mm), presence"
    figure.text(
        LEFT / WIDTH, 1 - 0.7 * TOP / full, f"{carpet.title}, {shown}", fontsize=theme.SMALL,
        va="center", parse_math=False,
    )  # fmt: skip
    return draw_png(figure)


def _draw_motion(figure: "Figure", displacement: Floats) -> None:
    """Draw a volume's displacement over the middle of its column of the carpet."""
    axes = _add_row(figure, TOP, TRACE)
    theme.style_axes(axes, grid="")
    draw_displacement(axes, np.arange(len(displacement)) + 0.5, displacement)
    axes.set_xlim(0, len(displacement))
    axes.tick_params(axis="x", labelbottom=False)


def _add_row(figure: "Figure", top: float, height: float) -> "Axes":
    return theme.add_box(figure, LEFT, top, WIDTH - LEFT - 16, height)
