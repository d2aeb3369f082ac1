"""What sidecars warn of, session by session, and each kind once for the group."""

import re
from collections.abc import Mapping

from kraken_bids.cohort.sidecar_records import ADAPTATION, WARNINGS
from kraken_bids.cohort.standing import record_path
from kraken_bids.cohort.warned import read_group_warnings
from kraken_bids.exceptions import name_few
from kraken_bids.io.facts import read_facts
from kraken_bids.report.written import Written, of_each_session
from kraken_bids.report.written_group import WrittenGroup

Kinds = tuple[dict[str, str], ...]
MAX_NAMES = 5
"""Sessions that one line names; further ones are counted."""


MIN_COMMON = 3


SENTENCE = re.compile(r"(?<=[.?!]) +(?=[A-Z])")
"""Between two sentences."""


VARYING = re.compile(r"sub-[A-Za-z0-9]+(_ses-[A-Za-z0-9]+)?|\d+(\.\d+)?")
"""What differs between two sentences that say the same of two sessions."""


@of_each_session
def list_warnings(written: Written) -> list[str]:
    """List what finding and measuring the inputs, and predicting from them, has warned of.

    Each sentence stands once: ``Warnings`` in the sidecars of predictions and of measured
    connectomes, ``AdaptationNotice``, and what was said of the files that were found.
    """
    member, predicted = written.member, written.predicted
    record = record_path(written.output_dir, member.subject, member.session)
    found = read_facts(record).texts("Notices")
    measured = [text for own in member.measurements.values() for text in own.warnings]
    texts = [
        predicted.text(ADAPTATION.adaptation_notice),
        *predicted.texts(WARNINGS),
        *found,
        *measured,
    ]
    return [text for text in dict.fromkeys(texts) if text]


def sort_warnings(group: WrittenGroup) -> Kinds:
    """Sort the warnings of all sessions by kind: of each, the sessions and what is said of them.

    Sentences that differ in names and numbers only are of one kind.
    """
    of_group = read_group_warnings(group.output_dir)
    kinds: dict[str, dict[str, str]] = {}
    for member, texts in zip(group.members, group.of_each(list_warnings), strict=True):
        for text in texts:
            if text not in of_group:
                kinds.setdefault(VARYING.sub("#", text), {})[member.label] = text
    return tuple(kinds.values())


def list_cohort_warnings(group: WrittenGroup) -> list[str]:
    """List what is wrong with the cohort, then each kind of warning in the words of the first."""
    kinds, n_members = group.once(sort_warnings), len(group.members)
    return [*read_group_warnings(group.output_dir), *(_say(own, n_members) for own in kinds)]


def list_own_warnings(group: WrittenGroup) -> dict[str, list[str]]:
    """List by session what it is warned of and not everyone else: the first sentence of each.

    Of fewer than three sessions nobody knows what is common.
    """
    own: dict[str, list[str]] = {}
    n_members = len(group.members)
    for kind in group.once(sort_warnings):
        if len(kind) < n_members or n_members < MIN_COMMON:
            for label, text in kind.items():
                first = SENTENCE.split(text, maxsplit=1)[0]
                own.setdefault(label, []).append(first.removesuffix("."))
    return own


def _say(own: Mapping[str, str], n_members: int) -> str:
    """Say one kind of warning, with whom it concerns."""
    labels, texts = list(own), set(own.values())
    if len(texts) > 1 and len(own) == n_members:
        return f"All {n_members} sessions; of {labels[0]}: {own[labels[0]]}"
    if len(texts) > 1:
        return f"{labels[0]}: {own[labels[0]]} Likewise {name_few(labels[1:], MAX_NAMES)}."
    if len(own) == n_members > 1:
        return texts.pop()
    return f"{name_few(labels, MAX_NAMES)}: {texts.pop()}"
