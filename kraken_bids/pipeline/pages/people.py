"""One verdict per participant and session: good, look at, failed, or not judged."""

import logging
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from kraken_bids.bids.participants import PARTICIPANT, read_participants
from kraken_bids.cohort.failures import list_failures
from kraken_bids.cohort.from_dataset import Member
from kraken_bids.exceptions import InputError
from kraken_bids.pipeline.pages.cohort_notices import MAX_NAMES, list_own_warnings
from kraken_bids.pipeline.pages.gathered import Gathered
from kraken_bids.pipeline.pages.links import name_pages
from kraken_bids.pipeline.pages.tables import WHOSE, Columns, label_rows, read_group_table
from kraken_bids.report.pages import (
    FAILED,
    GOOD,
    LOOK,
    NOT_JUDGED,
    VERDICTS,
    ErrorRow,
    PersonRow,
    TrustRow,
)
from kraken_bids.scores.doubt_words import COMMON

logger = logging.getLogger(__name__)

MAX_COLUMNS = 6
Reasons = dict[str, list[str]]


def judge_people(
    output_dir: Path, members: Sequence[Member], gathered: Gathered
) -> tuple[PersonRow, ...]:
    """Judge everyone with connectomes in OUTPUT_DIR, and everyone of whom nothing came.

    Parameters
    ----------
    output_dir : Path
        What the group level has written is read back.
    members : sequence of Member
        Those with connectomes.
    gathered : Gathered
        What their files say.

    Returns
    -------
    tuple of PersonRow
        Worst first, then by label.
    """
    failed = _list_failed(output_dir, [member.label for member in members])
    reasons = _collect(
        failed,
        _list_doubts(gathered.trust),
        _list_outliers(output_dir),
        {row.participant: list(row.flags) for row in gathered.quality},
        list_own_warnings(gathered.warnings, len(members)),
    )
    judged = {row.participant for row in gathered.trust if row.verdict != "n/a"}
    have_pages = name_pages(members)
    rows = []
    for label in dict.fromkeys([*failed, *have_pages]):
        if label in failed:
            verdict = FAILED
        elif reasons.get(label):
            verdict = LOOK
        else:
            verdict = GOOD if label in judged else NOT_JUDGED
        own = tuple(dict.fromkeys(reasons.get(label, ())))
        rows.append(PersonRow(label, verdict, own, have_pages.get(label, "")))
    return tuple(sorted(rows, key=lambda row: (VERDICTS.index(row.verdict), row.participant)))


def log_people(people: Sequence[PersonRow]) -> None:
    """Say in one line who should be looked at."""
    named = [row.participant for row in people if row.verdict == LOOK]
    counts = [
        f"{count} {verdict}"
        for verdict in reversed(VERDICTS)
        if (count := sum(row.verdict == verdict for row in people))
    ]
    more = f" and {len(named) - MAX_NAMES} more" if len(named) > MAX_NAMES else ""
    look = f"; look at {', '.join(named[:MAX_NAMES])}{more}" if named else ""
    logger.log(
        logging.WARNING if named else logging.INFO,
        "verdicts on %d session(s): %s%s", len(people), ", ".join(counts), look,
    )  # fmt: skip


def list_errors(output_dir: Path, members: Sequence[Member]) -> tuple[ErrorRow, ...]:
    """List everything that failed, with its whole message."""
    pages = name_pages(members)
    rows = []
    for person, session, stage, message in list_failures(output_dir):
        label = person if session == "n/a" else f"{person}_{session}"
        rows.append(ErrorRow(label, stage, message, pages.get(label, "")))
    return tuple(sorted(rows, key=lambda row: row.participant))


def read_people_table(
    folders: Iterable[Path], people: Sequence[PersonRow]
) -> tuple[tuple[str, ...], dict[str, dict[str, str]], list[str]]:
    """Read what ``participants.tsv`` says of the people.

    Returns
    -------
    columns : tuple of str
        Those worth showing: not all alike, and no names that are different for everyone.
    facts : dict
        By participant label, then column.
    absent : list of str
        Participants of the table of whom there is nothing.
    """
    path = next((one for f in folders if (one := f / "participants.tsv").is_file()), None)
    try:
        table = [] if path is None else read_participants(path)
    except InputError:
        table = []
    by_id = {f"sub-{row[PARTICIPANT]}": row for row in table if row.get(PARTICIPANT)}
    shown = {row.participant: by_id.get(row.participant.partition("_")[0], {}) for row in people}
    columns = [name for name in (table[0] if table else ()) if name != PARTICIPANT]
    kept = [name for name in columns if _tells(name, [row for row in shown.values() if row])]
    present = {label.partition("_")[0] for label in shown}
    return tuple(kept[:MAX_COLUMNS]), shown, sorted(set(by_id) - present)


def _tells(column: str, rows: Sequence[Mapping[str, str]]) -> bool:
    """Whether a column groups people or orders them."""
    values = {row.get(column, "") for row in rows} - {"", "n/a"}
    return len(values) > 1 and (
        len(values) <= max(8, len(rows) // 3) or all(map(is_number, values))
    )


def is_number(text: str) -> bool:
    """Whether a cell of a table is a number."""
    try:
        float(text)
    except ValueError:
        return False
    return True


def _collect(*parts: Mapping[str, Sequence[str]]) -> Reasons:
    reasons: Reasons = {}
    for part in parts:
        for label, texts in part.items():
            reasons.setdefault(label, []).extend(texts)
    return reasons


def _list_failed(output_dir: Path, labels: Sequence[str]) -> Reasons:
    """List by session what failed of it; what failed of a whole participant is said of each."""
    failed: Reasons = {}
    for person, session, stage, _ in list_failures(output_dir):
        if stage == "report":
            continue
        own = [f"{person}_{session}"] if session != "n/a" else [
            label for label in labels if label.partition("_")[0] == person
        ] or [person]  # fmt: skip
        for label in own:
            failed.setdefault(label, []).append(f"{stage} failed")
    return failed


def _list_doubts(trust: Sequence[TrustRow]) -> Reasons:
    """List by session what is unusual about its files, not about their flavors."""
    notes: dict[str, dict[str, list[str]]] = {}
    counts: dict[str, int] = {}
    for row in trust:
        counts[row.participant] = counts.get(row.participant, 0) + 1
        own = "; ".join(p for p in row.note.split("; ") if p and not p.endswith(COMMON))
        if own:
            notes.setdefault(row.participant, {}).setdefault(own, []).append(row.flavor)
    return {
        label: [
            f"{'all files' if len(names) == counts[label] > 1 else ', '.join(names)}: {note}"
            for note, names in own.items()
        ]
        for label, own in notes.items()
    }


def read_outliers(output_dir: Path) -> Columns:
    """Columns of ``group/outliers.tsv``; none where there are none."""
    numbers, texts = ("outlier", "distance", "z"), (*WHOSE, "source")
    return read_group_table(output_dir, "outliers.tsv", numbers=numbers, texts=texts)


def _list_outliers(output_dir: Path) -> Reasons:
    columns = read_outliers(output_dir)
    found: Reasons = {}
    for k, label in enumerate(label_rows(columns) if columns else ()):
        if columns["outlier"][k] == 1:
            words = f"latent of {columns['source'][k]} far from the cohort's median"
            found.setdefault(label, []).append(words)
    return found
