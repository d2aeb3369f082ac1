"""Heatmap of how well each file fits the other files of its person."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.colors import to_rgb
from matplotlib.patches import Rectangle

from kraken_bids.report import theme
from kraken_bids.report.pages import Floats, TrustRow
from kraken_bids.report.png import draw_png

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MAX_ROWS = 40
"""Above this many participants only those with something to check are drawn."""
MISFIT = theme.WARM
FITS = theme.ACCENT
FULL_COLOUR = 10.0
"""Log odds at which a colour is full."""


def draw_trust(rows: Sequence[TrustRow]) -> bytes:
    """PNG heatmap, participants by flavors: colour is the fit, a number the rank if not the first.

    Files to check are framed. With more than :data:`MAX_ROWS` participants only those with one
    are drawn, at most so many.
    """
    people = _choose_people(rows)
    flavors = list(dict.fromkeys(row.flavor for row in rows))
    groups = {row.flavor: row.group for row in rows}
    cell = (46.0, 19.0)
    left, top = 110.0, 150.0
    size = (cell[0] * len(flavors), cell[1] * len(people))
    figure = theme.new_figure(left + size[0] + 130, top + size[1] + 12, scale=1.6)
    axes = theme.add_box(figure, left, top, *size)
    fit = np.full((len(people), len(flavors)), np.nan)
    for row in rows:
        if row.participant in people and row.fit is not None:
            fit[people.index(row.participant), flavors.index(row.flavor)] = row.fit
    axes.imshow(_colour(fit), aspect="auto", interpolation="nearest")
    for row in rows:
        if row.participant in people:
            _mark(axes, row, people.index(row.participant), flavors.index(row.flavor))
    _name_axes(axes, people, flavors)
    for label in axes.get_xticklabels():
        label.set_color(theme.GROUP_COLOURS[groups[label.get_text()]])
    return draw_png(figure)


def _choose_people(rows: Sequence[TrustRow]) -> list[str]:
    everyone = list(dict.fromkeys(row.participant for row in rows))
    if len(everyone) <= MAX_ROWS:
        return everyone
    unusual = list(dict.fromkeys(row.participant for row in rows if row.verdict == "check"))
    return (unusual or everyone)[:MAX_ROWS]


def _colour(fit: Floats) -> Floats:
    """White at even odds, petrol where a file fits, orange where it does not, grey if unknown."""
    strength = np.clip(np.abs(np.nan_to_num(fit)) / FULL_COLOUR, 0, 1)[..., None] * 0.85
    full = np.where(fit[..., None] < 0, to_rgb(MISFIT), to_rgb(FITS))
    colours: Floats = 1 - strength * (1 - full)
    colours[~np.isfinite(fit)] = 0.93
    return colours


def _mark(axes: "Axes", row: TrustRow, i: int, j: int) -> None:
    if row.rank is not None and row.rank > 1:
        dark = abs(row.fit or 0) > 0.6 * FULL_COLOUR
        colour = "white" if dark else theme.TEXT
        style = {"ha": "center", "va": "center", "fontsize": theme.SMALL - 0.5}
        theme.add_text(axes, j, i, str(row.rank), color=colour, **style)
    if row.verdict == "check":
        frame = Rectangle(
            (j - 0.5, i - 0.5), 1, 1, fill=False, edgecolor=theme.TEXT, linewidth=1.6, zorder=5
        )
        frame.set_clip_on(False)
        axes.add_patch(frame)


def _name_axes(axes: "Axes", people: Sequence[str], flavors: Sequence[str]) -> None:
    axes.set_xticks(range(len(flavors)), list(flavors), rotation=38, ha="left")
    axes.set_yticks(range(len(people)), list(people))
    axes.tick_params(
        top=True, labeltop=True, bottom=False, labelbottom=False, length=0, labelsize=theme.SMALL
    )
    for label in (*axes.get_xticklabels(), *axes.get_yticklabels()):
        label.set_parse_math(False)
    for spine in axes.spines.values():
        spine.set_visible(False)
    axes.set_xticks(np.arange(len(flavors) - 1) + 0.5, minor=True)
    axes.set_yticks(np.arange(len(people) - 1) + 0.5, minor=True)
    axes.grid(which="minor", color="white", linewidth=1.0)
    axes.tick_params(which="minor", length=0)
