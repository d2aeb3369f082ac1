"""Who is held out when: folds of subjects, drawn several times, and the trials of each."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from kraken_bids.cohort.subject_names import list_few
from kraken_bids.cohort.training_subjects import find_trained
from kraken_bids.exceptions import SettingsError
from kraken_bids.io.records import write_records
from kraken_bids.models.decoding_records import FoldMember
from kraken_bids.models.splits import deal_folds
from kraken_bids.pipeline.decoding.held_out_trials import Indices, LabelledTrials

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class HeldOut:
    """Trials to learn from, and those of the subjects who are held out."""

    repeat: int
    """Number of the split, from 1."""
    fold: int
    """Part of it that is held out, from 1."""
    train: Indices
    """Rows of trials."""
    test: Indices
    """Rows of trials."""

    def seed(self, seed: int) -> int:
        """Seed of a fold; that of the model on everyone is the given one."""
        words = [seed, self.repeat, self.fold]
        return int(np.random.SeedSequence(words).generate_state(1)[0])


def deal_trials(
    subjects: Sequence[str],
    families: Mapping[str, str],
    *,
    n_folds: int,
    n_repeats: int,
    seed: int,
) -> tuple[list[HeldOut], list[FoldMember]]:
    """Deal subjects into folds, families together, and their trials after them.

    Parameters
    ----------
    subjects : sequence of str
        Subject of each trial.
    families : mapping of str to str
        Family of each subject.

    Returns
    -------
    list of HeldOut
        Of each repeat its folds. All trials of a subject, in whatever run or session, are on one
        side: folds are of subjects, never of trials.
    list of FoldMember

    Raises
    ------
    ConnectomeError
        If there are fewer families than folds.
    """
    persons, owners = np.unique(np.asarray(subjects), return_inverse=True)
    names = [families[person] for person in persons.tolist()]
    joined = names if len({*names}) < len(names) else None
    found, members = [], []
    for repeat in range(1, n_repeats + 1):
        folds = deal_folds(len(persons), n_folds, families=joined, seed=seed + repeat - 1)
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


def hold_subjects_out(
    trials: LabelledTrials, folder: Path, *, n_folds: int, n_repeats: int, seed: int
) -> list[HeldOut]:
    """Deal the subjects of trials into folds, as :func:`deal_trials`, and write ``splits.tsv``."""
    parts, members = deal_trials(
        trials.subjects, dict(zip(trials.subjects, trials.families, strict=True)),
        n_folds=n_folds, n_repeats=n_repeats, seed=seed,
    )  # fmt: skip
    write_records(
        folder / "splits.tsv", [FoldMember], [[one] for one in members],
        description="In which part of each split a person is held out",
    )  # fmt: skip
    _tell_unlearned(trials, parts)
    return parts


def _tell_unlearned(trials: LabelledTrials, parts: Sequence[HeldOut]) -> None:
    """Warn of classes all of whose subjects are held out together."""
    found: dict[str, list[str]] = {}
    for part in parts:
        learned, asked = (np.unique(trials.labels[rows]) for rows in (part.train, part.test))
        for number in np.setdiff1d(asked, learned).tolist():
            own = found.setdefault(trials.classes[number], [])
            own.append(f"fold {part.fold} of repeat {part.repeat}")
    for label, folds in found.items():
        logger.warning(
            "all who have %s are held out together in %s: nothing is learned of it there, so "
            "that its trials are not decoded. Give more people who have it, or more --folds",
            label, list_few(folds),
        )  # fmt: skip


def check_folds(n_folds: int, n_repeats: int) -> None:
    """Check how subjects are asked to be dealt.

    Raises
    ------
    SettingsError
    """
    if n_folds < 2 or n_repeats < 1:
        raise SettingsError(
            "expected --folds of 2 or more and --repeats of 1 or more; found "
            f"{n_folds} and {n_repeats}."
        )


def tell_known(provenance: Mapping[str, Any], subjects: Sequence[str]) -> None:
    """Warn where a pretrained model has seen the subjects who are decoded."""
    known = find_trained(provenance, subjects)
    if known:
        logger.warning(
            "%d of %d people are among those that the model was pretrained on (%s): accuracies "
            "may be too high for people who are new",
            len(known), len({*subjects}), list_few(known),
        )  # fmt: skip
