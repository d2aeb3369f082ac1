"""For which targets predictions are about people, and for which they are the mean in disguise."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from kraken_bids.exceptions import name_few
from kraken_bids.flavors import Flavor
from kraken_bids.report import theme
from kraken_bids.report.section import Section
from kraken_bids.report.sections.about_person import read_pairs
from kraken_bids.report.sections.identifiability import read_all_metrics
from kraken_bids.report.worth_words import (
    HARDLY,
    MAYBE,
    PEOPLE,
    Claim,
    format_range,
    format_signed,
    judge_pair,
)
from kraken_bids.report.written import display_order, parse_known
from kraken_bids.report.written_group import WrittenGroup
from kraken_bids.scores.calibrated_records import CalibratedPairRecord
from kraken_bids.scores.doubt_words import MEAN, NOT_JUDGED
from kraken_bids.scores.quality_control import CROSS_MODAL

if TYPE_CHECKING:
    from matplotlib.axes import Axes

WIDTH, ROW = 1060.0, 25.0
LEFT, MIDDLE, RIGHT = 215.0, 660.0, 20.0
TOP, BOTTOM = 28.0, 44.0
COLOURS = {PEOPLE: "#2e8b57", MAYBE: theme.MUTED, MEAN: theme.WARM}
"""Of verdicts, as the page has them."""
SHORT = 0.03
"""Coverage so far below the promise is marked."""
LOWEST = "coverage_lowest_person"
CLASSES = {
    "coverage": "all edges",
    "coverage_within": "within hemispheres",
    "coverage_between": "between hemispheres",
    "coverage_q1": "weakest quarter",
    "coverage_q2": "second",
    "coverage_q3": "third",
    "coverage_q4": "strongest quarter",
    LOWEST: "lowest person",
}
"""Columns of the table of coverage: field and heading."""


@dataclass(frozen=True)
class TargetWorth:
    """What calibrated predictions of one target from one source are worth."""

    target: Flavor
    source: str
    pair: CalibratedPairRecord
    claim: Claim
    metrics: Mapping[str, float] = field(default_factory=dict)
    """Of raw predictions and of the peer, by name; those of p-values end in ``_p``."""
    coverages: Sequence[float] = ()
    """Share of measured edges within the intervals, of each session."""

    def list_coverage(self) -> list[tuple[float | None, bool]]:
        """List coverage by class of edges, and whether it falls short of the promise."""
        limit = (self.pair.promised or 0.0) - SHORT
        found = {name: getattr(self.pair, name) for name in CLASSES}
        # single people lie below what is promised over all of them
        return [
            (value, value is not None and value < limit and name != LOWEST)
            for name, value in found.items()
        ]


def read_worth_metrics(group: WrittenGroup) -> dict[tuple[str, str], dict[str, float]]:
    """Metrics by source and target, and the p-value of each under its name and ``_p``."""
    found = {}
    for pair, rows in group.once(read_all_metrics).items():
        values = {name: row.value for name, row in rows.items()}
        chances = {f"{name}_p": row.p for name, row in rows.items()}
        known = (values | chances).items()
        found[pair] = {name: x for name, x in known if x is not None and not np.isnan(x)}
    return found


def gather(group: WrittenGroup) -> dict[str, Any] | None:
    """Gather every source and target that was, or could not be, calibrated; None without any."""
    pairs = group.once(read_pairs)
    if not pairs:
        return None
    metrics, coverages = read_worth_metrics(group), _read_coverages(group)
    rows = [
        TargetWorth(
            flavor,
            source,
            pair,
            judge_pair(pair, metrics.get((source, flavor.name), {})),
            metrics.get((source, flavor.name), {}),
            coverages.get((source, flavor.name), ()),
        )
        for (source, target), pair in pairs.items()
        for flavor in parse_known([target])
    ]
    rows.sort(key=lambda row: (display_order(row.target), row.source))
    across = [row for row in rows if row.source == CROSS_MODAL[row.target.group]]
    judged = [row for row in across if row.claim.verdict != NOT_JUDGED]
    refused = [row for row in across if row not in judged]
    return {
        "rows": judged,
        "refused": [row.target.name for row in refused],
        "reason": next((row.claim.reason for row in refused), ""),
        "others": [r for r in rows if r not in across and r.claim.verdict != NOT_JUDGED],
    }


def _read_coverages(group: WrittenGroup) -> dict[tuple[str, str], list[float]]:
    """Coverage of every session in which a target was measured, by source and target."""
    names = ("source", "target", "coverage")
    columns = group.read_table("calibrated.tsv", numbers=names[2:], texts=names[:2])
    found: dict[tuple[str, str], list[float]] = {}
    for *pair, coverage in zip(
        *(columns[name].tolist() for name in names if columns), strict=True
    ):
        if np.isfinite(coverage):
            found.setdefault((pair[0], pair[1]), []).append(coverage)
    return found


def summarize(rows: Sequence[TargetWorth]) -> str:
    """Headline: which targets are about people, and which are not."""
    parts = []
    for verdict, words in (
        (PEOPLE, "about people"),
        (HARDLY, "hardly more than the mean"),
        (MAYBE, "not to be told from the mean with so few people"),
        (MEAN, "the group's mean in disguise"),
    ):
        names = [row.target.name for row in rows if row.claim.verdict == verdict]
        if names:
            parts.append(f"{len(names)} {words} ({name_few(names)})")
    return f"{len(rows)} targets predicted from the other modality: {'; '.join(parts)}."


def draw_targets(rows: Sequence[TargetWorth]) -> bytes:
    """PNG: gain over the mean of every target at the left, coverage of every session beside it."""
    height = ROW * len(rows)
    figure = theme.new_figure(WIDTH, TOP + height + BOTTOM, scale=1.5)
    gains = theme.add_box(figure, LEFT, TOP, MIDDLE - LEFT - 40, height)
    _draw_gains(gains, rows)
    coverage = theme.add_box(figure, MIDDLE, TOP, WIDTH - MIDDLE - RIGHT, height)
    _draw_coverages(coverage, rows)
    for axes, title in ((gains, "gain over the mean"), (coverage, "edges within the intervals")):
        style: dict[str, Any] = {"transform": axes.transAxes, "weight": "bold"}
        theme.add_text(axes, 0, 1 + 9 / height, title, **style)
    return theme.draw_png(figure)


def _draw_gains(axes: "Axes", rows: Sequence[TargetWorth]) -> None:
    bounds = [
        value
        for row in rows
        for value in (
            row.pair.gain_people_low,
            row.pair.gain_people_high,
            row.metrics.get("pls_gain"),
        )
        if value is not None
    ]
    low, high = max(-0.5, min([-0.05, *bounds]) - 0.02), min(1.0, max([0.1, *bounds]) + 0.02)
    for y, row in enumerate(rows):
        pair, colour = row.pair, COLOURS.get(row.claim.verdict, theme.MUTED)
        ends = {"people": (pair.gain_people_low, pair.gain_people_high),
                "mean": (pair.gain_low, pair.gain_high)}  # fmt: skip
        for name, (start, stop) in ends.items():
            if start is not None and stop is not None:
                wide = name == "people"
                axes.plot(
                    [start, stop],
                    [y, y],
                    color=theme.LINE if wide else colour,
                    linewidth=7 if wide else 2.4,
                    solid_capstyle="butt",
                )
        if pair.gain is not None:
            axes.plot([pair.gain], [y], "o", color=colour, markersize=6)
        for name, mark in (("pls_gain", "D"), ("gain", "x")):
            if (value := row.metrics.get(name)) is not None:
                place = min(max(value, low), high)
                axes.plot([place], [y], mark, color=theme.TEXT, markersize=4.5, fillstyle="none")
    axes.axvline(0, color=theme.TEXT, linewidth=1)
    axes.set(xlim=(low, high), ylim=(len(rows) - 0.5, -0.5))
    axes.set_yticks(range(len(rows)), [row.target.name for row in rows])
    theme.style_axes(axes, x_label="share of what sets people apart from the mean", grid="x")


def _draw_coverages(axes: "Axes", rows: Sequence[TargetWorth]) -> None:
    values = [value for row in rows for value in row.coverages]
    promises = {row.pair.promised for row in rows if row.pair.promised is not None}
    for y, row in enumerate(rows):
        own = np.asarray(row.coverages)
        axes.plot(own, np.full(len(own), y), "|", color=theme.ACCENT, markersize=9, alpha=0.5)
        if row.pair.coverage is not None:
            axes.plot([row.pair.coverage], [y], "o", color=theme.ACCENT, markersize=6)
    for promised in promises:
        axes.axvline(promised, color=theme.TEXT, linewidth=1)
    low = min([0.6, *values, *promises])
    axes.set(xlim=(low - 0.02, 1.0), ylim=(len(rows) - 0.5, -0.5))
    axes.set_yticks([])
    theme.style_axes(axes, x_label="share of a session's measured edges", grid="x")


SECTION = Section(
    "worth",
    "About people",
    "about_people.html",
    gather,
    heading="Which predictions are about people",
    draw=lambda data: {"worth": draw_targets(data["rows"])} if data["rows"] else {},
    figures=("worth",),
    words={
        "summarize": summarize,
        "format_range": format_range,
        "format_signed": format_signed,
        "classes": tuple(CLASSES.values()),
    },
)
