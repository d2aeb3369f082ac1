"""The banner of the group's report: what everyone's sidecars warn of, each kind once."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from kraken_bids.pipeline.pages.notices import list_warnings
from kraken_bids.pipeline.pages.written import Written
from kraken_bids.pipeline.predictions.cohort import Member
from kraken_bids.pipeline.predictions.warned import read_group_warnings

MAX_NAMES = 5
"""Sessions that one line names; further ones are counted."""
VARYING = re.compile(r"sub-[A-Za-z0-9]+(_ses-[A-Za-z0-9]+)?|\d+(\.\d+)?")
"""What differs between two sentences that say the same of two sessions."""


def list_cohort_warnings(output_dir: Path, members: Sequence[Member]) -> list[str]:
    """List what is wrong with the cohort, then what several or single sessions are warned of.

    Sentences that differ in their numbers only are one line, with the sessions that they concern
    and the words of the first.
    """
    of_group = read_group_warnings(output_dir)
    kinds: dict[str, dict[str, str]] = {}
    for member in members:
        for text in list_warnings(Written(output_dir, member)):
            if text not in of_group:
                kinds.setdefault(VARYING.sub("#", text), {})[member.label] = text
    return [*of_group, *(_say(own, len(members)) for own in kinds.values())]


def _say(own: Mapping[str, str], n_members: int) -> str:
    """Say one kind of warning, with whom it concerns."""
    labels, texts = list(own), set(own.values())
    if len(texts) > 1:
        return f"{labels[0]}: {own[labels[0]]} Likewise {_name(labels[1:])}."
    if len(own) == n_members > 1:
        return texts.pop()
    return f"{_name(labels)}: {texts.pop()}"


def _name(labels: Sequence[str]) -> str:
    names = ", ".join(labels[:MAX_NAMES])
    return f"{names} and {len(labels) - MAX_NAMES} more" if len(labels) > MAX_NAMES else names
