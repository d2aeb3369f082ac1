"""What failed, with the whole message."""

from dataclasses import dataclass

from kraken_bids.cohort.failures import list_failures
from kraken_bids.report.section import Section
from kraken_bids.report.written_group import WrittenGroup


@dataclass(frozen=True)
class ErrorRow:
    """One thing that failed in a run."""

    label: str
    stage: str
    """``inputs``, ``connectomes``, ``predictions`` or ``report``."""
    message: str
    """What was expected, what was found, where, and what to do."""
    href: str = ""


def list_errors(group: WrittenGroup) -> tuple[ErrorRow, ...]:
    """List everything that failed, with its whole message."""
    rows = []
    for subject, session, stage, message in list_failures(group.output_dir):
        label = subject if session == "n/a" else f"{subject}_{session}"
        rows.append(ErrorRow(label, stage, message, group.pages.get(label, "")))
    return tuple(sorted(rows, key=lambda row: row.label))


SECTION = Section("errors", "Errors", "error_list.html", lambda group: list_errors(group) or None)
