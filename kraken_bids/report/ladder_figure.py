"""Picture of a fine-tuning: how good each rung is, and where the one taken helped."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kraken_bids.report import theme
from kraken_bids.report.theme import draw_png

if TYPE_CHECKING:
    from matplotlib.axes import Axes

WIDTH, ROW = 230.0, 30.0
LEFT, TOP = 122.0, 62.0


@dataclass(frozen=True)
class Bar:
    """One number with its interval."""

    name: str
    value: float
    low: float
    high: float
    is_taken: bool = False


def draw_ladder(rungs: Sequence[Bar], gains: Sequence[Bar], *, taken: str, note: str) -> bytes:
    """PNG of the rungs' scores, and beside them the gains of one of them by direction.

    Parameters
    ----------
    rungs : sequence of Bar
        From the lowest; the one that is taken is marked.
    gains : sequence of Bar
        Over mean shift, by direction.
    taken : str
        The rung whose gains these are.
    note : str
        What was measured on whom.
    """
    height = TOP + ROW * max(len(rungs), len(gains)) + 52
    figure = theme.new_figure(2 * (WIDTH + LEFT) + 24, height, scale=1.6)
    scores = theme.add_box(figure, LEFT, TOP, WIDTH, ROW * len(rungs))
    _draw_bars(scores, rungs, "likeness in people held out")
    theme.add_title(scores, "Score of each rung", note, top=1.04 + 20 / (ROW * len(rungs)))
    beside = theme.add_box(figure, 2 * LEFT + WIDTH, TOP, WIDTH, ROW * len(gains))
    _draw_bars(beside, gains, "gain over mean shift")
    beside.axvline(0, color=theme.MUTED, linewidth=0.8)
    theme.add_title(
        beside, f"Gain of: {taken}", "95 % intervals", top=1.04 + 20 / (ROW * len(gains))
    )
    return draw_png(figure)


def _draw_bars(axes: "Axes", bars: Sequence[Bar], label: str) -> None:
    theme.style_axes(axes, x_label=label, grid="x")
    for place, bar in enumerate(bars):
        colour = theme.ACCENT if bar.is_taken else theme.MUTED
        axes.plot([bar.low, bar.high], [place, place], color=colour, linewidth=2)
        axes.plot([bar.value], [place], "o", color=colour, markersize=7 if bar.is_taken else 5)
    axes.set_yticks(range(len(bars)), [bar.name for bar in bars], fontsize=theme.SMALL)
    axes.set_ylim(len(bars) - 0.4, -0.6)
