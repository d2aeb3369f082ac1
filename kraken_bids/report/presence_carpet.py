"""Presence of communities over the volumes of a scan, one row each."""

from dataclasses import dataclass

from kraken_bids.report import theme
from kraken_bids.report.carpet import LEFT_OUT
from kraken_bids.report.section import Floats
from kraken_bids.report.theme import draw_png

WIDTH, LEFT, ROW = 1060.0, 60.0, 22.0
TOP, BOTTOM = 40.0, 44.0


@dataclass(frozen=True)
class PresenceCarpet:
    """What is drawn of one scan."""

    title: str
    """Name of the scan."""
    names: tuple[str, ...]
    """Of the communities."""
    presence: Floats
    """[n_volumes, n_communities], 0 to 1; NaN in volumes that do not count."""


def draw_presence(carpet: PresenceCarpet) -> bytes:
    """PNG with a row per community, dark where it is present."""
    height = ROW * len(carpet.names)
    figure = theme.new_figure(WIDTH, TOP + height + BOTTOM)
    axes = theme.add_box(figure, LEFT, TOP, WIDTH - LEFT - 16, height)
    n_volumes = len(carpet.presence)
    colours = theme.share_colours().with_extremes(bad=LEFT_OUT)
    axes.imshow(
        carpet.presence.T, aspect="auto", cmap=colours, vmin=0, vmax=1, interpolation="nearest",
        extent=(0, n_volumes, len(carpet.names), 0),
    )  # fmt: skip
    axes.set(yticks=[k + 0.5 for k in range(len(carpet.names))], yticklabels=carpet.names)
    theme.style_axes(axes, x_label="volume")
    axes.tick_params(axis="y", length=0)
    for row in range(1, len(carpet.names)):
        axes.axhline(row, color="white", linewidth=1)
    figure.text(
        LEFT / WIDTH, 1 - 0.7 * TOP / (TOP + height + BOTTOM), f"{carpet.title}, presence",
        fontsize=theme.SMALL, va="center",
    )  # fmt: skip
    return draw_png(figure)
