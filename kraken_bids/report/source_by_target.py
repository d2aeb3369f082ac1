"""Heatmaps of scores by source and target of predictions."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from kraken_bids.report import theme
from kraken_bids.report.section import Floats, Group, SourceGroup
from kraken_bids.report.theme import draw_png

if TYPE_CHECKING:
    from matplotlib.axes import Axes


AT_CHANCE = "#f6d5bd"
AXES = "rows: predicted from (source); columns: predicted (target)"


@dataclass(frozen=True)
class SourceByTarget:
    """Rows and columns of a heatmap."""

    sources: tuple[str, ...]
    source_groups: tuple[SourceGroup, ...]
    targets: tuple[str, ...]
    target_groups: tuple[Group, ...]


def draw_source_by_target(
    table: SourceByTarget, values: Floats, *, chance: float, digits: int, title: str = ""
) -> bytes:
    """PNG heatmap of numbers by source and target, with the cross-modal blocks framed.

    Parameters
    ----------
    table : SourceByTarget
        What rows and columns are.
    values : array [n_sources, n_targets]
        NaN where there is none.
    chance : float
        Where the colours begin; they end at 1.
    digits : int
        After the point; with none, values are shown in per cent.
    title : str
        Of a picture that stands alone, whose axes are then named as well.
    """
    rows = _sort_groups(table.source_groups)
    columns = _sort_groups(table.target_groups)
    shown = np.asarray(values, dtype=float)[np.ix_(rows, columns)]
    cell = (50.0, 28.0)
    top, left = 142.0, 16 + 6.9 * max(map(len, table.sources))
    width = left + cell[0] * len(columns) + 120
    if title:
        top, width = top + 44, max(width, 7.2 * max(len(title), len(AXES)) + 24)
    figure = theme.new_figure(width, top + cell[1] * len(rows) + 16, scale=1.6)
    axes = theme.add_box(figure, left, top, cell[0] * len(columns), cell[1] * len(rows))
    _fill_cells(axes, shown, chance, digits=digits)
    _name_axes(axes, table, rows, columns)
    _frame_cross_modal(axes, table, rows, columns)
    if title:
        height = top + cell[1] * len(rows) + 16
        for line, text in enumerate((title, AXES)):
            place = (12 / width, 1 - (12 + 19 * line) / height)
            weight = "normal" if line else "bold"
            figure.text(*place, text, va="top", fontsize=theme.SMALL, weight=weight)
    return draw_png(figure)


def _fill_cells(axes: "Axes", shown: Floats, chance: float, *, digits: int) -> None:
    colours = theme.sequential_colours()
    excess = (shown - chance) / max(1 - chance, 1e-9)
    rgb = colours(np.clip(np.nan_to_num(excess), 0, 1) * 0.8)[..., :3]
    rgb[excess <= 1e-9] = theme.colors.to_rgb(AT_CHANCE)
    rgb[~np.isfinite(shown)] = 0.93
    axes.imshow(rgb, aspect="auto", interpolation="nearest")
    for (i, j), value in np.ndenumerate(shown):
        text = (
            "–" if not np.isfinite(value) else f"{value:.2f}" if digits else f"{100 * value:.0f}"
        )
        dark = np.isfinite(value) and excess[i, j] > 0.55
        style = {"ha": "center", "va": "center", "fontsize": theme.SMALL}
        theme.add_text(axes, j, i, text, color="white" if dark else theme.TEXT, **style)


def _name_axes(axes: "Axes", table: SourceByTarget, rows: list[int], columns: list[int]) -> None:
    names = [table.sources[i] for i in rows], [table.targets[j] for j in columns]
    theme.name_cells(axes, *names, gap=1.2)
    groups = [table.source_groups[i] for i in rows]
    for label, group in zip(axes.get_yticklabels(), groups, strict=True):
        label.set_color(theme.GROUP_COLOURS[group])
    targets = [table.target_groups[j] for j in columns]
    for label, target in zip(axes.get_xticklabels(), targets, strict=True):
        label.set_color(theme.GROUP_COLOURS[target])


def _frame_cross_modal(
    axes: "Axes", table: SourceByTarget, rows: list[int], columns: list[int]
) -> None:
    for source, target in (("SC", "FC"), ("FC", "SC")):
        i = [k for k, row in enumerate(rows) if table.source_groups[row] == source]
        j = [k for k, column in enumerate(columns) if table.target_groups[column] == target]
        if i and j:
            corner, width, height = (j[0] - 0.5, i[0] - 0.5), len(j), len(i)
            frame = theme.patches.Rectangle(
                corner, width, height, fill=False, edgecolor=theme.TEXT, linewidth=1.8, zorder=5
            )
            frame.set_clip_on(False)
            axes.add_patch(frame)


def _sort_groups(groups: Sequence[str]) -> list[int]:
    """Positions with those of one group together: both, then SC, then FC."""
    rank = {"both": 0, "SC": 1, "FC": 2}
    return sorted(range(len(groups)), key=lambda i: rank[groups[i]])
