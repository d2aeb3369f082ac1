"""How well sites are told apart before and after adaptation, and what became of covariates."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kraken_bids.report import theme
from kraken_bids.report.section import Section
from kraken_bids.report.written_group import WrittenGroup, read_group_records
from kraken_bids.scores.site_records import AFTER, BEFORE, SiteScore

ACCURACY, CORRELATION = "balanced_accuracy", "correlation"


@dataclass(frozen=True)
class SourceRow:
    """Scores of one source, before and after."""

    source: str
    features: str
    scores: Mapping[tuple[str, str, str], SiteScore]
    """By adaptation, target and metric."""

    def of(self, state: str, target: str, metric: str) -> SiteScore | None:
        """Score of a target, in one state."""
        return self.scores.get((state, target, metric))


def gather(group: WrittenGroup) -> dict[str, Any] | None:
    """Gather the scores by source; None where sites were not adapted by themselves."""
    scores = read_group_records(group.output_dir, "sites.tsv", SiteScore)[1]
    by = [score.target for score in scores if score.metric == ACCURACY]
    if not by:
        return None
    rows: dict[tuple[str, str], dict[tuple[str, str, str], SiteScore]] = {}
    for score in scores:
        own = rows.setdefault((score.source, score.features), {})
        own[score.adaptation, score.target, score.metric] = score
    first = next(score for score in scores if score.metric == ACCURACY)
    return {
        "by": by[0],
        "rows": [SourceRow(*names, own) for names, own in rows.items()],
        "covariates": list(
            dict.fromkeys(score.target for score in scores if score.metric == CORRELATION)
        ),
        "states": (BEFORE, AFTER),
        "first": first,
    }


def draw(data: Mapping[str, Any]) -> dict[str, bytes]:
    """Draw how well sites are told apart, before and after, with what chance gives."""
    return {"sites_told": draw_sites(data["rows"], data["by"])}


def draw_sites(rows: Sequence[SourceRow], by: str) -> bytes:
    """PNG of a line per source: balanced accuracy before and after, and the range of chance."""
    height = 16 * len(rows)
    figure = theme.new_figure(640, height + 60)
    axes = theme.add_box(figure, 240, 10, 380, height)
    for place, row in enumerate(rows):
        before, after = (row.of(state, by, ACCURACY) for state in (BEFORE, AFTER))
        shown = after or before
        if shown is not None and shown.null_low is not None and shown.null_high is not None:
            width = shown.null_high - shown.null_low
            axes.barh(place, width, left=shown.null_low, height=0.7, color=theme.EMPTY)
        for score, colour in ((before, theme.MUTED), (after, theme.WARM)):
            if score is not None and score.value is not None:
                axes.plot(score.value, place, "o", color=colour, markersize=5)
    theme.style_axes(axes, x_label="sites told right (balanced accuracy)", grid="x")
    axes.set(ylim=(len(rows) - 0.5, -0.5), xlim=(0, 1.02))
    axes.set_yticks(range(len(rows)), [f"{row.source} ({row.features})" for row in rows])
    return theme.draw_png(figure)


SECTION = Section(
    "sites",
    "Sites",
    "site_table.html",
    gather,
    heading="Sites, before and after adaptation",
    draw=draw,
    figures=("sites_",),
)
