"""One row per participant (and session) at the top of the group's page, and what failed."""

from dataclasses import dataclass, field

from kraken_bids.report.pages.shared import Group

GOOD, LOOK, FAILED, NOT_JUDGED = "good", "look at", "failed", "not judged"
VERDICTS = (FAILED, LOOK, NOT_JUDGED, GOOD)
"""Worst first."""


@dataclass(frozen=True)
class PersonRow:
    """One participant (and session), whether or not anything came of it."""

    participant: str
    """``sub-01`` or ``sub-01_ses-1``."""
    verdict: str
    """One of :data:`VERDICTS`."""
    reasons: tuple[str, ...] = ()
    """What is wrong, in plain words."""
    href: str = ""
    """Address of the participant's page; empty where there is none."""
    facts: dict[str, str] = field(default_factory=dict)
    """Values of ``participants.tsv``, by column; a column may be absent."""


@dataclass(frozen=True)
class ErrorRow:
    """One thing that failed in a run."""

    participant: str
    stage: str
    """``inputs``, ``connectomes``, ``predictions`` or ``report``."""
    message: str
    """What was expected, what was found, where, and what to do."""
    href: str = ""


@dataclass(frozen=True)
class PredictionVerdicts:
    """Of how many people the predictions of one flavor say something, by source."""

    target: str
    group: Group
    counts: dict[str, tuple[int, int, int]]
    """By source: about this person, no better than the group mean, not judged."""
