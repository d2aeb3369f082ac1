"""The banner of the group's report: what everyone's sidecars warn of, each kind once."""

import re
from collections.abc import Iterable, Mapping, Sequence

MAX_NAMES = 5
"""Sessions that one line names; further ones are counted."""
MIN_COMMON = 3
SENTENCE = re.compile(r"(?<=[.?!]) +(?=[A-Z])")
"""Between two sentences."""
VARYING = re.compile(r"sub-[A-Za-z0-9]+(_ses-[A-Za-z0-9]+)?|\d+(\.\d+)?")
"""What differs between two sentences that say the same of two sessions."""


def list_cohort_warnings(
    of_group: Sequence[str], kinds: Iterable[Mapping[str, str]], n_members: int
) -> list[str]:
    """List what is wrong with the cohort, then what several or single sessions are warned of.

    Parameters
    ----------
    of_group : sequence of str
        Of the cohort as a whole.
    kinds : iterable of mapping
        Of each kind of warning, the sessions and what is said of them; it is one line, with the
        words of the first.
    n_members : int
        Sessions in all.
    """
    return [*of_group, *(_say(own, n_members) for own in kinds)]


def list_own_warnings(kinds: Iterable[Mapping[str, str]], n_members: int) -> dict[str, list[str]]:
    """List by session what it is warned of and not everyone else: the first sentence of each.

    Of fewer than three sessions nobody knows what is common.
    """
    own: dict[str, list[str]] = {}
    for kind in kinds:
        if len(kind) < n_members or n_members < MIN_COMMON:
            for label, text in kind.items():
                first = SENTENCE.split(text, maxsplit=1)[0]
                own.setdefault(label, []).append(first.removesuffix("."))
    return own


def sort_warning(text: str) -> str:
    """Give the kind of a warning: sentences that differ in names and numbers only are one."""
    return VARYING.sub("#", text)


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
