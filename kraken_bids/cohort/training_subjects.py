"""Subjects of a cohort who are named among those that a model was trained on."""

from collections.abc import Iterable, Mapping
from typing import Any

from kraken_bids.cohort.subject_names import simplify_label, subject_of
from kraken_bids.io.facts import Facts

SUBJECTS, TUNED = "Subjects", "FineTunedSubjects"
"""Keys of a model's provenance that name subjects it has learned from."""


def find_trained(provenance: Mapping[str, Any], labels: Iterable[str]) -> list[str] | None:
    """Find the subjects whose labels are among those that a model was trained or fine-tuned on.

    Labels of two datasets may be the same and mean different subjects: it is a reason to look.

    Parameters
    ----------
    provenance : mapping
        Of the model.
    labels : iterable of str
        Of subjects or their sessions, also where they are spelled differently.

    Returns
    -------
    list of str or None
        Subjects, sorted; None where the model does not say who they were.
    """
    whole = Facts(dict(provenance))
    parts = [whole, *(one.part("Provenance") for one in whole.parts("MergedFrom"))]
    named = [name for one in parts for key in (SUBJECTS, TUNED) for name in one.texts(key)]
    known = {simplify_label(subject_of(name)) for name in named}
    people = {subject_of(label) for label in labels}
    return sorted(one for one in people if simplify_label(one) in known) if known else None


def add_tuned(provenance: Mapping[str, Any], labels: Iterable[str]) -> dict[str, Any]:
    """Add to a provenance on whom a model was fine-tuned, besides those of earlier times."""
    earlier = Facts(dict(provenance)).texts(TUNED)
    return {**provenance, TUNED: sorted({*earlier, *map(subject_of, labels)})}
