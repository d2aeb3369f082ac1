"""Curves of a training: its loss, and how well subjects are predicted, epoch by epoch."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kraken_bids.report import theme
from kraken_bids.report.theme import draw_png

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.lines import Line2D

PANEL = (250.0, 150.0)
GAP = (66.0, 80.0)
LEGEND = 34.0


@dataclass(frozen=True)
class Curve:
    """One line."""

    name: str
    colour: str
    epochs: Sequence[float]
    values: Sequence[float]
    style: str = "-"


@dataclass(frozen=True)
class CurvePanel:
    """Lines of one quantity, in one space."""

    title: str
    note: str
    curves: Sequence[Curve]


def draw_curves(
    panels: Sequence[CurvePanel], *, best_epoch: int | None = None, x_label: str = "epoch"
) -> bytes:
    """PNG of small plots side by side, the epoch that is kept marked."""
    n_columns = min(3, len(panels))
    n_rows = -(-len(panels) // n_columns)
    figure = theme.new_figure(
        n_columns * (PANEL[0] + GAP[0]) + 16, n_rows * (PANEL[1] + GAP[1]) + LEGEND, scale=1.6
    )
    lines: dict[str, Line2D] = {}
    for number, panel in enumerate(panels):
        row, column = divmod(number, n_columns)
        left, top = 50 + column * (PANEL[0] + GAP[0]), LEGEND + 32 + row * (PANEL[1] + GAP[1])
        axes = theme.add_box(figure, left, top, *PANEL)
        theme.style_axes(axes, x_label=x_label)
        whole = theme.ticker.MaxNLocator("auto", steps=[1, 2, 5, 10], integer=True)
        axes.xaxis.set_major_locator(whole)
        lines |= _draw_panel(axes, panel, best_epoch)
    if lines:  # none where nothing was validated and there were no epochs
        figure.legend(
            lines.values(), lines.keys(), loc="upper left", ncol=len(lines), frameon=False,
            fontsize=theme.SMALL, handlelength=2.2,
        )  # fmt: skip
    return draw_png(figure)


def _draw_panel(axes: "Axes", panel: CurvePanel, best_epoch: int | None) -> "dict[str, Line2D]":
    if best_epoch:
        axes.axvline(best_epoch, color=theme.LINE, linewidth=1)
    drawn = {}
    for curve in panel.curves:
        marker = "o" if len(curve.epochs) == 1 else None
        drawn[curve.name] = axes.plot(
            curve.epochs, curve.values, curve.style, color=curve.colour, linewidth=1.4,
            marker=marker, markersize=4,
        )[0]  # fmt: skip
    theme.add_title(axes, panel.title, panel.note, top=1.14)
    return drawn
