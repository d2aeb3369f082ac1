"""Who is who: subjects named in several inputs, also where their names are spelled differently."""

import logging
import re
from collections.abc import Callable, Iterable, Mapping, Sequence

from kraken_bids.exceptions import InputError

logger = logging.getLogger(__name__)

SESSION = "_ses-"
PREFIX = re.compile(r"(sub(ject|j)?|participant)[^a-z0-9]*(?=.)")
SEPARATORS = re.compile(r"[^a-z0-9]+")
ZEROS = re.compile(r"(?<![0-9])0+(?=[0-9])")
MAX_NAMED = 5
"""Subjects whom a message names."""


def subject_of(label: str) -> str:
    """Label of a subject without the session: ``01`` of ``01_ses-1``."""
    return label.partition(SESSION)[0]


def count_labels(labels: Sequence[str]) -> str:
    """Say how many subjects labels are of, and in how many sessions where that differs.

    Examples
    --------
    >>> count_labels(["01_ses-1", "01_ses-2", "02_ses-1"]), count_labels(["01", "02"])
    ('3 sessions of 2 subjects', '2 subjects')
    """
    n_subjects = len(set(map(subject_of, labels)))
    sessions = f"{len(labels)} sessions of " if n_subjects < len(labels) else ""
    return f"{sessions}{n_subjects} subjects"


def simplify_label(label: str) -> str:
    """Label without what people spell in several ways: ``sub-`` before it, case, zeros, hyphens.

    Examples
    --------
    >>> [simplify_label(label) for label in ("001", "sub01", "Sub-1", "NDAR_INV7", "NDARINV07")]
    ['1', '1', '1', 'ndarinv7', 'ndarinv7']
    """
    person, mark, session = label.partition(SESSION)
    return _simplify(person) + (mark + _simplify(session) if mark else "")


def _simplify(word: str) -> str:
    lowered = PREFIX.sub("", word.strip().casefold(), count=1) if word else ""
    return ZEROS.sub("", SEPARATORS.sub("", lowered)) or word


def unify_labels(groups: Mapping[str, Iterable[str]]) -> dict[str, str]:
    """One spelling of each subject, where inputs spell one in several ways.

    Parameters
    ----------
    groups : mapping of str to iterable of str
        What the inputs are called in messages, and the labels in each.

    Returns
    -------
    dict of str to str
        The spelling to use of every label: the one that is met first.

    Raises
    ------
    InputError
        If an input has two labels that differ only in their spelling (1 and 001), and another
        input has not the same two, so that nobody can tell who is who.
    """
    spellings: dict[str, dict[str, list[str]]] = {}
    for name, labels in groups.items():
        for label in dict.fromkeys(labels):
            spellings.setdefault(simplify_label(label), {}).setdefault(name, []).append(label)
    unified: dict[str, str] = {}
    joined = []
    for by_group in spellings.values():
        several = list(by_group.values())
        variants = list(dict.fromkeys(label for labels in several for label in labels))
        if all(set(labels) == set(variants) for labels in several):
            unified |= {label: label for label in variants}
            continue
        _check_one_spelling(by_group)
        unified |= dict.fromkeys(variants, variants[0])
        joined.append(" = ".join(variants))
    if joined:
        logger.warning(
            "%d subjects are spelled differently in the inputs, and taken as the same: %s",
            len(joined), list_few(joined),
        )  # fmt: skip
    return unified


def _check_one_spelling(by_group: Mapping[str, Sequence[str]]) -> None:
    for name, labels in by_group.items():
        if len(labels) > 1:
            other = next(f"{n} has {', '.join(own)}" for n, own in by_group.items() if n != name)
            raise InputError(
                f"expected names that say who is who; found {' and '.join(labels)} in {name}, "
                f"where {other}. Spell the subjects alike in all inputs."
            )


def check_common(groups: Mapping[str, Iterable[str]], origins: Mapping[str, set[int]]) -> None:
    """Check that inputs are of the same subjects: that each shares somebody with another.

    Parameters
    ----------
    groups : mapping of str to iterable of str
        Names of flavors or files, and the labels in each, in one spelling.
    origins : mapping of str to set of int
        Which inputs each comes from; one input's own files need not share anybody.

    Raises
    ------
    InputError
        If two inputs have nobody in common, directly or by way of others.
    """
    remaining = {name: set(labels) for name, labels in groups.items()}
    first, people = next(iter(remaining.items()))
    connected, inputs = {first}, set(origins[first])
    is_growing = True
    while is_growing:
        new = [
            name
            for name, labels in remaining.items()
            if name not in connected and (labels & people or origins[name] & inputs)
        ]
        is_growing = bool(new)
        for name in new:
            connected.add(name)
            people |= remaining[name]
            inputs |= origins[name]
    apart = [name for name in remaining if name not in connected]
    if apart:
        raise InputError(
            f"expected the same subjects in all inputs; found nobody in common: {first} has "
            f"{list_few(sorted(groups[first]))}, {apart[0]} has "
            f"{list_few(sorted(groups[apart[0]]))}. Name them alike, or predict from these inputs "
            "in two runs."
        )


def match_labels(
    labels: Iterable[str], known: Iterable[str], *, say: Callable[[str], None]
) -> set[str]:
    """Labels as they are spelled among those known; those that are nobody's stay as they are.

    Parameters
    ----------
    labels : iterable of str
        As somebody wrote them.
    known : iterable of str
        Subjects of the run.
    say : callable
        Takes one line on those who are matched although they are spelled differently.
    """
    present = set(known)
    alike: dict[str, list[str]] = {}
    for label in sorted(present):
        alike.setdefault(simplify_label(label), []).append(label)
    found, joined = set(), []
    for label in labels:
        candidates = [label] if label in present else alike.get(simplify_label(label), [])
        is_clear = len(candidates) == 1
        found.add(candidates[0] if is_clear else label)
        if is_clear and candidates[0] != label:
            joined.append(f"{label} = {candidates[0]}")
    if joined:
        say(
            f"{len(joined)} subjects are spelled differently, and taken as the same: "
            f"{list_few(joined)}"
        )
    return found


def list_few(names: Sequence[str]) -> str:
    """Join some names for a message, with dots where there are more."""
    more = ", …" if len(names) > MAX_NAMED else ""
    return ", ".join(names[:MAX_NAMED]) + more
