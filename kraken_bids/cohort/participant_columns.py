"""What ``participants.tsv`` says of the sessions of a run: columns by name, and conditions."""

import logging
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from kraken_bids.bids.participants import PARTICIPANT, read_participants
from kraken_bids.cohort.members import Member
from kraken_bids.cohort.subject_names import match_labels, simplify_label
from kraken_bids.exceptions import InputError, SettingsError
from kraken_bids.flavors import suggest
from kraken_bids.settings import DataSettings

logger = logging.getLogger(__name__)

TABLE = "participants.tsv"
SESSION = "session_id"
UNKNOWN = {"", "n/a", "na", "nan"}
"""Values that say that something is not known."""
CONDITION = re.compile(r"^\s*(\w+)\s*(==|!=|<=|>=|<|>)\s*(.+?)\s*$")
Row = Mapping[str, str]


@dataclass(frozen=True)
class ParticipantTable:
    """Rows of the ``participants.tsv`` of a run, for one option."""

    option: str
    """For messages."""
    rows: Sequence[Row]

    def read_columns(
        self, members: Sequence[Member], names: Sequence[str]
    ) -> dict[str, list[str]]:
        """Values of some columns for each member; '' where the table has none.

        A subject may have a row for each session (``session_id``); else one counts for all. Of a
        session without a row its subject's other rows count as far as they agree.

        Raises
        ------
        SettingsError
            If the table lacks a column.
        InputError
            If a subject, or session, has rows of different values.
        """
        for name in names:
            self._check_column(name)
        rows = self._find_rows(members)
        return {
            name: [self._join(name, own, one) for own, one in zip(rows, members, strict=True)]
            for name in names
        }

    def query(self, condition: str) -> set[str]:
        """Participants for whom a condition such as ``group==control`` holds.

        It holds for nobody whose value is not known, ``!=`` included, unless that is asked for.

        Raises
        ------
        SettingsError
            If the table lacks the column, or nobody fits.
        """
        match = CONDITION.match(condition)
        assert match is not None
        column, operator, value = match.groups()
        self._check_column(column)
        wanted = value.strip("'\"")
        rows = [row for row in self.rows if _known(row[column]) or not _known(wanted)]
        if len(rows) < len(self.rows):
            logger.warning(
                "%s %s: %s of %d row(s) of %s is not known: they are not chosen",
                self.option, condition, column, len(self.rows) - len(rows), TABLE,
            )  # fmt: skip
        chosen = {row[PARTICIPANT] for row in rows if _holds(row[column], operator, wanted)}
        logger.info("%s %s: %d participant(s)", self.option, condition, len(chosen))
        if not chosen:
            raise SettingsError(f"{self.option} {condition}: no participant fits.")
        return chosen

    def _check_column(self, name: str) -> None:
        columns = tuple(self.rows[0]) if self.rows else ()
        if not {name, PARTICIPANT} <= set(columns):
            raise SettingsError(
                f"{self.option}: expected the columns {PARTICIPANT} and {name} in {TABLE}; found "
                f"{', '.join(columns) or 'nothing'}.{suggest(name, columns)}"
            )

    def _join(self, name: str, rows: Sequence[Row], member: Member) -> str:
        """Value that the rows of a member have in common; '' where other sessions' differ."""
        values = list(dict.fromkeys(filter(None, (_known(row.get(name, "")) for row in rows))))
        if len(values) < 2:
            return "".join(values)
        label = f"sub-{member.subject}"
        if len({row.get(SESSION, "") for row in rows}) == 1:
            raise InputError(
                f"{self.option}: expected one row of {label} in {TABLE}, or one of each session; "
                f"found several with different {name} ({', '.join(values)}). Leave one of them."
            )
        if member.session:
            logger.warning(
                "%s: %s has no row of ses-%s in %s, and its others differ in %s (%s): not known",
                self.option, label, member.session, TABLE, name, ", ".join(values),
            )  # fmt: skip
        return ""

    def _find_rows(self, members: Sequence[Member]) -> list[list[Row]]:
        """Rows of each member, also where the table spells its subjects differently."""
        by_label: dict[str, list[Row]] = {}
        for row in self.rows:
            by_label.setdefault(row[PARTICIPANT], []).append(row)
        alike: dict[str, list[str]] = {}
        for label in by_label:
            alike.setdefault(simplify_label(label), []).append(label)
        found = []
        for member in members:
            others = alike.get(simplify_label(member.subject), [])
            label = (
                others[0]
                if member.subject not in by_label and len(others) == 1
                else member.subject
            )
            rows = by_label.get(label, [])
            own = [row for row in rows if _is_session(row, member.session)]
            found.append(own or [row for row in rows if not _known(row.get(SESSION, ""))] or rows)
        return found


def read_participant_table(data: DataSettings, option: str) -> ParticipantTable:
    """Read the ``participants.tsv`` of BIDS_DIR, else that of OUTPUT_DIR.

    Parameters
    ----------
    option : str
        That asks for it, such as ``--families``, for messages.

    Raises
    ------
    InputError
        If there is none, or it cannot be read.
    """
    folders = (data.bids_dir, data.output_dir)
    path = next((one for folder in folders if (one := folder / TABLE).exists()), None)
    if path is None:
        raise InputError(
            f"{option}: expected {TABLE} in {folders[0]} or {folders[1]}; found none. Put one "
            "there, or do without its columns."
        )
    return ParticipantTable(option, read_participants(path))


def find_participant_table(
    folders: Sequence[Path], names: Sequence[str], option: str
) -> ParticipantTable:
    """Read the first ``participants.tsv`` of some datasets that has all columns.

    Parameters
    ----------
    folders : sequence of Path
        Datasets, or tables by their own name; those that are not there are passed over.
    names : sequence of str
        Columns.
    option : str
        That asks for it, for messages.

    Raises
    ------
    InputError
        If there is no table, or it cannot be read.
    SettingsError
        If none has the columns.
    """
    paths = [one if one.is_file() else one / TABLE for one in dict.fromkeys(folders)]
    found = {path: read_participants(path) for path in paths if path.is_file()}
    for path, rows in found.items():
        if rows and {PARTICIPANT, *names} <= set(rows[0]):
            logger.info("%s: %s of %s", option, ", ".join(names), path)
            return ParticipantTable(option, rows)
    if not found:
        looked = ", ".join(str(path) for path in paths) or f"no {TABLE}"
        raise InputError(
            f"{option}: expected a {TABLE} with {', '.join(names)}; found none (looked for "
            f"{looked}). Put one into BIDS_DIR or OUTPUT_DIR, or give --participants FILE."
        )
    columns = [name for rows in found.values() for name in (rows[0] if rows else ())]
    lacking = [name for name in names if name not in columns] or list(names)
    have = "; ".join(
        f"{path} has {', '.join(rows[0]) if rows else 'no rows'}" for path, rows in found.items()
    )
    raise SettingsError(
        f"{option}: expected the columns {', '.join((PARTICIPANT, *names))} in one table; found "
        f"none with {', '.join(lacking)} ({have}).{suggest(lacking[0], columns)}"
    )


@dataclass(frozen=True)
class AskedSubjects:
    """Participants whom an option names, or a condition on the table finds."""

    labels: frozenset[str]
    is_condition: bool

    def among(self, present: Collection[str]) -> set[str]:
        """Give those of a table as the data spell them; labels that somebody typed as they are."""
        if not self.is_condition:
            return set(self.labels)
        return match_labels(sorted(self.labels), present, say=logger.warning)


def ask_for_subjects(data: DataSettings, words: Sequence[str], *, option: str) -> AskedSubjects:
    """Find the participants whom an option asks for: labels, or one condition on the table.

    Raises
    ------
    InputError
        If a condition is given and there is no ``participants.tsv``.
    SettingsError
        If the condition names a column that is not there, or finds nobody.
    """
    return find_asked(words, lambda _column: read_participant_table(data, option))


def find_asked(
    words: Sequence[str], find_table: Callable[[str], ParticipantTable]
) -> AskedSubjects:
    """Find who is asked for: labels, or who meets one condition on a table.

    Parameters
    ----------
    find_table : callable
        Gives the table of a condition, by the column that it is on.

    Raises
    ------
    KrakenBidsError
        As ``find_table`` and :meth:`ParticipantTable.query` do, if a condition is given.
    """
    condition = CONDITION.match(words[0]) if len(words) == 1 else None
    asked = words if condition is None else find_table(condition[1]).query(words[0])
    labels = frozenset(word.removeprefix("sub-") for word in asked)
    return AskedSubjects(labels, condition is not None)


def choose_subjects(
    data: DataSettings, words: Sequence[str], present: Collection[str], *, option: str
) -> set[str]:
    """Choose some of those present by labels, or by one condition on ``participants.tsv``.

    Parameters
    ----------
    words : sequence of str
        What the option was given.
    present : collection of str
        Participants of the run, without ``sub-``.
    option : str
        For messages: ``--adaptation-subjects``.

    Raises
    ------
    InputError, SettingsError
        As of :func:`ask_for_subjects`; also if a label, or everyone who fits, is not present.
    """
    asked = ask_for_subjects(data, words, option=option)
    chosen = asked.among(present)
    unknown = sorted(set() if asked.is_condition else chosen - set(present))
    if unknown:
        raise SettingsError(
            f"{option}: expected participants of this run ({', '.join(sorted(present))}), or a "
            f"condition such as group==control; found {', '.join(unknown)}."
            f"{suggest(unknown[0], present)}"
        )
    if not chosen & set(present):
        raise SettingsError(
            f"{option} {' '.join(words)}: expected some of the {len(present)} participant(s) of "
            "this run; found none of them. Leave --participant-label out, or choose among them."
        )
    return chosen


def _is_session(row: Row, session: str | None) -> bool:
    own = row.get(SESSION, "").removeprefix("ses-")
    return session is not None and simplify_label(own) == simplify_label(session)


def _known(value: str) -> str:
    return "" if value.casefold() in UNKNOWN else value


def _holds(found: str, operator: str, wanted: str) -> bool:
    if operator in ("==", "!="):
        return (found == wanted) == (operator == "==")
    try:
        a, b = float(found), float(wanted)
    except ValueError:
        return False
    return {"<": a < b, "<=": a <= b, ">": a > b, ">=": a >= b}[operator]
