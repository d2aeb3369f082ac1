"""Who is held out when: folds of people, drawn several times, and the trials of each."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kraken_bids.models.folds import deal_folds
from kraken_bids.models.series.series_records import FoldMember

Indices = NDArray[np.intp]


@dataclass(frozen=True)
class HeldOut:
    """Trials to learn from, and those of the people who are held out."""

    repeat: int
    """Number of the split, from 1."""
    fold: int
    """Part of it that is held out, from 1."""
    train: Indices
    """Rows of trials."""
    test: Indices
    """Rows of trials."""


def deal_trials(
    people: Sequence[str], families: Mapping[str, str], *, n_folds: int, n_repeats: int, seed: int
) -> tuple[list[HeldOut], list[FoldMember]]:
    """Deal people into folds, families together, and their trials after them.

    Parameters
    ----------
    people : sequence of str
        Person of each trial.
    families : mapping of str to str
        Family of each person.

    Returns
    -------
    list of HeldOut
        Of each repeat its folds. All trials of a person, in whatever run or session, are on one
        side: folds are of people, never of trials.
    list of FoldMember

    Raises
    ------
    ConnectomeError
        If there are fewer families than folds.
    """
    persons, owners = np.unique(np.asarray(people), return_inverse=True)
    names = [families[person] for person in persons.tolist()]
    found, members = [], []
    for repeat in range(1, n_repeats + 1):
        folds = deal_folds(len(persons), n_folds, families=names, seed=seed + repeat - 1)
        members += [
            FoldMember(person, None if name.endswith(" alone") else name, repeat, int(fold) + 1)
            for person, name, fold in zip(persons.tolist(), names, folds, strict=True)
        ]
        for fold in range(n_folds):
            is_out = folds == fold
            assert not {*persons[is_out]} & {*persons[~is_out]}
            test = np.flatnonzero(is_out[owners])
            found.append(HeldOut(repeat, fold + 1, np.flatnonzero(~is_out[owners]), test))
    return found, members


def shuffle_labels(labels: Indices, people: Sequence[str], rng: np.random.Generator) -> Indices:
    """Shuffle labels among the trials of each person, so that each keeps as many of every class.

    Where nobody has two classes, labels are shuffled among everybody.
    """
    shuffled = labels.copy()
    _, owners = np.unique(np.asarray(people), return_inverse=True)
    groups = [np.flatnonzero(owners == k) for k in range(owners.max() + 1)]
    if all(len(np.unique(labels[rows])) < 2 for rows in groups):
        groups = [np.arange(len(labels))]
    for rows in groups:
        shuffled[rows] = rng.permutation(labels[rows])
    return shuffled
