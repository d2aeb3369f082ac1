"""How functional connectomes follow head motion over subjects, edge by edge (QC-FC)."""

from collections.abc import Sequence
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from kraken_bids.bids.outputs import OUTPUT, group_path
from kraken_bids.io.foreign_hdf5 import read_hdf5
from kraken_bids.io.records import from_columns
from kraken_bids.report import theme
from kraken_bids.report.section import Floats, Section
from kraken_bids.report.theme import draw_png
from kraken_bids.report.words import format_fixed
from kraken_bids.report.written import read_or_none, sort_flavors
from kraken_bids.report.written_group import WrittenGroup
from kraken_bids.scores.motion_dependence import QcFc

if TYPE_CHECKING:
    from matplotlib.axes import Axes


WIDTH = 1060.0
PER_ROW = 3
LEFT, TOP, BOTTOM = 62.0, 4.0, 40.0
TITLE = 46.0
HEIGHT = 150.0
MARGIN = 56.0
"""Of the histogram beside each cloud."""
EDGE_VALUES = ("r", "distance")
GAP = 42.0
N_BINS = 50

MAX_MOVED_EDGES = 0.01
"""Share of edges that follow motion (false discovery rate 0.05) above which it is said."""
FEW_PEOPLE = 50
"""Below this many subjects it is said how weak an effect stays hidden."""
MAX_FALL = -0.2
"""Spearman correlation of QC-FC with distance below which it is said."""


def list_motion_effects(group: WrittenGroup) -> tuple[QcFc, ...]:
    """QC-FC of every functional flavor, as the group level has written it."""
    table, path = (group_path(group.output_dir, f"qcfc.{suffix}") for suffix in ("tsv", "h5"))
    numbers = [one.name for one in fields(QcFc) if one.name not in {"flavor", *EDGE_VALUES}]
    columns = group.read_table(table.name, numbers=numbers, texts=("flavor",))
    content = read_or_none(lambda: read_hdf5(OUTPUT, path)) if columns and path.exists() else None
    effects = {}
    rows = read_or_none(lambda: from_columns(QcFc, columns)) if content else None
    for row in rows or ():
        r, distance = ((content or {}).get(f"{row.flavor}/{name}") for name in EDGE_VALUES)
        if r is not None and distance is not None and r.shape == distance.shape:
            effects[row.flavor] = replace(row, r=r, distance=distance)
    return tuple(effects[flavor.name] for flavor in sort_flavors(effects))


def draw_motion_effects(effects: Sequence[QcFc]) -> bytes:
    """PNG of small multiples: each edge's correlation with motion against its length.

    Beside each cloud the histogram of the correlations, with what chance would give as a line.
    """
    n_rows = -(-len(effects) // PER_ROW)
    cell = (WIDTH - LEFT - 8 + GAP) / PER_ROW - GAP
    width = LEFT + 8 + min(PER_ROW, len(effects)) * (cell + GAP) - GAP
    figure = theme.new_figure(width, TOP + n_rows * (TITLE + HEIGHT + 20) + BOTTOM, scale=1.5)
    limit = find_limit(effects)
    for k, effect in enumerate(effects):
        left = LEFT + (k % PER_ROW) * (cell + GAP)
        top = TOP + (k // PER_ROW) * (TITLE + HEIGHT + 20) + TITLE
        axes = theme.add_box(figure, left, top, cell - MARGIN - 4, HEIGHT)
        _draw_cloud(axes, effect, limit)
        _draw_histogram(
            theme.add_box(figure, left + cell - MARGIN, top, MARGIN, HEIGHT), effect, limit
        )
    theme.name_axes_of_all(
        figure, "distance of the two regions (mm)", "correlation with head motion"
    )
    return draw_png(figure)


def find_limit(effects: Sequence[QcFc]) -> float:
    """Half of the range of r that all small multiples share."""
    values = np.concatenate([effect.r for effect in effects] or [np.zeros(1)])
    values = np.abs(values[np.isfinite(values)])
    return min(1.0, max(0.3, 1.05 * float(np.percentile(values, 99.9)) if values.size else 0.3))


def chance_density(r: Floats, n_people: int) -> Floats:
    """Density of Pearson's r of unrelated values over so many subjects.

    Parameters
    ----------
    r : array [n], evenly spaced over -1 … 1
    n_people : int
        At least 4.

    Source
    ------
    Fisher 1915: proportional to (1 - r²)^((n - 4) / 2).
    """
    shape = np.clip(1 - np.asarray(r) ** 2, 0, 1) ** ((n_people - 4) / 2)
    return np.asarray(shape / (shape.sum() * (r[1] - r[0])))


N_MEDIANS = 12


def running_median(x: Floats, y: Floats) -> tuple[Floats, Floats]:
    """Median of y in bins of x that hold the same number of points: middles [n], medians [n]."""
    order = np.argsort(x, kind="stable")
    parts = [part for part in np.array_split(order, N_MEDIANS) if part.size]
    return (
        np.array([np.median(x[part]) for part in parts]),
        np.array([np.median(y[part]) for part in parts]),
    )


def _draw_cloud(axes: "Axes", effect: QcFc, limit: float) -> None:
    theme.style_axes(axes, grid="")
    axes.set_ylim(-limit, limit)
    theme.add_title(axes, effect.flavor, _numbers(effect), top=1.16)
    x, y = np.asarray(effect.distance, float), np.asarray(effect.r, float)
    known = np.isfinite(x) & np.isfinite(y)
    x, y = x[known], y[known]
    if x.size < 3 or np.ptp(x) == 0:
        axes.set_xticks([])
        style = {"transform": axes.transAxes, "fontsize": theme.SMALL}
        style |= {"ha": "center", "color": theme.MUTED}
        theme.add_text(axes, 0.5, 0.5, "places of regions unknown", **style)
        return
    edges = np.linspace(0, x.max(), N_BINS), np.linspace(-limit, limit, N_BINS)
    theme.draw_density(axes, x, y, edges)
    axes.axhline(0, color=theme.MUTED, linewidth=0.6)
    axes.plot(*running_median(x, y), color=theme.WARM, linewidth=1.6)
    axes.set_xlim(0, x.max())


def _draw_histogram(axes: "Axes", effect: QcFc, limit: float) -> None:
    axes.set_axis_off()
    r = np.asarray(effect.r, float)
    bins = np.linspace(-limit, limit, 41)
    counts = np.histogram(r[np.isfinite(r)], bins)[0]
    heights = counts / max(counts.sum(), 1) / np.diff(bins)
    axes.barh(bins[:-1], heights, np.diff(bins), align="edge", color=theme.ACCENT, alpha=0.55)
    grid = np.linspace(-1, 1, 2001)
    density = chance_density(grid, effect.n_people)
    axes.plot(density, grid, color=theme.TEXT, linewidth=1.0, linestyle=(0, (3, 2)))
    axes.set(
        ylim=(-limit, limit), xlim=(0, 1.05 * max(float(heights.max()), float(density.max())))
    )


def _numbers(effect: QcFc) -> str:
    rho = format_fixed(effect.distance_rho)
    return f"median |r| {effect.median_abs_r:.2f} (chance {effect.chance_abs_r:.2f})   ρ {rho}"


def summarize_motion_effects(effects: Sequence[QcFc]) -> str:
    """Headline on QC-FC: whether connectomes follow head motion, and how to read it."""
    strong = [effect for effect in effects if effect.share_fdr05 > MAX_MOVED_EDGES]
    distant = [e for e in effects if e.distance_rho < MAX_FALL]
    median = float(np.median([effect.median_abs_r for effect in effects]))
    chance = float(np.median([effect.chance_abs_r for effect in effects]))
    facts = f"The median edge correlates with head motion at {median:.2f}; chance is {chance:.2f}."
    if not strong and not distant:
        return f"{facts} No flavor follows motion more than chance explains.{_say_power(effects)}"
    names = ", ".join(dict.fromkeys(effect.flavor for effect in (*strong, *distant)))
    return (
        f"{facts} Motion is left in {names}: take mean displacement as a covariate, or scrub with "
        "--fd-threshold."
    )


def _say_power(effects: Sequence[QcFc]) -> str:
    """Say which correlations so few subjects could not tell from chance; '' for many."""
    n_people = max(effect.n_people for effect in effects)
    if n_people >= FEW_PEOPLE:
        return ""
    limit = smallest_certain(n_people)
    return (
        f" With {n_people} people a single edge is told from chance only beyond ±{limit:.2f}: "
        "weaker effects of motion would stay hidden."
    )


def smallest_certain(n_people: int) -> float:
    """Pearson's r that two unrelated values exceed in 5 % of cases, from so many subjects.

    Source
    ------
    Fisher 1915: atanh(r) is about normal with variance 1 / (n - 3); within 0.02 from n = 10 on.
    """
    return float(np.tanh(1.96 / np.sqrt(max(n_people - 3, 1))))


def gather(group: WrittenGroup) -> dict[str, Any]:
    """Gather QC-FC, and of how many subjects head motion is known."""
    people = {
        member.subject
        for member in group.members
        if any(own.mean_fd is not None for own in member.measurements.values())
    }
    return {"effects": list_motion_effects(group), "n_with_motion": len(people)}


SECTION = Section(
    "motion",
    "Head motion",
    "motion_effects.html",
    gather,
    draw=lambda data: {"qcfc": draw_motion_effects(data["effects"])} if data["effects"] else {},
    figures=("qcfc",),
    words={"summarize": summarize_motion_effects},
)
