"""Which regions a decoding rests on, and when; and whether that depends on what was learned."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from kraken_bids.connectome.labels.region_places import load_centres
from kraken_bids.models.decoding_records import (
    EVERYTHING,
    HEADS,
    RegionRelevance,
    WeightsCheck,
)
from kraken_bids.parcellations import load_parcellation
from kraken_bids.report import theme
from kraken_bids.report.brain_views import VIEW, View, draw_outlines, lay_out_views
from kraken_bids.report.plane import Plane
from kraken_bids.report.section import Floats, Section
from kraken_bids.report.words import format_fixed
from kraken_bids.report.written_series import WrittenSeries

MAX_BRAINS, MAX_NAMES = 6, 5
ALIKE = 0.5
"""Correlation with the maps of random weights from which relevance is not to be trusted."""
WIDTH, TOP = 740.0, 30.0
WEIGHTS = {HEADS: "decoding head and pooler", EVERYTHING: "all layers"}


@dataclass(frozen=True)
class LabelRelevance:
    """Relevance for one label."""

    label: str
    values: Floats
    """[n_volumes, n_regions]."""
    strongest: tuple[str, ...]
    """Names of the regions of the most relevance, whatever its sign."""

    @property
    def of_regions(self) -> Floats:
        """Summed over volumes [n_regions]."""
        found: Floats = self.values.sum(axis=0)
        return found


@dataclass(frozen=True)
class Relevance:
    """Relevance of all labels."""

    labels: Sequence[LabelRelevance]
    centres: Floats
    """[n_regions, 3], MNI mm; empty where not known."""
    checks: Sequence[WeightsCheck]

    @property
    def verdict(self) -> str:
        """Whether relevance depends on what was learned, in one sentence."""
        return judge_checks(self.checks)


def judge_checks(checks: Sequence[WeightsCheck]) -> str:
    """Say in one sentence whether relevance depends on what was learned; '' where not known."""
    known = [one for one in checks if np.isfinite(one.correlation)]
    if not known:
        return ""
    last = known[-1]
    number = format_fixed(last.correlation, 2)
    if abs(last.correlation) < ALIKE:
        return (
            f"With random weights in place of all learned ones, relevance is different (rank "
            f"correlation {number}): it depends on what the network learned."
        )
    return (
        f"With random weights in place of all learned ones, relevance is much the same (rank "
        f"correlation {number}): it shows the input, not what the network learned. Do not "
        "interpret it."
    )


def gather(written: WrittenSeries) -> Relevance | None:
    """Read ``relevance.tsv`` and the check with random weights."""
    rows = written.read_records(RegionRelevance, "relevance.tsv")
    if not rows:
        return None
    regions = tuple(dict.fromkeys(row.region for row in rows))
    place = {name: k for k, name in enumerate(regions)}
    n_volumes = max(row.volume for row in rows) + 1
    values: dict[str, Floats] = {}
    for row in rows:
        own = values.setdefault(row.label, np.zeros((n_volumes, len(regions))))
        own[row.volume, place[row.region]] = row.relevance
    labels = [
        LabelRelevance(label, own, tuple(regions[k] for k in _find_strongest(own.sum(axis=0))))
        for label, own in values.items()
    ]
    centres = _find_centres(written.model.part("data").text("atlas"), regions)
    return Relevance(labels, centres, written.read_records(WeightsCheck, "relevance_check.tsv"))


def _find_centres(atlas: str, regions: Sequence[str]) -> Floats:
    """Centre of each region, by its name, or by its number where regions have none."""
    centres = load_centres(atlas)
    if len(centres) != len(regions):
        return centres[:0]
    numbers = [str(k + 1) for k in range(len(regions))]
    for names in (load_parcellation(atlas).region_names, numbers):
        if {*names} == {*regions}:
            return np.asarray(centres[[names.index(region) for region in regions]])
    return centres[:0]


def _find_strongest(relevance: Floats) -> list[int]:
    return [int(k) for k in np.argsort(-np.abs(relevance), kind="stable")[:MAX_NAMES]]


def draw(relevance: Relevance) -> dict[str, bytes]:
    """Draw each label's relevance on the brain, where places are known, and all over time."""
    pictures = {"relevance_time": draw_times(relevance.labels)}
    if len(relevance.centres):
        shown = relevance.labels[:MAX_BRAINS]
        pictures["relevance_brain"] = draw_brains(shown, relevance.centres)
    return pictures


def draw_brains(labels: Sequence[LabelRelevance], centres: Floats) -> bytes:
    """PNG of relevance at the places of regions: a row for each label, seen from three sides."""
    plane = Plane(theme.new_figure(WIDTH, len(labels) * (VIEW + TOP) + 10, scale=1.5))
    tops = [row * (VIEW + TOP) + TOP for row in range(len(labels))]
    views = [lay_out_views(centres, top) for top in tops]
    draw_outlines(plane, [view for row in views for view in row])
    for one, top, own in zip(labels, tops, views, strict=True):
        plane.write(10, top - 17, one.label, is_bold=True)
        full = float(np.abs(one.of_regions).max()) or 1.0
        for view in own:
            _draw_dots(plane, view, one.of_regions / full)
    return plane.draw()


def _draw_dots(plane: Plane, view: View, shares: Floats) -> None:
    """Draw regions, the largest dot of the largest share, from -1 to 1."""
    shown = np.flatnonzero(view.shown)
    order = shown[np.argsort(np.abs(shares[shown]), kind="stable")]
    plane.add_dots(
        view.points[order],
        6 + 60 * np.abs(shares[order]),
        facecolors=theme.diverging_colours()((shares[order] + 1) / 2),
        edgecolors=theme.LINE,
        linewidths=0.4,
    )


def draw_times(labels: Sequence[LabelRelevance]) -> bytes:
    """PNG of the relevance of each volume of a trial, region by region without sign."""
    figure = theme.new_figure(780, 240)
    axes = theme.add_box(figure, 60, 14, 480, 180)
    theme.style_axes(axes, x_label="volume of the trial", y_label="share of relevance")
    told = dict(enumerate(theme.CATEGORY_COLOURS))
    for k, one in enumerate(labels):
        size = np.abs(one.values).sum(axis=1)
        name = one.label if k in told else "others" if k == len(told) else None
        colour, width = told.get(k, theme.MUTED), 1.6 if k in told else 0.6
        axes.plot(size / (size.sum() or 1.0), color=colour, linewidth=width, label=name)
    axes.set_ylim(0, None)
    axes.xaxis.set_major_locator(theme.ticker.MaxNLocator(integer=True))
    legend = axes.legend(
        loc="upper left", bbox_to_anchor=(1.02, 1.03), frameon=False, fontsize=theme.SMALL
    )
    for text in legend.get_texts():
        text.set_parse_math(False)
    return theme.draw_png(figure)


SECTION = Section(
    "relevance",
    "Relevance",
    "decoding_relevance.html",
    gather,
    heading="Which regions it rests on, and when",
    draw=draw,
    figures=("relevance_",),
    words={"WEIGHTS": WEIGHTS, "MAX_BRAINS": MAX_BRAINS},
)
