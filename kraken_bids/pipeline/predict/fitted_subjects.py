"""Whom an adaptation is fitted on: everyone, labels, or a condition on participants.tsv."""

import logging
import re
from collections.abc import Callable, Collection, Sequence

from kraken_bids.bids.participants import read_participants
from kraken_bids.cohort.from_dataset import Member
from kraken_bids.cohort.subject_names import match_labels
from kraken_bids.exceptions import InputError, SettingsError
from kraken_bids.flavors import suggest
from kraken_bids.settings import Settings

logger = logging.getLogger(__name__)

CONDITION = re.compile(r"^\s*(\w+)\s*(==|!=|<=|>=|<|>)\s*(.+?)\s*$")


def fit_on_whom(
    settings: Settings, members: Sequence[Member] | None = None
) -> Callable[[Member], bool]:
    """Return who counts in the mean that a run's adaptation is fitted on.

    Parameters
    ----------
    settings : Settings
    members : sequence of Member, optional
        Those of the run, among whom all who are named must be; without them nobody need be.

    Raises
    ------
    InputError
        If a query is given and there is no ``participants.tsv``.
    SettingsError
        If the query names a column that is not there, or finds nobody; if a label is nobody's.
    """
    words = settings.prediction.adaptation_subjects
    if not words:
        return lambda _member: True
    is_query = len(words) == 1 and CONDITION.match(words[0]) is not None
    asked = _query_participants(settings, words[0]) if is_query else set(words)
    asked = {word.removeprefix("sub-") for word in asked}
    present = {member.subject for member in members or ()}
    if members is None:
        return lambda member: (
            member.subject in _spell_as_in({member.subject}, asked, is_query=is_query)
        )
    chosen = _spell_as_in(present, asked, is_query=is_query)
    if not is_query:
        _check_labels(chosen, members)
    if not chosen & present:
        raise SettingsError(
            f"--adaptation-subjects {' '.join(words)}: expected some of the {len(present)} "
            "participant(s) of this run; found none of them. Leave --participant-label out, or "
            "choose among them."
        )
    return lambda member: member.subject in chosen


def _spell_as_in(present: Collection[str], asked: Collection[str], *, is_query: bool) -> set[str]:
    """Participants of a table as the data spell them; labels that somebody typed as they are."""
    return match_labels(sorted(asked), present, say=logger.warning) if is_query else set(asked)


def _check_labels(labels: Collection[str], members: Sequence[Member] | None) -> None:
    present = {member.subject for member in members or ()}
    unknown = sorted(set(labels) - present) if members is not None else []
    if unknown:
        raise SettingsError(
            "--adaptation-subjects: expected participants of this run "
            f"({', '.join(sorted(present))}), or a condition such as group==control; found "
            f"{', '.join(unknown)}.{suggest(unknown[0], present)}"
        )


def _query_participants(settings: Settings, query: str) -> set[str]:
    match = CONDITION.match(query)
    assert match is not None
    column, operator, value = match.groups()
    rows = _read_participants(settings)
    if not rows or not {column, "participant_id"} <= set(rows[0]):
        names = ", ".join(rows[0]) if rows else "nothing"
        raise SettingsError(
            f"--adaptation-subjects {query}: expected the columns participant_id and {column} in "
            f"participants.tsv; found {names}.{suggest(column, rows[0] if rows else ())}"
        )
    wanted = value.strip("'\"")
    chosen = {row["participant_id"] for row in rows if _holds(row[column], operator, wanted)}
    logger.info("--adaptation-subjects %s: %d participant(s)", query, len(chosen))
    if not chosen:
        raise SettingsError(f"--adaptation-subjects {query}: no participant fits.")
    return chosen


def _read_participants(settings: Settings) -> Sequence[dict[str, str]]:
    folders = (settings.data.bids_dir, settings.data.output_dir)
    path = next(
        (f / "participants.tsv" for f in folders if (f / "participants.tsv").exists()), None
    )
    if path is None:
        raise InputError(
            f"--adaptation-subjects: expected participants.tsv in {folders[0]} or {folders[1]} "
            "for a query; found none. Give labels instead."
        )
    return read_participants(path)


def _holds(found: str, operator: str, wanted: str) -> bool:
    if operator in ("==", "!="):
        return (found == wanted) == (operator == "==")
    try:
        a, b = float(found), float(wanted)
    except ValueError:
        return False
    return {"<": a < b, "<=": a <= b, ">": a > b, ">=": a >= b}[operator]
