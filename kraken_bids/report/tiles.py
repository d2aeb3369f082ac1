"""Key numbers at the top of the pages."""

from collections.abc import Sequence

import numpy as np

from kraken_bids.report.panels import list_panels
from kraken_bids.report.section import Group, Tile
from kraken_bids.report.sections.decoded_volumes import list_decoded
from kraken_bids.report.sections.identifiability import (
    compute_direction,
    tabulate_metrics,
)
from kraken_bids.report.sections.input_runs import list_runs
from kraken_bids.report.sections.site_adaptation import list_fits
from kraken_bids.report.sections.structure import list_tractograms
from kraken_bids.report.subjects import (
    FAILED,
    GOOD,
    LOOK,
    NOT_JUDGED,
    SubjectRow,
    judge_subjects,
    read_verdict,
)
from kraken_bids.report.words import count_noun, format_count, pick_noun
from kraken_bids.report.written import Written
from kraken_bids.report.written_group import WrittenGroup
from kraken_bids.scores.metrics import chance_rank


def list_tiles(written: Written) -> list[Tile]:
    """Tiles of a participant's page: verdict, material, flavors, adaptation, decoded runs."""
    decoded = _count_decoded(written)
    if not written.measured:
        return decoded
    panels = written.once(list_panels)
    measured = sum(panel.measured is not None for panel in panels)
    predicted = sum(bool(panel.predictions) for panel in panels)
    others = len(written.measured) - measured
    detail = f"and {others} that the model does not know" if others > 0 and predicted else ""
    tiles = [
        *_describe_verdict(written.once(read_verdict)),
        _count_minutes(written),
        _count_streamlines(written),
        Tile(f"{measured} of {len(panels)}", "flavors measured", detail),
        Tile(f"{predicted} of {len(panels)}", "flavors predicted"),
    ]
    fits = written.once(list_fits)
    fitted = [fit.n_subjects for fit in fits if fit.n_subjects and fit.mode != "none"]
    if fitted:
        tiles.append(Tile("adapted", "to the training data", f"fitted on {max(fitted)} subjects"))
    elif predicted:
        tiles.append(Tile("not adapted", "to the training data"))
    return [*tiles, *decoded]


def _count_decoded(written: Written) -> list[Tile]:
    """Count the runs whose volumes were decoded."""
    runs = written.once(list_decoded)
    if not runs:
        return []
    n_volumes = sum(len(run.probabilities) for run in runs)
    detail = count_noun(n_volumes, "volume")
    return [Tile(format_count(len(runs)), f"{pick_noun(len(runs), 'run')} decoded", detail)]


def list_group_tiles(group: WrittenGroup) -> list[Tile]:
    """Tiles of the group's page: how many, their verdicts, identifiability."""
    rows = group.once(judge_subjects)
    n_subjects, n_sessions = count_subjects(rows), len(rows)
    tiles = [Tile(str(n_subjects), pick_noun(n_subjects, "participant"))]
    if n_sessions != n_subjects:
        tiles.append(Tile(str(n_sessions), pick_noun(n_sessions, "session")))
    for verdict in (GOOD, LOOK, FAILED, NOT_JUDGED):
        count = sum(row.verdict == verdict for row in rows)
        if count or verdict != NOT_JUDGED:
            tiles.append(Tile(str(count), verdict, mark=verdict.replace(" ", "-")))
    scores = group.once(tabulate_metrics)
    for source, target in (("SC", "FC"), ("FC", "SC")):
        rank = compute_direction(scores, source, target) if scores else None
        if scores and rank:
            chance = f"chance is {chance_rank(scores.n_participants):.2f}"
            label = f"average rank, {source}\u00a0→\u00a0{target}"
            tiles.append(Tile(f"{rank[0]:.2f}", label, chance))
    return tiles


def count_subjects(rows: Sequence[SubjectRow]) -> int:
    """Count the subjects of these sessions."""
    return len({row.label.partition("_")[0] for row in rows})


def _describe_verdict(subject: SubjectRow | None) -> list[Tile]:
    """Say what the group's page says of this session."""
    if subject is None:
        return []
    n_reasons = len(subject.reasons)
    detail = count_noun(n_reasons, "reason") if n_reasons else "compared with the group"
    return [Tile(subject.verdict, "verdict", detail, subject.verdict.replace(" ", "-"))]


def _count_minutes(written: Written) -> Tile:
    by_space: dict[str, list[tuple[float, float]]] = {}
    for run in written.once(list_runs):
        by_space.setdefault(run.space, []).append((run.minutes_kept, run.minutes))
    if not by_space:
        return Tile("none", "of BOLD used", _explain_none(written, "FC", "functional"))
    runs = max(by_space.values(), key=len)
    kept, total = np.sum(runs, axis=0)
    detail = f"of {total:.1f}, {count_noun(len(runs), 'run')}"
    return Tile(f"{kept:.1f} min", "of BOLD used", detail)


def _count_streamlines(written: Written) -> Tile:
    rows = written.once(list_tractograms)
    streamlines = sum(row.n_streamlines for row in rows)
    if not streamlines:
        return Tile("none", "streamlines", _explain_none(written, "SC", "structural"))
    return Tile(
        format_count(streamlines), "streamlines", f"in {count_noun(len(rows), 'tractogram')}"
    )


def _explain_none(written: Written, group: Group, kind: str) -> str:
    """Why no run, or no tractogram, stands behind the page."""
    panels = written.once(list_panels)
    is_measured = any(one.group == group and one.measured is not None for one in panels)
    return "measured elsewhere" if is_measured else f"no {kind} input"
