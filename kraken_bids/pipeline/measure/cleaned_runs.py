"""A BOLD run that came cleaned: which volumes count, and its region series as they are."""

import logging
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kraken_bids.bids.cleaned_bold import CleanedSource
from kraken_bids.connectome.functional.bold_quality import (
    count_non_steady_state,
    standardized_dvars,
)
from kraken_bids.connectome.functional.cleaning import Cleaning, CleanRun
from kraken_bids.connectome.functional.confounds import (
    FD,
    ChosenConfounds,
    Regressors,
    read_numbers,
)
from kraken_bids.connectome.functional.denoise import apply_nuisance
from kraken_bids.connectome.functional.nuisance import prepare_nuisance
from kraken_bids.connectome.functional.timeseries import RegionSeries
from kraken_bids.exceptions import ConnectomeError, InputError
from kraken_bids.io.tables import read_columns
from kraken_bids.settings import FunctionalSettings

logger = logging.getLogger(__name__)

Floats = NDArray[np.float64]
Booleans = NDArray[np.bool_]


@dataclass(frozen=True)
class KnownVolumes:
    """What is known of the volumes of a cleaned series."""

    bold: Path
    source: CleanedSource
    displacement: Floats
    """[n_volumes] Framewise displacement, mm; NaN where unknown."""
    kept: Booleans
    """[n_volumes] Whether a volume counts."""
    acquired: NDArray[np.intp] | None = None
    """[n_volumes] Number of each among those acquired, from 0; None: none was cut out of the
    series before it came here."""
    n_cut: int = 0
    """Volumes that were cut out."""
    n_first: int = 0
    """Volumes before the steady state."""
    notes: tuple[str, ...] = ()


def read_volumes(source: CleanedSource, bold: Path, n_volumes: int) -> KnownVolumes:
    """Find the motion of each volume of a cleaned series, and which volumes count.

    XCP-D cuts the volumes that move too much out of the series, or fills them with guesses; its
    tables hold a row for each. Volumes before the steady state, which fMRIPrep's confounds name,
    do not count either; where these have more rows than XCP-D's tables, it has removed the first.

    Parameters
    ----------
    bold : path
        The series, for messages.
    n_volumes : int
        Of the series.

    Raises
    ------
    InputError
        If the table of outliers is that of another run.
    """
    marked = _read_outliers(source.outliers) if source.outliers else np.zeros(n_volumes, bool)
    n_rows, n_marked = len(marked), int(marked.sum())
    if n_volumes not in {n_rows, n_rows - n_marked}:
        raise InputError(
            f"{source.outliers}: expected {n_volumes} rows, one per volume of {bold.name}, or so "
            f"many rows without a mark; found {n_rows} rows, {n_marked} of them marked. Do the "
            "two belong to one run? Copy both again, or leave the run out with --exclude-runs."
        )
    is_cut = n_volumes != n_rows
    kept = np.ones(n_volumes, bool) if is_cut else ~marked
    displacement, n_first, notes = np.full(n_rows, np.nan), 0, []
    if source.motion is not None:
        columns = read_columns(source.motion)
        if FD in columns and len(columns[FD]) == n_rows:
            displacement = read_numbers(columns, FD)
            n_first = 0 if is_cut else count_non_steady_state(columns)
            kept[:n_first] = False
        else:
            notes.append(
                f"{source.motion.name} has no {FD} of {n_rows} volumes: motion is not known"
            )
            logger.warning("%s: %s", bold, notes[-1])
    if is_cut:
        displacement = displacement[~marked]
        notes.append(f"{n_marked} of {n_rows} volumes of {bold.name} were cut out before")
    elif n_marked:
        notes.append(
            f"{n_marked} volumes of {bold.name} were filled with guesses before, and do not count"
        )
    n_removed = _count_removed(source, n_rows)
    if n_removed:
        notes.append(f"{n_removed} first volumes of {bold.name} were removed before")
    acquired = None
    if is_cut or n_removed:
        acquired = n_removed + (np.flatnonzero(~marked) if is_cut else np.arange(n_rows))
    return KnownVolumes(
        bold, source, displacement, kept, acquired, n_rows - n_volumes, n_first, tuple(notes)
    )


def _count_removed(source: CleanedSource, n_rows: int) -> int:
    """Count the first volumes that XCP-D removed (``--dummy-scans``), of which no table tells."""
    if source.outliers is None or source.before is None:
        return 0
    n_acquired = len(next(iter(read_columns(source.before).values()), ()))
    return max(0, n_acquired - n_rows)


def _read_outliers(path: Path) -> Booleans:
    columns = read_columns(path)
    if FD not in columns:
        raise InputError(
            f"{path}: expected a column {FD} with 1 where a volume moves too much; found "
            f"{', '.join(columns) or 'no column'}. Give the table as XCP-D wrote it."
        )
    return np.asarray(read_numbers(columns, FD) > 0)


def take_cleaned(
    series: RegionSeries, volumes: KnownVolumes, settings: FunctionalSettings, *, tr: float
) -> CleanRun:
    """Take region series as they came; only an explicit ``--high-pass`` filters them.

    Raises
    ------
    ConnectomeError
        If ``--fd-threshold`` is asked for and motion is not known, or the run is too short.
    """
    if settings.fd_threshold is not None and not np.isfinite(volumes.displacement).any():
        raise ConnectomeError(
            f"--fd-threshold {settings.fd_threshold:g}: expected the framewise displacement of "
            f"{volumes.bold}; found no table of it (XCP-D's *_motion.tsv, or fMRIPrep's "
            "confounds: -d fmriprep=PATH). Leave --fd-threshold out, or name the dataset."
        )
    high_pass = _choose_high_pass(settings.high_pass, volumes)
    n_dropped = settings.drop_volumes
    empty = Regressors((), np.zeros((series.n_volumes, 0)))
    nuisance = prepare_nuisance(
        series,
        {FD: volumes.displacement},
        tr=tr,
        cleaning=Cleaning(
            "none",
            high_pass,
            volumes.n_first if n_dropped is None else n_dropped,
            settings.fd_threshold,
            outliers="none",
        ),
        chosen=ChosenConfounds(empty, volumes.kept, None, ""),
    )
    run = apply_nuisance(series, nuisance, gsr=False)
    # cleaned series often have no mean that changes could be a share of
    scaled = {name: 1 + _standardize(means) for name, means in series.means.items()}
    dvars, dvars_source = standardized_dvars({}, scaled)
    source = volumes.source
    return replace(
        run,
        gsr=bool(source.has_gsr),
        cleaned_by=str(source),
        outlier_rule="cleaned",
        high_pass_method=run.high_pass_method if high_pass else "none here",
        frames=replace(run.frames, dvars=dvars, dvars_source=dvars_source),
        notes=volumes.notes,
        acquired=volumes.acquired,
    )


def _choose_high_pass(asked: float | None, volumes: KnownVolumes) -> float:
    if asked and volumes.n_cut:
        logger.warning(
            "--high-pass %g is not used: %d volumes were cut out of %s, and a filter needs even "
            "times",
            asked, volumes.n_cut, volumes.bold,
        )  # fmt: skip
        return 0.0
    return asked or 0.0


def _standardize(means: Floats) -> Floats:
    deviation = means.std(axis=0)
    centred: Floats = means - means.mean(axis=0)
    return centred / np.where(deviation > 0, deviation, 1)
