"""One verdict per session: good, look at, failed, or not judged."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from kraken_bids.bids.outputs import group_path
from kraken_bids.cohort.failures import list_failures
from kraken_bids.exceptions import name_few
from kraken_bids.io.writing import write_json, write_table
from kraken_bids.report.sections.consistency import ConsistencyRow, list_consistency
from kraken_bids.report.sections.session_quality import list_quality
from kraken_bids.report.session_warnings import MAX_NAMES, list_own_warnings
from kraken_bids.report.written import Columns, Written
from kraken_bids.report.written_group import WHOSE, WrittenGroup, label_rows, read_group_table
from kraken_bids.scores.doubt_words import COMMON

logger = logging.getLogger(__name__)

GOOD, LOOK, FAILED, NOT_JUDGED = "good", "look at", "failed", "not judged"
VERDICTS = (FAILED, LOOK, NOT_JUDGED, GOOD)
"""Worst first."""

TABLE = "participants.tsv"
LEVELS = {
    GOOD: "its files fit each other and the cohort, and nothing else is unusual",
    LOOK: "something is unusual: see reasons, and the participant's page",
    FAILED: "something could not be measured or predicted: see logs/failures.tsv",
    NOT_JUDGED: "nothing is unusual, but too few subjects or no model to compare with",
}
SEPARATOR = " | "

Reasons = dict[str, list[str]]


@dataclass(frozen=True)
class SubjectRow:
    """One participant (and session), whether or not anything came of it."""

    label: str
    """``sub-01`` or ``sub-01_ses-1``."""
    verdict: str
    """One of :data:`VERDICTS`."""
    reasons: tuple[str, ...] = ()
    """What is wrong, in plain words."""
    href: str = ""
    """Address of the participant's page; empty where there is none."""
    facts: dict[str, str] = field(default_factory=dict)
    """Values of ``participants.tsv``, by column; a column may be absent."""


def judge_subjects(group: WrittenGroup) -> tuple[SubjectRow, ...]:
    """Judge every session with connectomes, and everyone of whom nothing came; worst first."""
    consistency = [row for rows in group.of_each(list_consistency) for row in rows]
    failed = _list_failed(group.output_dir, list(group.pages))
    reasons = _collect(
        failed,
        _list_doubts(consistency),
        _list_outliers(group.once(read_outliers)),
        {row.label: list(row.flags) for row in group.once(list_quality)},
        list_own_warnings(group),
    )
    judged = {row.label for row in consistency if row.verdict != "n/a"}
    rows = []
    for label in dict.fromkeys([*failed, *group.pages]):
        if label in failed:
            verdict = FAILED
        elif reasons.get(label):
            verdict = LOOK
        else:
            verdict = GOOD if label in judged else NOT_JUDGED
        own = tuple(dict.fromkeys(reasons.get(label, ())))
        rows.append(SubjectRow(label, verdict, own, group.pages.get(label, "")))
    return tuple(sorted(rows, key=lambda row: (VERDICTS.index(row.verdict), row.label)))


def log_verdicts(subjects: Sequence[SubjectRow]) -> None:
    """Say in one line who should be looked at."""
    named = [row.label for row in subjects if row.verdict == LOOK]
    counts = [
        f"{count} {verdict}"
        for verdict in reversed(VERDICTS)
        if (count := sum(row.verdict == verdict for row in subjects))
    ]
    look = f"; look at {name_few(named, MAX_NAMES)}" if named else ""
    logger.log(
        logging.WARNING if named else logging.INFO,
        "verdicts on %d session(s): %s%s", len(subjects), ", ".join(counts), look,
    )  # fmt: skip


def _collect(*parts: Mapping[str, Sequence[str]]) -> Reasons:
    reasons: Reasons = {}
    for part in parts:
        for label, texts in part.items():
            reasons.setdefault(label, []).extend(texts)
    return reasons


def _list_failed(output_dir: Path, labels: Sequence[str]) -> Reasons:
    """List by session what failed of it; what failed of a whole participant is said of each."""
    failed: Reasons = {}
    for subject, session, stage, _ in list_failures(output_dir):
        if stage == "report":
            continue
        own = [f"{subject}_{session}"] if session != "n/a" else [
            label for label in labels if label.partition("_")[0] == subject
        ] or [subject]  # fmt: skip
        for label in own:
            failed.setdefault(label, []).append(f"{stage} failed")
    return failed


def _list_doubts(trust: Sequence[ConsistencyRow]) -> Reasons:
    """List by session what is unusual about its files, not about their flavors."""
    notes: dict[str, dict[str, list[str]]] = {}
    counts: dict[str, int] = {}
    for row in trust:
        counts[row.label] = counts.get(row.label, 0) + 1
        own = "; ".join(p for p in row.note.split("; ") if p and not p.endswith(COMMON))
        if own:
            notes.setdefault(row.label, {}).setdefault(own, []).append(row.flavor.name)
    return {
        label: [
            f"{'all files' if len(names) == counts[label] > 1 else ', '.join(names)}: {note}"
            for note, names in own.items()
        ]
        for label, own in notes.items()
    }


def read_outliers(group: WrittenGroup) -> Columns:
    """Columns of ``group/outliers.tsv``; none where there are none."""
    numbers, texts = ("outlier", "distance", "z"), (*WHOSE, "source")
    return group.read_table("outliers.tsv", numbers=numbers, texts=texts)


def _list_outliers(columns: Columns) -> Reasons:
    found: Reasons = {}
    for k, label in enumerate(label_rows(columns) if columns else ()):
        if columns["outlier"][k] == 1:
            words = f"latent of {columns['source'][k]} far from the cohort's median"
            found.setdefault(label, []).append(words)
    return found


def write_subjects(output_dir: Path, subjects: Sequence[SubjectRow]) -> None:
    """Write the verdicts into ``group/participants.tsv``."""
    path = group_path(output_dir, TABLE)
    names = [row.label.partition("_") for row in subjects]
    write_table(path, {
        "participant_id": [name for name, _, _ in names],
        "session_id": [session or "n/a" for _, _, session in names],
        "verdict": [row.verdict for row in subjects],
        "reasons": [SEPARATOR.join(row.reasons) or "n/a" for row in subjects],
    })  # fmt: skip
    write_json(path.with_suffix(".json"), {
        "Description": "One verdict per participant and session",
        "verdict": {"Levels": LEVELS},
        "reasons": {"Description": f"what is wrong, in words, parted by '{SEPARATOR}'"},
    })  # fmt: skip


def read_verdict(written: Written) -> SubjectRow | None:
    """Read the verdict on one session; None before the group level has run."""
    columns = read_group_table(written.output_dir, TABLE, texts=(*WHOSE, "verdict", "reasons"))
    labels, label = label_rows(columns) if columns else [], written.member.label
    if label not in labels or columns["verdict"][labels.index(label)] not in LEVELS:
        return None
    row = labels.index(label)
    reasons = str(columns["reasons"][row])
    own = () if reasons in {"n/a", "nan"} else tuple(reasons.split(SEPARATOR))
    return SubjectRow(label, str(columns["verdict"][row]), own)
