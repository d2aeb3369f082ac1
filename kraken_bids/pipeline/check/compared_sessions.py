"""Discordance of a cohort: each session's residuals against those of its controls."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from kraken_bids.cohort.members import Member
from kraken_bids.cohort.participant_columns import choose_subjects, read_participant_table
from kraken_bids.exceptions import ConnectomeError
from kraken_bids.pipeline.check.region_residuals import RegionResiduals
from kraken_bids.scores.covariates import Covariates, encode_covariates
from kraken_bids.scores.discordance import (
    MEASURES,
    Comparison,
    ControlRegression,
    choose_controls,
)
from kraken_bids.settings import Settings

logger = logging.getLogger(__name__)

MOTION = "motion"
"""Name of the covariate that sidecars hold, not ``participants.tsv``."""
Column = Sequence[str | float | None]


@dataclass(frozen=True)
class ControlRules:
    """Whom sessions are compared with, and what is allowed for."""

    controls: frozenset[int]
    """Index of the members who may be controls."""
    columns: Mapping[str, Column]
    """Covariates, each with a value of every member."""
    is_named: bool = False
    """Whether the controls were named, rather than everyone else."""


@dataclass(frozen=True)
class TargetComparison:
    """One target of one session."""

    residuals: RegionResiduals
    row: int
    """Of the session in the residuals."""
    measures: Mapping[str, Comparison] = field(default_factory=dict)
    """Comparison with controls, by measure; none where it was refused."""
    reason: str = ""
    """Why it was refused."""


def read_control_rules(settings: Settings, members: Sequence[Member]) -> ControlRules:
    """Read whom ``--controls`` names and what ``--covariates`` says of everyone.

    Raises
    ------
    InputError, SettingsError
        If there is no ``participants.tsv`` that they need, no such column, or nobody of that name.
    """
    words, names = settings.worth.controls, list(settings.worth.covariates)
    present = {member.subject for member in members}
    chosen = present
    if words:
        chosen = choose_subjects(settings.data, words, present, option="--controls")
    asked = [name for name in names if name != MOTION]
    columns: dict[str, Column] = {}
    if asked:
        table = read_participant_table(settings.data, "--covariates")
        columns |= table.read_columns(members, asked)
    if MOTION in names:
        columns[MOTION] = [measure_motion(member) for member in members]
    return ControlRules(
        frozenset(k for k, member in enumerate(members) if member.subject in chosen),
        {name: columns[name] for name in names},
        is_named=bool(words),
    )


def measure_motion(member: Member) -> float | None:
    """Mean framewise displacement over a session's connectomes, mm; None where unknown."""
    found = [own.mean_fd for own in member.measurements.values() if own.mean_fd is not None]
    return float(np.mean(found)) if found else None


def compare_sessions(
    members: Sequence[Member], found: Sequence[RegionResiduals], rules: ControlRules
) -> dict[int, list[TargetComparison]]:
    """Compare everyone's residuals with those of the controls, target by target.

    Returns
    -------
    dict of int to list of TargetComparison
        By index of the member. What was refused is among them, and said in the log.
    """
    compared: dict[int, list[TargetComparison]] = {}
    refused: dict[str, list[str]] = {}
    for residuals in found:
        own = [members[index] for index in residuals.subjects]
        columns = {
            name: [values[index] for index in residuals.subjects]
            for name, values in rules.columns.items()
        }
        covariates = encode_covariates(columns, len(own))
        candidates = [row for row, k in enumerate(residuals.subjects) if k in rules.controls]
        subjects, sessions = [one.subject for one in own], [one.session for one in own]
        fitted = {
            label: _fit(
                residuals, covariates, choose_controls(label, subjects, sessions, candidates)
            )
            for label in dict.fromkeys(sessions)
        }
        for row, index in enumerate(residuals.subjects):
            one = _compare(residuals, fitted[sessions[row]], row)
            if one.reason:
                refused.setdefault(one.reason, []).append(members[index].label)
            compared.setdefault(index, []).append(one)
    for reason, labels in refused.items():
        whom = list(dict.fromkeys(labels))
        logger.warning("no discordance of %d session(s) (%s …): %s", len(whom), whom[0], reason)
    return compared


def _fit(
    residuals: RegionResiduals, covariates: Covariates, controls: Sequence[int]
) -> dict[str, ControlRegression]:
    return {
        name: ControlRegression(residuals.measures[name], covariates, controls)
        for name in MEASURES
    }


def _compare(
    residuals: RegionResiduals, fitted: Mapping[str, ControlRegression], row: int
) -> TargetComparison:
    try:
        measures = {name: regression.compare(row) for name, regression in fitted.items()}
    except ConnectomeError as error:
        return TargetComparison(residuals, row, reason=str(error))
    return TargetComparison(residuals, row, measures)
