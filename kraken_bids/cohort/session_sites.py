"""Where sessions were measured, by a column of ``participants.tsv``, and their covariates."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from kraken_bids.bids.participants import read_participants
from kraken_bids.cohort.members import Member
from kraken_bids.cohort.participant_columns import TABLE, ParticipantTable
from kraken_bids.scores.covariates import UNKNOWN

GROUPS = ("group", "diagnosis", "dx", "dx_group", "participant_group")
"""Columns that tell patients from controls, by the names that datasets give them."""


@dataclass(frozen=True)
class SessionSites:
    """What a table says of the sessions of a cohort."""

    column: str
    """That names the sites."""
    labels: tuple[str, ...]
    """Of the sessions: ``sub-01_ses-1``, or ``01`` of files."""
    sites: tuple[str, ...]
    """Site of each; '' where it is not known."""
    people: tuple[str, ...]
    """Whose session each is."""
    covariates: Mapping[str, Sequence[str]]
    """Values of each covariate by session; '' where one is not known."""
    groups: Mapping[str, Sequence[str]]
    """The same of those of :data:`GROUPS` that a table has; nothing where none has any."""

    @property
    def site_of(self) -> dict[str, str]:
        """Site of every session, by its label."""
        return dict(zip(self.labels, self.sites, strict=True))


def read_session_sites(
    table: ParticipantTable, labels: Sequence[str], column: str, covariates: Sequence[str]
) -> SessionSites:
    """Look up the site and the covariates of sessions, by their labels.

    A subject may have a row for each session (``session_id``); else one counts for all.

    Raises
    ------
    SettingsError
        If the table lacks a column.
    """
    present = tuple(table.rows[0]) if table.rows else ()
    group = [name for name in present if name.casefold() in GROUPS and name != column]
    found = _read_known(table, labels, [column, *covariates, *group])
    return SessionSites(
        column,
        tuple(labels),
        tuple(found[column]),
        tuple(to_member(label).subject for label in labels),
        {name: found[name] for name in covariates},
        {name: found[name] for name in group},
    )


def add_groups(sites: SessionSites, folders: Sequence[Path], option: str) -> SessionSites:
    """Look for groups of subjects in further tables, where that of the sites has none.

    Parameters
    ----------
    folders : sequence of Path
        Datasets that may have a ``participants.tsv``.
    option : str
        For messages.
    """
    paths = [folder / TABLE for folder in folders if not sites.groups]
    for path in (path for path in paths if path.is_file()):
        table = ParticipantTable(option, read_participants(path))
        names = [name for row in table.rows[:1] for name in row if name.casefold() in GROUPS]
        if names and sites.column not in names:
            return replace(sites, groups=_read_known(table, sites.labels, names))
    return sites


def _read_known(
    table: ParticipantTable, labels: Sequence[str], names: Sequence[str]
) -> dict[str, list[str]]:
    """Values of some columns by session; '' of all that regressions take for not known."""
    columns = table.read_columns([to_member(label) for label in labels], names)
    return {
        name: ["" if value.strip().casefold() in UNKNOWN else value for value in values]
        for name, values in columns.items()
    }


def to_member(label: str) -> Member:
    """Make a session without connectomes of its label: ``sub-01_ses-1`` or ``01_ses-1``."""
    subject, _, session = label.removeprefix("sub-").partition("_ses-")
    return Member(subject, session or None, {})
