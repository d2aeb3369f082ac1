"""Runs of region series on their way into a store, and what is known of all of them."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from kraken_bids.bids.names import parse_name
from kraken_bids.bids.outputs import sidecar_path
from kraken_bids.cohort.alike_series import order_regions
from kraken_bids.cohort.measurements import CLEANING
from kraken_bids.cohort.series_files import RegionSeries
from kraken_bids.cohort.standardised_runs import (
    ZSCORE,
    StandardisedRun,
    fill_gaps,
    find_time,
    is_tar,
    standardise_run,
)
from kraken_bids.cohort.volume_times import VolumeTimes, read_volume_times
from kraken_bids.exceptions import ConnectomeError, name_few
from kraken_bids.io.facts import Facts, read_facts
from kraken_bids.io.files import explaining_writes
from kraken_bids.models.series.data_description import SeriesData

logger = logging.getLogger(__name__)

RECIPE = (
    "Description", CLEANING.preprocessing, CLEANING.denoising, CLEANING.cleaned_by,
    CLEANING.global_signal_regression, CLEANING.high_pass, CLEANING.high_pass_method,
)  # fmt: skip
"""What sidecars say of cleaning."""


@dataclass(frozen=True)
class SeriesRun:
    """A run of a store: a whole scan, or one sample of a tar."""

    name: str
    """Of no other run of the store."""
    subject: str
    """Whose run it is; of tars with the data set before it. Where no name says a subject, the name
    of the run, which then counts as a subject."""
    session: str
    task: str
    path: Path
    """File that it was read from."""
    n_volumes: int
    """With those that were cut out of the file."""
    repetition_time: float
    """In seconds."""
    start: int
    """Its first row in the store."""
    labels: Mapping[str, str] = field(default_factory=dict)
    """Of a sample of a tar: ``task_label``, ``task_name`` …; numbers as words."""
    times: VolumeTimes = field(default_factory=VolumeTimes)
    """When its volumes were acquired."""

    @property
    def is_of_nobody(self) -> bool:
        """Whether no name says a subject."""
        return self.subject == self.name


@dataclass
class GatheredRuns:
    """Runs that were written so far, and what is known of all of them."""

    file: IO[bytes]
    normalization: str
    given_time: float | None
    shortest: int
    atlas: str
    like: SeriesData | None
    runs: list[SeriesRun] = field(default_factory=list)
    kept: list[NDArray[np.bool_]] = field(default_factory=list)
    names: set[tuple[str, ...]] = field(default_factory=set)
    atlases: set[str] = field(default_factory=set)
    rules: dict[str, None] = field(default_factory=dict)
    recipe: dict[str, list[Any]] = field(default_factory=dict)
    left_out: dict[str, list[str]] = field(default_factory=dict)
    unused: dict[str, list[str]] = field(default_factory=dict)
    n_counted: int = 0
    n_sampled: int = 0
    sampled: NDArray[np.float64] = field(default_factory=lambda: np.zeros(2))
    sums: NDArray[np.float64] = field(default_factory=lambda: np.zeros(1))

    def add(self, scan: RegionSeries) -> None:
        """Write a run, or note why it is left out."""
        scan = self._order(scan)
        ready = standardise_run(scan, self.normalization, shortest=self.shortest)
        if isinstance(ready, str):
            self.left_out.setdefault(ready, []).append(scan.name)
            return
        facts = Facts() if is_tar(scan.path) else read_facts(sidecar_path(scan.path))
        time, rule = find_time(scan, facts, self.given_time)
        self.rules[rule] = None
        for key in RECIPE:
            if key in facts and facts.plain[key] not in self.recipe.setdefault(key, []):
                self.recipe[key].append(facts.plain[key])
        times = read_volume_times(facts, len(ready.values), time)
        whole = fill_gaps(ready, times)
        if isinstance(whole, str):
            self.left_out.setdefault(whole, []).append(scan.name)
            return
        self._write(scan, whole, time, VolumeTimes(times.start))

    def _order(self, scan: RegionSeries) -> RegionSeries:
        atlas = parse_name(f"{scan.name}_").get("atlas", "") or self.atlas
        self.atlases.add(atlas)
        if self.like is None:
            self.names.add(scan.regions)
            return scan
        n_regions, is_said = scan.values.shape[1], bool(atlas) and atlas == self.like.atlas
        order = order_regions(
            scan.regions, n_regions, self.like, where=str(scan.path), is_said=is_said
        )
        self.names.add(self.like.regions or scan.regions)
        if order is None:
            return scan
        for k in np.setdiff1d(np.arange(n_regions), order).tolist():
            self.unused.setdefault(scan.regions[k], []).append(scan.name)
        return replace(scan, values=scan.values[:, order], regions=self.like.regions)

    def _write(
        self, scan: RegionSeries, ready: StandardisedRun, time: float, times: VolumeTimes
    ) -> None:
        values = np.ascontiguousarray(ready.values, np.float32)
        with explaining_writes(Path(self.file.name)):
            self.file.write(values.data)
        counted = ready.values[ready.kept]
        self.n_counted += len(counted)
        sums = np.stack([counted.sum(axis=0), (counted**2).sum(axis=0)])
        self.sums = self.sums + sums
        if is_tar(scan.path):
            self.n_sampled += counted.size
            self.sampled += sums.sum(axis=1)
        last = self.runs[-1] if self.runs else None
        self.kept.append(ready.kept)
        self.runs.append(
            SeriesRun(
                scan.name,
                *read_who(scan),
                scan.path,
                len(values),
                time,
                last.start + last.n_volumes if last else 0,
                scan.labels,
                times,
            )
        )

    def describe(self) -> SeriesData:
        """Say what is known of all runs; what is doubtful is a warning.

        Raises
        ------
        ConnectomeError
            If there is no run, runs are of different atlases, or tars are not z-scored.
        """
        for why, names in self.left_out.items():
            logger.warning("left out: %s (%s)", name_few(names), why)
        if self.unused:
            names = sorted({name for own in self.unused.values() for name in own})
            logger.warning(
                "left out: columns of no region of the model: %s (in %s)",
                name_few(list(self.unused)), name_few(names),
            )  # fmt: skip
        self._check()
        means, squares = self.sums / self.n_counted
        recipe = {key: own[0] if len(own) == 1 else own for key, own in self.recipe.items()}
        return SeriesData(
            regions=next(iter(self.names)) if len(self.names) == 1 else (),
            n_regions=len(means),
            atlas=next(iter(self.atlases)),
            normalization=self.normalization,
            repetition_times=tuple(sorted({run.repetition_time for run in self.runs})),
            repetition_time_rule="; ".join(self.rules),
            means=tuple(means.tolist()),
            deviations=tuple(np.sqrt(np.maximum(squares - means**2, 0)).tolist()),
            cleaning=recipe,
            n_runs=len(self.runs),
            n_subjects=len({run.subject for run in self.runs}),
        )

    def _check(self) -> None:
        if not self.runs:
            found = "; ".join(f"{name_few(own)}: {why}" for why, own in self.left_out.items())
            raise ConnectomeError(
                f"expected runs of region series in which at least {self.shortest} volumes count "
                f"and every region has values; found {found or 'no run'}. Give longer runs, or an "
                "atlas whose regions all have values."
            )
        if len(self.atlases) > 1:
            known = ", ".join(one or "a file that names none" for one in sorted(self.atlases))
            raise ConnectomeError(
                f"expected series of one atlas; found {known}. Give those of one; --atlas NAME "
                "says of which files without an atlas in their name are."
            )
        if len(self.names) > 1:
            logger.warning(
                "some files have names of regions and others have none: that all have the same "
                "regions in the same order cannot be checked"
            )
        differing = [key for key, own in self.recipe.items() if len(own) > 1]
        if differing:
            logger.warning("the runs were cleaned in different ways (%s)", ", ".join(differing))
        nobody = [run.name for run in self.runs if run.is_of_nobody]
        if nobody:
            logger.warning(
                "no subject in the names of %s: every such run counts as a person of its own. "
                "Where people have several runs, call their files sub-LABEL_...",
                name_few(nobody),
            )
        self._check_scale()

    def _check_scale(self) -> None:
        """Refuse samples of tars that are not z-scored: each is a part of its run only."""
        if self.normalization != ZSCORE or not self.n_sampled:
            return
        mean, square = self.sampled / self.n_sampled
        deviation = np.sqrt(max(square - mean**2, 0))
        if abs(mean) > 0.5 or not 0.5 < deviation < 2:
            tars = list(dict.fromkeys(run.path.name for run in self.runs if is_tar(run.path)))
            raise ConnectomeError(
                f"expected z-scored series in {name_few(tars)}, as the published ones are; found "
                f"mean {mean:.3g}, standard deviation {deviation:.3g}. Z-score each run before it "
                "is cut into samples, or take the values as they are: --normalization none."
            )


def read_who(scan: RegionSeries) -> tuple[str, str, str]:
    """Subject, session and task of a run, from its name, else its folder."""
    known = parse_name(f"{scan.name}_")
    folders = [part[4:] for part in scan.path.absolute().parts[:-1] if part.startswith("sub-")]
    subject = known.get("sub") or (folders[-1] if folders else "")
    if subject and known.get("ds"):
        subject = f"{known['ds']}-{subject}"
    task = known.get("task") or scan.labels.get("task_name", "")
    return subject or scan.name, known.get("ses", ""), task
