"""Whom an adaptation is fitted on: everyone, labels, or a condition on participants.tsv."""

from collections.abc import Callable, Sequence

from kraken_bids.cohort.members import Member
from kraken_bids.cohort.participant_columns import ask_for_subjects, choose_subjects
from kraken_bids.settings import Settings

OPTION = "--adaptation-subjects"


def fit_on_whom(
    settings: Settings, members: Sequence[Member] | None = None
) -> Callable[[Member], bool]:
    """Return who counts in the mean that a run's adaptation is fitted on.

    Parameters
    ----------
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
    if members is None:
        asked = ask_for_subjects(settings.data, words, option=OPTION)
        return lambda member: member.subject in asked.among({member.subject})
    present = {member.subject for member in members}
    chosen = choose_subjects(settings.data, words, present, option=OPTION)
    return lambda member: member.subject in chosen
