"""Splits and folds of subjects; families stay together."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kraken_bids.exceptions import ConnectomeError

Indices = NDArray[np.intp]


@dataclass(frozen=True)
class Split:
    """Rows of a cohort, zero-based; no row in two parts."""

    train: Indices
    """Rows to fit transforms and weights on."""
    validation: Indices
    """Rows to watch the training with."""
    test: Indices
    """Rows never seen in training."""


PARTS = ("train", "validation", "test")
"""Names of the parts of a split."""


def find_separated(split: Split, families: Sequence[str]) -> dict[str, tuple[int, ...]]:
    """Find the families whose members are in more than one part, and the rows of their members.

    Parameters
    ----------
    families : sequence of str
        Family of each row of the cohort.
    """
    parts: dict[str, set[str]] = {}
    members: dict[str, list[int]] = {}
    for part in PARTS:
        for row in getattr(split, part).tolist():
            parts.setdefault(families[row], set()).add(part)
            members.setdefault(families[row], []).append(row)
    return {name: tuple(sorted(members[name])) for name, own in parts.items() if len(own) > 1}


def split_subjects(
    n_subjects: int,
    *,
    families: Sequence[str] | None = None,
    test_share: float = 0.2,
    validation_share: float = 0.1,
    seed: int = 0,
) -> Split:
    """Split a cohort at random.

    Parameters
    ----------
    families : sequence of str, optional
        Family of each subject; members of one family go to one part. Parts then have about the
        asked-for size, since families differ.
    test_share : float
        Share of all subjects that is held out.
    validation_share : float
        Share of the remaining ones that watches the training.

    Raises
    ------
    ConnectomeError
        If nobody is left to train on, or ``families`` has another length.

    Source: the published recipe, 80/20 and then 90/10.
    """
    units, member_of = group_families(families, n_subjects)
    order = np.random.default_rng(seed).permutation(len(units))
    sizes = np.cumsum(np.bincount(member_of, minlength=len(units))[order])
    n_test = round(test_share * n_subjects)
    n_held_out = n_test + round(validation_share * (n_subjects - n_test))
    part = np.empty(len(units), np.intp)
    # a family belongs where its last member falls
    part[order] = np.searchsorted([n_test, n_held_out], sizes, side="left")
    test, validation, train = (np.flatnonzero(part[member_of] == k) for k in range(3))
    if not train.size:
        raise ConnectomeError(
            f"expected subjects left for training; found none of {n_subjects} after holding out "
            f"{test.size} for test and {validation.size} for validation. Give more subjects."
        )
    return Split(train, validation, test)


def group_families(
    families: Sequence[object] | None, n_subjects: int
) -> tuple[NDArray[Any], NDArray[np.intp]]:
    """List the families, each subject its own without any, and the number of each subject's.

    Raises
    ------
    ConnectomeError
        If ``families`` has another length.
    """
    if families is not None and len(families) != n_subjects:
        raise ConnectomeError(
            f"expected a family for each of {n_subjects} subjects; found {len(families)}."
        )
    names = np.arange(n_subjects) if families is None else np.asarray(families)
    return np.unique(names, return_inverse=True)


def deal_folds(
    n_subjects: int, n_folds: int, *, families: Sequence[str] | None = None, seed: int = 0
) -> NDArray[np.intp]:
    """Deal subjects into folds of about one size; returns the number of each one's fold.

    Parameters
    ----------
    families : sequence of str, optional
        Family of each subject; members of one family are in one fold.

    Returns
    -------
    ndarray of shape (n_subjects,)

    Raises
    ------
    ConnectomeError
        If there are fewer families, or subjects, than folds.
    """
    _, member_of = group_families(families, n_subjects)
    sizes = np.bincount(member_of)
    if len(sizes) < n_folds:
        what = "subjects" if families is None else "families"
        raise ConnectomeError(
            f"expected at least {n_folds} {what} for {n_folds} folds; found {len(sizes)}. Give "
            f"more {what}, or ask for fewer folds."
        )
    order = np.random.default_rng(seed).permutation(len(sizes))
    # the largest families first, each into the fold with the fewest people
    order = order[np.argsort(-sizes[order], kind="stable")]
    filled = np.zeros(n_folds, np.intp)
    fold_of = np.empty(len(sizes), np.intp)
    for family in order:
        fold_of[family] = np.argmin(filled)
        filled[fold_of[family]] += sizes[family]
    return np.asarray(fold_of[member_of], np.intp)
