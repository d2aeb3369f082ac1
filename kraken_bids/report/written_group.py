"""What has been written for the group, and for each of its sessions, read back for the reports."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, cast

from kraken_bids.bids.outputs import group_path
from kraken_bids.cohort.members import Member
from kraken_bids.io.facts import read_table
from kraken_bids.io.records import Record, from_columns, name_columns
from kraken_bids.report.written import ALL_OF_SESSIONS, Columns, Known, T, Written, read_or_none

WHOSE = ("participant_id", "session_id")
"""Columns of text that say whose row it is."""


@dataclass(frozen=True)
class WrittenGroup(Known):
    """The files of all sessions and of the group in OUTPUT_DIR."""

    output_dir: Path
    members: Sequence[Member]
    """Those with connectomes."""
    bids_dir: Path | None = None
    """Where ``participants.tsv`` may lie too."""

    @cached_property
    def pages(self) -> dict[str, str]:
        """Address of every session's page, by its label."""
        return name_pages(self.members)

    def of_each(self, gather: Callable[[Written], T]) -> list[T]:
        """List what a function marked by :func:`of_each_session` gathers of every session."""
        return cast("list[T]", self.once(_gather_sessions)[gather])

    def read_table(
        self, name: str, *, numbers: Sequence[str] = (), texts: Sequence[str] = ()
    ) -> Columns:
        """Columns of a table of the group; see :func:`read_group_table`."""
        return read_group_table(self.output_dir, name, numbers=numbers, texts=texts)


def _gather_sessions(group: WrittenGroup) -> dict[Callable[[Any], Any], list[Any]]:
    """Gather one session after the other: what was read of the last is forgotten."""
    found: dict[Callable[[Any], Any], list[Any]] = {gather: [] for gather in ALL_OF_SESSIONS}
    for member in group.members:
        written = Written(group.output_dir, member, group.pages[member.label])
        for gather, rows in found.items():
            rows.append(gather(written))
    return found


def name_pages(members: Sequence[Member]) -> dict[str, str]:
    """Name the page of every session, by its label.

    ``sub-01.html``; ``sub-01_ses-1.html`` where a participant has several sessions. Sessions
    without connectomes, which the group level does not know, change no name of the others.
    """
    every = Counter(member.subject for member in members)
    measured = Counter(member.subject for member in members if member.connectomes)
    counts = {one.label: measured if one.connectomes else every for one in members}
    stems = {
        one.label: one.label if counts[one.label][one.subject] > 1 else f"sub-{one.subject}"
        for one in members
    }
    return {label: f"{stem}.html" for label, stem in stems.items()}


def read_group_table(
    output_dir: Path, name: str, *, numbers: Sequence[str] = (), texts: Sequence[str] = ()
) -> Columns:
    """Columns of a table that the group level has written; none where it has not.

    Those named are there, and are numbers or texts; a table that is damaged is passed over.
    """
    path = group_path(output_dir, name)
    if not path.exists():
        return {}
    return read_or_none(lambda: read_table(path, numbers=numbers, texts=texts)) or {}


def read_group_records(
    output_dir: Path, name: str, kind: type[Record], *, texts: Sequence[str] = ()
) -> tuple[Columns, list[Record]]:
    """Read the records of a table of the group, and its columns; none where it is not there.

    Parameters
    ----------
    output_dir, name
        As of :func:`read_group_table`.
    kind : type
        Of the records.
    texts : sequence of str, optional
        Further columns of text.
    """
    numbers, own = name_columns(kind)
    columns = read_group_table(output_dir, name, numbers=numbers, texts=[*texts, *own])
    records = read_or_none(lambda: from_columns(kind, columns)) if columns else []
    return (columns, records) if records is not None else ({}, [])


def label_rows(columns: Columns) -> list[str]:
    """``sub-01`` or ``sub-01_ses-1`` of every row."""
    return [
        str(participant) + ("" if _is_absent(session) else f"_{session}")
        for participant, session in zip(*(columns[name].tolist() for name in WHOSE), strict=True)
    ]


def _is_absent(value: object) -> bool:
    return str(value) in {"n/a", "nan"}
