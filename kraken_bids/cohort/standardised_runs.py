"""One run of region series, ready for a model: which volumes count, scaling, repetition time."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kraken_bids.bids.outputs import sidecar_path
from kraken_bids.bids.repetition_time import KEY, TOLERANCE, is_repetition_time
from kraken_bids.cohort.series_files import REPETITION_TIME, SAMPLES, RegionSeries
from kraken_bids.cohort.volume_times import VolumeTimes
from kraken_bids.exceptions import InputError, name_few
from kraken_bids.io.facts import Facts
from kraken_bids.models.series.architecture import TIME_STEP

ZSCORE, AS_GIVEN = "zscore", "none"
ROUNDING = 1e-10
"""A region whose deviation is this small beside its mean, or beside other regions, is constant."""
MOST_CUT = 20
"""Volumes acquired for each that is there; beyond, times are in another unit or of another run."""


@dataclass(frozen=True)
class StandardisedRun:
    """A run of which every region has values."""

    values: NDArray[np.float64]
    """[n_volumes, n_regions]; volumes that do not count hold the mean of those that do."""
    kept: NDArray[np.bool_]
    """Whether each volume counts [n_volumes]."""
    filling: NDArray[np.float64]
    """What volumes that do not count hold [n_regions]."""


def standardise_run(
    scan: RegionSeries, normalization: str, *, shortest: int
) -> StandardisedRun | str:
    """Scale the regions of a run, over the volumes that count.

    A volume with a value that is not finite does not count. Samples of tars are z-scored already,
    as parts of their runs, and stay as they are.

    Parameters
    ----------
    normalization : str
        ``zscore``: mean 0, standard deviation (divisor n) 1; or ``none``.
    shortest : int
        Volumes that must count.

    Returns
    -------
    StandardisedRun or str
        Words where the run cannot be used: it is too short, or a region has no values or, for
        z-scores, does not vary.
    """
    values, is_finite = scan.values, np.isfinite(scan.values)
    counts = np.ones(len(values), bool) if scan.counts is None else scan.counts > 0
    lacking = ~np.asarray(is_finite[counts].any(axis=0), bool)
    if lacking.any():
        return f"no values in {_name_regions(scan, lacking)}"
    kept = counts & is_finite.all(axis=1)
    if kept.sum() < shortest:
        return f"{kept.sum()} of {len(values)} volumes count, at least {shortest} must"
    means = values[kept].mean(axis=0)
    if normalization == ZSCORE and not is_tar(scan.path):
        spread = values[kept].std(axis=0)
        constant = spread <= ROUNDING * np.maximum(np.abs(means), np.median(spread))
        if constant.any():
            return f"no variation in {_name_regions(scan, constant)}"
        values = (values - means) / spread
        means = np.zeros(len(means))
    return StandardisedRun(np.where(kept[:, None], values, means), kept, means)


def fill_gaps(run: StandardisedRun, times: VolumeTimes) -> StandardisedRun | str:
    """Put volumes back that were cut out of a run: they do not count, and hold what such do.

    So every volume has the time that a network gives it by its place.

    Returns
    -------
    StandardisedRun or str
        Words where more than :data:`MOST_CUT` times as many volumes were acquired.
    """
    if times.acquired is None:
        return run
    n_acquired, n_there = times.count_acquired(len(run.kept)), len(run.kept)
    if n_acquired > MOST_CUT * n_there:
        return f"{n_there} of {n_acquired} volumes are there, by VolumeTiming in its sidecar"
    numbers = np.asarray(times.acquired)
    values, kept = np.tile(run.filling, (n_acquired, 1)), np.zeros(n_acquired, bool)
    values[numbers], kept[numbers] = run.values, run.kept
    return StandardisedRun(values, kept, run.filling)


def is_tar(path: Path) -> bool:
    """Whether the scans of a file are samples of a tar."""
    return path.suffix.lower() == SAMPLES


def find_time(scan: RegionSeries, facts: Facts, given: float | None) -> tuple[float, str]:
    """Repetition time of a run in seconds, and where it comes from.

    Parameters
    ----------
    facts : Facts
        Sidecar of its file.
    given : float or None
        As the user says; it must agree with what the file says.

    Raises
    ------
    InputError
        If nothing says it, it is no number of seconds, or the user says otherwise than the file.
    """
    said, rule = facts.number(KEY), f"{KEY} in the sidecar of each series"
    if scan.repetition_time is not None:
        said, rule = scan.repetition_time, f"{REPETITION_TIME} of each sample"
    if said is None:
        said, rule = given, "given for all series (--repetition-time)"
    if said is None:
        raise InputError(
            f"expected the repetition time of {scan.name}; found no {KEY} in "
            f"{sidecar_path(scan.path)}. Write it there, or give --repetition-time SECONDS."
        )
    if not is_repetition_time(said) or said < TIME_STEP:
        raise InputError(
            f"expected the repetition time of {scan.name} in seconds, {TIME_STEP:g} or more (the "
            f"grid of the models' times); found {said:g} ({rule}, {scan.path}). Mend it there."
        )
    if given is not None and abs(said - given) > TOLERANCE * given:
        raise InputError(
            f"--repetition-time {given:g}: expected that of the files; found {said:g} s of "
            f"{scan.name} ({rule}, {scan.path}). Mend the one that is wrong, or leave the option "
            "out."
        )
    return said, rule


def _name_regions(scan: RegionSeries, which: NDArray[np.bool_]) -> str:
    found = np.flatnonzero(which).tolist()
    return name_few([scan.regions[k] if scan.regions else f"region {k + 1}" for k in found])
