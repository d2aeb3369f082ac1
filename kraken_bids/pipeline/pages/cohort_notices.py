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
MIN_COMMON = 3
SENTENCE = re.compile(r"(?<=[.?!]) +(?=[A-Z])")
"""Between two sentences."""
VARYING = re.compile(r"sub-[A-Za-z0-9]+(_ses-[A-Za-z0-9]+)?|\d+(\.\d+)?")
"""What differs between two sentences that say the same of two sessions."""


def list_cohort_warnings(output_dir: Path, members: Sequence[Member]) -> list[str]:
    """List what is wrong with the cohort, then what several or single sessions are warned of.

    Sentences that differ in their numbers only are one line, with the sessions that they concern
    and the words of the first.
    """
    of_group = read_group_warnings(output_dir)
    kinds = _list_kinds(output_dir, members, of_group)
    return [*of_group, *(_say(own, len(members)) for own in kinds)]


def list_own_warnings(output_dir: Path, members: Sequence[Member]) -> dict[str, list[str]]:
    """List by session what it is warned of and not everyone else: the first sentence of each.

    Of fewer than three sessions nobody knows what is common.
    """
    own: dict[str, list[str]] = {}
    for kind in _list_kinds(output_dir, members, read_group_warnings(output_dir)):
        if len(kind) < len(members) or len(members) < MIN_COMMON:
            for label, text in kind.items():
                first = SENTENCE.split(text, maxsplit=1)[0]
                own.setdefault(label, []).append(first.removesuffix("."))
    return own


def _list_kinds(
    output_dir: Path, members: Sequence[Member], known: Sequence[str]
) -> list[dict[str, str]]:
    """Warnings by kind: of each, the sessions and what is said of them."""
    kinds: dict[str, dict[str, str]] = {}
    for member in members:
        for text in list_warnings(Written(output_dir, member)):
            if text not in known:
                kinds.setdefault(VARYING.sub("#", text), {})[member.label] = text
    return list(kinds.values())


def _say(own: Mapping[str, str], n_members: int) -> str:
    """Say one kind of warning, with whom it concerns."""
    labels, texts = list(own), set(own.values())
    if len(texts) > 1 and len(own) == n_members:
        return f"All {n_members} sessions; of {labels[0]}: {own[labels[0]]}"
    if len(texts) > 1:
        return f"{labels[0]}: {own[labels[0]]} Likewise {_name(labels[1:])}."
    if len(own) == n_members > 1:
        return texts.pop()
    return f"{_name(labels)}: {texts.pop()}"


def _name(labels: Sequence[str]) -> str:
    names = ", ".join(labels[:MAX_NAMES])
    return f"{names} and {len(labels) - MAX_NAMES} more" if len(labels) > MAX_NAMES else names
