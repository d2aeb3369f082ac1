"""Trials of runs: consecutive volumes with one label, by events of a task or of whole runs."""

import logging
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Protocol

import numpy as np

from kraken_bids.cohort.subject_names import list_few
from kraken_bids.cohort.task_events import TaskEvents, find_events, read_events
from kraken_bids.cohort.trial_windows import NEXT_TO, TrialWindow
from kraken_bids.cohort.volume_times import VolumeTimes
from kraken_bids.exceptions import InputError, KrakenBidsError, SettingsError

logger = logging.getLogger(__name__)


class Run(Protocol):
    """What is known of a run, be it region series or an image."""

    @property
    def name(self) -> str:
        """Of no other run."""

    @property
    def path(self) -> Path:
        """A file whose name has the run's entities."""

    @property
    def subject(self) -> str:
        """Whose it is."""

    @property
    def n_volumes(self) -> int:
        """Length."""

    @property
    def repetition_time(self) -> float:
        """Seconds."""

    @property
    def times(self) -> VolumeTimes:
        """When its volumes were acquired."""


@dataclass(frozen=True)
class Trial:
    """Consecutive volumes of a run with one label."""

    run: int
    """Number of the run."""
    first: int
    """First volume, from 0."""
    n_volumes: int
    label: str
    onset: float
    """Of the event, seconds from the first volume; 0 of a whole run."""

    @property
    def volumes(self) -> slice:
        """Its volumes among those of the run."""
        return slice(self.first, self.first + self.n_volumes)


def label_trials(
    runs: Sequence[Run],
    bids_dir: Path,
    window: TrialWindow,
    *,
    column: str = "trial_type",
    classes: Sequence[str] = (),
) -> list[Trial]:
    """Find the trials of runs in the ``events.tsv`` files of their raw dataset.

    No volume is in two trials: one ends where the next begins. Runs without events, and events
    without volumes in the run, are left out with a warning.

    Parameters
    ----------
    runs : sequence of Run
        Volume ``k`` of those acquired stands for ``k`` repetition times, and its ``StartTime``.
    bids_dir : Path
        Raw dataset; its ``events.tsv`` hold by the inheritance principle.
    column : str
        Column of the kinds of events.
    classes : sequence of str, optional
        Kinds of events to take, ``KIND`` or ``KIND=LABEL``; all by default. Kinds with one label
        are one class.

    Returns
    -------
    list of Trial
        By run and time.

    Raises
    ------
    InputError
        If no run has trials.
    """
    labels = dict(_split_class(word) for word in classes)
    found: list[Trial] = []
    problems = []
    for k, run in enumerate(runs):
        try:
            events = _read_events(run, bids_dir, column)
            found += [replace(one, run=k) for one in _place_events(run, events, window, labels)]
        except KrakenBidsError as error:
            problems.append(str(error))
    if not found:
        raise InputError(
            f"expected trials of the {len(runs)} runs in the events.tsv files of {bids_dir}"
            f"{f' ({list_few(list(labels))})' if labels else ''}; found none. "
            f"{problems[0] if problems else 'Check --classes.'}"
        )
    if problems:
        more = " …" if len(problems) > 3 else ""
        logger.warning(
            "%d of %d runs have no trials: %s%s",
            len(problems), len(runs), " ".join(problems[:3]), more,
        )  # fmt: skip
    unused = sorted({*labels.values()} - {one.label for one in found})
    if unused:
        raise InputError(
            f"--classes: expected kinds of events of {bids_dir} (column {column}); found no "
            f"trial of {list_few(unused)}."
        )
    return found


def label_whole_runs(runs: Sequence[Run], labels: Mapping[str, str], *, where: str) -> list[Trial]:
    """Take every run that has a label for one trial; the others are left out with a warning.

    Parameters
    ----------
    labels : mapping of str to str
        Label of each run, by its name.
    where : str
        Where they are from, for messages.

    Raises
    ------
    InputError
        If no run has one.
    """
    lacking = [run.name for run in runs if not labels.get(run.name)]
    if len(lacking) == len(runs):
        raise InputError(
            f"expected labels of the runs ({list_few(lacking)}) in {where}; found none of them "
            f"(but {list_few(list(labels)) or 'no label'})."
        )
    if lacking:
        logger.warning(
            "%d of %d runs have no label in %s and are left out: %s",
            len(lacking), len(runs), where, list_few(lacking),
        )  # fmt: skip
    return [
        Trial(k, 0, run.n_volumes, labels[run.name], 0.0)
        for k, run in enumerate(runs)
        if labels.get(run.name)
    ]


def check_classes(trials: Sequence[Trial], subjects: Sequence[str]) -> tuple[str, ...]:
    """List the labels of trials, sorted; each must be of two subjects or more.

    Parameters
    ----------
    subjects : sequence of str
        Subject, or family, of each run.

    Raises
    ------
    InputError
        If there are fewer than two classes, or one is of a single subject, who cannot be in
        training and test both.
    """
    owners: dict[str, set[str]] = {}
    for one in trials:
        owners.setdefault(one.label, set()).add(subjects[one.run])
    labels = tuple(sorted(owners))
    alone = [label for label in labels if len(owners[label]) < 2]
    if alone:
        counts = Counter(one.label for one in trials)
        shown = list_few([f"{label} ({counts[label]} trials)" for label in alone])
        others = " ".join(label for label in labels if label not in alone)
        raise InputError(
            f"expected trials of every class from at least 2 people (or families); found one for "
            f"{shown}: nobody is left to test them on. Leave them out (--classes {others}) or "
            "join them with others (--classes KIND=LABEL)."
        )
    if len(labels) < 2:
        raise InputError(
            f"expected trials of 2 classes or more; found {', '.join(labels) or 'none'} alone. "
            "Give runs of several conditions, or other --classes."
        )
    return labels


def _read_events(run: Run, bids_dir: Path, column: str) -> TaskEvents:
    path = find_events(bids_dir, run.path)
    if path is None:
        raise InputError(
            f"expected the events.tsv of {run.path.name} in {bids_dir}; found none of its "
            "subject, session, task and run."
        )
    events = read_events(path, column=column)
    if events.types is None:
        raise InputError(
            f"expected a column {column} in {path}; found none. Name the one that holds the kinds "
            "of events: --column NAME."
        )
    return events


def _place_events(
    run: Run, events: TaskEvents, window: TrialWindow, labels: Mapping[str, str]
) -> list[Trial]:
    """Place the events of a run on its volumes."""
    types = events.types or ()
    asked = [k for k, kind in enumerate(types) if kind and (not labels or kind in labels)]
    durations = (
        events.durations if window.duration is None else np.full(len(types), window.duration)
    )
    known = [k for k in asked if np.isfinite(events.onsets[k]) and np.isfinite(durations[k])]
    if len(known) < len(asked):
        logger.warning(
            "%s: %d of %d events have no onset or duration and are left out (--duration SECONDS "
            "says how long all are)", run.path.name, len(asked) - len(known), len(asked),
        )  # fmt: skip
    placed = []
    for k in known:
        kind, onset = types[k], float(events.onsets[k])
        since = onset - run.times.start
        acquired = window.find_volumes(since, float(durations[k]), run.repetition_time)
        first, stop = map(run.times.find, acquired)
        placed.append(Trial(0, first, stop - first, labels.get(kind, kind), onset))
    placed.sort(key=lambda one: one.onset)
    spans = sorted((events.onsets[k], events.onsets[k] + durations[k]) for k in known)
    n_overlapping = sum(end > onset + NEXT_TO for (_, end), (onset, _) in pairwise(spans))
    if n_overlapping:
        logger.warning(
            "%s: %d of %d events overlap the next one; each ends where the next begins (--classes "
            "takes some kinds alone)", run.path.name, n_overlapping, len(spans),
        )  # fmt: skip
    inside = list(_cut(placed, run.n_volumes))
    _tell_lost(run, placed, inside)
    return inside


def _cut(placed: Sequence[Trial], n_volumes: int) -> Iterator[Trial]:
    """Trials that have volumes, within the run and before the next one."""
    end = Trial(0, n_volumes, 0, "", np.inf)
    for one, following in pairwise([*placed, end]):
        first = max(one.first, 0)
        stop = min(one.first + one.n_volumes, n_volumes, max(following.first, one.first))
        if stop > first:
            yield replace(one, first=first, n_volumes=stop - first)


def _tell_lost(run: Run, placed: Sequence[Trial], inside: Sequence[Trial]) -> None:
    """Tell of events that have no volumes; refuse a run in which none has any."""
    if not placed:
        raise InputError(f"{run.path.name}: expected events of the classes asked for; found none.")
    seconds = run.times.count_acquired(run.n_volumes) * run.repetition_time
    if not inside:
        raise InputError(
            f"expected events within {run.path.name}, {seconds:g} s; found {len(placed)}, from "
            f"{placed[0].onset:g} to {placed[-1].onset:g} s, of which no volume is in the run. "
            "Onsets are seconds from the first volume; events shorter than a volume need "
            "--duration SECONDS."
        )
    if len(inside) < len(placed):
        logger.warning(
            "%s: %d of %d events have no volume of their own (beyond the %g s of the run, shorter "
            "than a volume, or another one begins) and are left out",
            run.path.name, len(placed) - len(inside), len(placed), seconds,
        )  # fmt: skip


def _split_class(word: str) -> tuple[str, str]:
    kind, mark, label = word.partition("=")
    if not kind or (mark and not label):
        raise SettingsError(f"--classes: expected KIND or KIND=LABEL; found {word!r}.")
    return kind, label if mark else kind
