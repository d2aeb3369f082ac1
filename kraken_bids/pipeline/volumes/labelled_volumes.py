"""Labelled volumes of runs: each is an example of its own."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from kraken_bids.cohort.trials import Trial
from kraken_bids.pipeline.decoding.held_out_trials import (
    Floats,
    Indices,
    LabelledTrials,
    shuffle_labels,
)
from kraken_bids.pipeline.volumes.volume_cache import HALF, VolumeCache, VolumeRun

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class VolumeSet(LabelledTrials):
    """Labelled volumes, each a trial of its own, and whose they are."""

    runs: Sequence[VolumeRun]

    @property
    def repetition_times(self) -> list[float]:
        """Seconds between volumes, each that a run has, shortest first."""
        return sorted({round(run.repetition_time, 6) for run in self.runs})

    def list_volumes(self) -> list[Indices]:
        """Numbers of the labelled volumes of each run."""
        chosen: list[list[int]] = [[] for _ in self.runs]
        for one in self.trials:
            chosen[one.run].append(one.first)
        return [np.array(own, np.intp) for own in chosen]

    def shuffle(self, rows: Indices, rng: np.random.Generator) -> Indices:
        """Labels of some volumes, shuffled among the events of each subject.

        Volumes of one event stay of one label: they are no independent observations.
        """
        events = [(self.trials[row].run, self.trials[row].onset) for row in rows.tolist()]
        _, firsts, event_of = np.unique(
            np.array(events), axis=0, return_index=True, return_inverse=True
        )
        subjects = [self.subjects[row] for row in rows[firsts].tolist()]
        return shuffle_labels(self.labels[rows[firsts]], subjects, rng)[event_of.ravel()]


@dataclass(frozen=True)
class CachedVolumes:
    """Labelled volumes that are ready to be read."""

    volumes: VolumeSet
    cache: VolumeCache
    patterns: Floats
    """What the linear model sees of each volume [n_volumes, n_parcels]."""


def split_events(
    runs: Sequence[VolumeRun], events: Sequence[Trial], families: Mapping[str, str]
) -> VolumeSet:
    """Take every volume of an event for an example; runs without events are left out.

    Parameters
    ----------
    families : mapping of str to str
        Family of each subject.

    Raises
    ------
    InputError
        If there are fewer than two classes, or one is of a single subject.
    """
    used = sorted({one.run for one in events})
    kept = [runs[k] for k in used]
    place = {run: k for k, run in enumerate(used)}
    trials = tuple(
        replace(one, run=place[one.run], first=first, n_volumes=1)
        for one in events
        for first in range(one.first, one.first + one.n_volumes)
    )
    return VolumeSet.gather(kept, trials, families)


def leave_out(cached: CachedVolumes) -> CachedVolumes:
    """Leave out labelled volumes that do not count, which is said.

    Raises
    ------
    InputError
        If fewer than two classes are left, or one is of a single subject.
    """
    volumes, rows = cached.volumes, cached.cache.kept
    if len(rows) == len(volumes.trials):
        return cached
    logger.warning(
        "%d of %d labelled volumes are left out: before the steady state, or outliers of motion "
        "or signal", len(volumes.trials) - len(rows), len(volumes.trials),
    )  # fmt: skip
    families = dict(zip(volumes.subjects, volumes.families, strict=True))
    families |= {run.subject: run.subject for run in volumes.runs if run.subject not in families}
    trials = tuple(volumes.trials[row] for row in rows)
    return replace(cached, volumes=VolumeSet.gather(volumes.runs, trials, families))


def tell_size(volumes: VolumeSet, grid: tuple[int, int, int]) -> None:
    """Say before runs are cleaned how much room their volumes take."""
    n_bytes = HALF.itemsize * len(volumes.trials) * int(np.prod(grid))
    logger.info(
        "%d labelled volumes of %d runs will take at most %.2f GB (2 bytes a voxel of the mask)",
        len(volumes.trials), len(volumes.runs), n_bytes / 1e9,
    )  # fmt: skip
