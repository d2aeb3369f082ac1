"""Calibrates a cohort's predictions pair by pair, and shows each to what is computed of it."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from kraken_bids.cohort.calibrated_pairs import CalibratedPair, PairReader, crosses_modality
from kraken_bids.cohort.failures import going_on
from kraken_bids.cohort.members import Member
from kraken_bids.cohort.participant_columns import read_participant_table
from kraken_bids.cohort.sources import Source
from kraken_bids.flavors import Flavor
from kraken_bids.models.calibration.calibration import MIN_FOLDS, N_FOLDS, fit_calibration
from kraken_bids.models.splits import deal_folds
from kraken_bids.scores.calibrated_records import NOBODY
from kraken_bids.settings import Settings
from kraken_bids.worth_settings import MIN_CALIBRATED

logger = logging.getLogger(__name__)

Edges = NDArray[np.float32]


@dataclass(frozen=True)
class PairCalibrations:
    """Calibrates each pair of source and target that somebody wants to see."""

    members: Sequence[Member] = ()
    families: Sequence[str] = ()
    """Family of every member; sessions of one subject are of one."""
    readers: Sequence[PairReader] = ()
    n_needed: int = 0
    """Subjects that the intervals take."""
    refused: dict[tuple[str, Flavor], str] = field(default_factory=dict)
    """Why a pair could not be calibrated."""
    problems: list[Exception] = field(default_factory=list)
    """What went wrong with a reader, which then is shown no more."""
    broken: list[PairReader] = field(default_factory=list)

    def wants(self, source: Source, target: Flavor) -> bool:
        """Whether a pair can be calibrated and somebody has still to see it."""
        if (source.name, target) in self.refused:
            return False
        if not crosses_modality(source.name, source.flavors, target):
            return False
        if not self._list_readers(source.name, target):
            return False
        both = [
            index
            for index, member in enumerate(self.members)
            if source.n_inputs[index] and target in member.connectomes
        ]
        return self._are_enough(source, target, both)

    def show(
        self,
        source: Source,
        target: Flavor,
        subjects: Sequence[int],
        *,
        measured: Edges,
        predicted: Edges,
    ) -> None:
        """Calibrate one pair on those who have both, and show it to everyone who wants it.

        Parameters
        ----------
        subjects : sequence of int
            Index of the members whose target was measured in every region, and who have the
            source.
        measured, predicted : ndarray of shape (n_subjects, n_edges)
        """
        if not self.wants(source, target) or not self._are_enough(source, target, subjects):
            return
        families = [self.families[index] for index in subjects]
        n_folds = min(N_FOLDS, len(set(families)))
        folds = deal_folds(len(subjects), n_folds, families=families)
        fitted = fit_calibration(measured, predicted, folds=folds)
        lacking = sorted(set(np.flatnonzero(source.n_inputs).tolist()) - set(subjects))
        pair = CalibratedPair(
            source.name,
            target,
            subjects,
            measured=measured,
            predicted=predicted,
            fitted=fitted,
            lacking=lacking,
        )
        for reader in self._list_readers(source.name, target):
            n_before = len(self.problems)
            with going_on(self.problems):
                reader.read(pair)
            if len(self.problems) > n_before:
                self.broken.append(reader)

    def _list_readers(self, source: str, target: Flavor) -> list[PairReader]:
        sound = [reader for reader in self.readers if reader not in self.broken]
        return [reader for reader in sound if reader.wants(source, target)]

    def _are_enough(self, source: Source, target: Flavor, subjects: Sequence[int]) -> bool:
        """Whether so many have both that a calibration can be fitted; notes why not."""
        n_subjects = len({self.members[index].subject for index in subjects})
        n_families = len({self.families[index] for index in subjects})
        if not n_subjects:
            self.refused[source.name, target] = (
                f"{NOBODY} has {target} measured in every region and predicted from {source.name}"
            )
        elif n_subjects < MIN_CALIBRATED:
            self.refused[source.name, target] = (
                f"expected at least {MIN_CALIBRATED} subjects with {target} measured in every "
                f"region and predicted from {source.name}; found {n_subjects}"
            )
        elif n_subjects < self.n_needed:
            self.refused[source.name, target] = (
                f"expected at least {self.n_needed} subjects with both, for intervals of so high "
                f"a coverage; found {n_subjects}: ask for less (--interval-coverage)"
            )
        elif n_families < MIN_FOLDS:
            self.refused[source.name, target] = (
                f"expected at least {MIN_FOLDS} families, to hold them out in turn; found "
                f"{n_families}"
            )
        return (source.name, target) not in self.refused


def list_families(settings: Settings, members: Sequence[Member]) -> list[str]:
    """Family of every member as ``--families`` says; of whom it is not known, the subject itself.

    Raises
    ------
    InputError, SettingsError
        If there is no ``participants.tsv``, or no such column in it.
    """
    own = [f"sub-{member.subject}" for member in members]
    column = settings.worth.families
    if not column:
        return own
    table = read_participant_table(settings.data, "--families")
    families = table.read_columns(members, [column])[column]
    known: dict[str, str] = {}
    for subject, family in zip(own, families, strict=True):
        if family:  # also where only a later session's row says it
            known.setdefault(subject, family)
    if not known:
        logger.warning(
            "--families %s: no family of anybody in this run is known; each subject counts as one",
            column,
        )
    return [known.get(subject, subject) for subject in own]
