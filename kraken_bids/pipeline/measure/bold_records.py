"""What sidecars say of cleaned BOLD runs: how they were cleaned, and how far the data go."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kraken_bids.bids.preprocessed_bold import BoldRun
from kraken_bids.bids.repetition_time import TIMES
from kraken_bids.cohort.measurements import CleaningRecord, FunctionalRecord, RunRecord
from kraken_bids.cohort.sidecar_records import VOLUMES_KEPT
from kraken_bids.cohort.volume_times import START
from kraken_bids.connectome.functional.bold_quality import (
    GLOBAL_THRESHOLD,
    MOTION_THRESHOLD_MM,
    average_frames,
    correlation_noise,
    explain_shortness,
)
from kraken_bids.connectome.functional.cleaning import NILEARN, CleanRun, Strategy
from kraken_bids.io.facts import Facts
from kraken_bids.settings import FunctionalSettings

logger = logging.getLogger(__name__)

OUTLIER_RULES = {
    "art": f"jump of the global signal with |robust z| > {GLOBAL_THRESHOLD:g} or composite motion "
    f"> {MOTION_THRESHOLD_MM:g} mm (ART, CONN's standard settings), with the volume before",
    "fmriprep": "any column of the confounds with outlier in its name",
    "scrubbing": "framewise displacement above 0.5 mm (FDThreshold, where one is given) or "
    "standardised DVARS above 1.5, and what is left of fewer than 5 volumes between (nilearn)",
    "none": "none",
    "cleaned": "those that were filled with guesses before the BOLD came here, or lie before the "
    "steady state; cut out volumes are no part of it",
}
"""Which volumes are left out beside dropped ones and those above FDThreshold."""
FORWARD = "difference to the next volume, 0 in the last; not fMRIPrep's columns of the same name"
BACKWARD = "difference to the volume before, 0 in the first, as fMRIPrep's columns"
DERIVATIVES: dict[Strategy, str] = {
    "fmriclean": FORWARD,
    **dict.fromkeys(NILEARN, "fMRIPrep's columns; the first volume has the value of the second"),
}
FROM_TISSUE = {
    "WM_mean": "WM: mean and components of voxels with a probability > 0.5, eroded by 3 x 3 x 3",
    "CSF_mean": "CSF: likewise",
    "GM_mean": "GM: mean of voxels with a probability > 0.5; difference to the next volume",
}
"""What regressors are that were computed here, by the first of each."""
CONCATENATION = (
    "left-out volumes dropped, each region z-scored in each run, runs one after another"
)
COVERAGE = (
    "Share of each region, as its label image holds it, that lies inside the field of view and "
    "the brain mask and holds signal"
)
LESIONED = {"Description": "share of the region inside the lesion, which is no part of coverage"}
TSNR = "mean over SD in time of the region's mean before cleaning, over the volumes that count"
CLEANED = (
    "Mean of each region after cleaning, {} global signal regression; volumes that do not count "
    "(VolumesKept) hold filtered guesses"
)
BY_NILEARN = (
    "confounds and volumes that count are those of nilearn's load_confounds_strategy for {}"
)
CAME_CLEANED = (
    "the BOLD came cleaned by {}; region means are taken of it as it is, while the published "
    "model was trained on ICA-FIX data that were cleaned as by --denoise fmriclean"
)
NAMED_AT_MOST = 6
OF_WHOLE_TISSUES = ("white_matter", "csf", "global_signal")
"""How the names of fMRIPrep's columns begin that come from tissues as it found them."""


def describe_cleaning(
    sources: Sequence[BoldRun], runs: Sequence[CleanRun], settings: FunctionalSettings
) -> CleaningRecord:
    """Say how the runs of a connectome were cleaned, each from a source."""
    first = runs[0]
    origins = dict.fromkeys(source.origin for source in sources)
    before = (
        [CAME_CLEANED.format(first.cleaned_by)]
        if first.cleaned_by
        else [origin.note for origin in origins]
    )
    chosen = [BY_NILEARN.format(settings.denoise)] if settings.denoise in NILEARN else []
    notes = dict.fromkeys(note for run in runs for note in run.notes)
    mean_fd, mean_dvars = average_frames([run.frames for run in runs])
    return CleaningRecord(
        preprocessing=" and ".join(origin.name for origin in origins),
        denoising=first.strategy,
        cleaned_by=first.cleaned_by or None,
        high_pass=first.high_pass,
        high_pass_method=first.high_pass_method,
        global_signal_regression=first.gsr,
        outlier_rule=OUTLIER_RULES[first.outlier_rule],
        fd_threshold=settings.fd_threshold,
        derivatives=DERIVATIVES.get(first.strategy, BACKWARD),
        tissue_regressors=tuple(
            words for name, words in FROM_TISSUE.items() if name in first.regressors
        ),
        concatenation=CONCATENATION,
        notes=(*before, *chosen, *notes, *_note_repetition_times(runs)),
        repetition_time=first.tr if len({run.tr for run in runs}) == 1 else None,
        runs=tuple(
            _describe_run(source.bold, run) for source, run in zip(sources, runs, strict=True)
        ),
        effective_duration=round(sum(run.minutes for run in runs) * 60, 3),
        minutes_minimum=settings.min_minutes,
        mean_fd=round(mean_fd, 5),
        mean_dvars=round(mean_dvars, 5),
        coverage_min=settings.min_coverage,
    )


def _note_repetition_times(runs: Sequence[CleanRun]) -> list[str]:
    """Say where runs of different repetition times were joined."""
    found = dict.fromkeys(f"{run.tr:g}" for run in runs)
    if len(found) < 2:
        return []
    return [
        f"runs with repetition times of {' and '.join(found)} s were joined: each volume counts "
        "the same, whatever time it stands for"
    ]


def _describe_run(path: Path, run: CleanRun) -> RunRecord:
    return RunRecord(
        file=path.name,
        repetition_time=run.tr,
        volumes_total=run.n_volumes,
        volumes_dropped=run.n_dropped,
        volumes_outliers=run.n_outliers,
        volumes_used=run.n_used,
        minutes_total=round(run.n_volumes * run.tr / 60, 3),
        minutes_used=round(run.minutes, 3),
        mean_fd=round(run.mean_fd, 5),
        mean_dvars=round(run.frames.mean_dvars, 5),
        dvars_source=run.frames.dvars_source,
        confounds=run.regressors,
    )


def judge_length(
    label: str,
    runs: Sequence[CleanRun],
    missing: NDArray[np.bool_],
    *,
    tsnr: NDArray[np.float64],
    min_minutes: float,
) -> FunctionalRecord:
    """Say how far the data go: noise, and what there is too little of, which is logged too.

    ``label`` says in the log whose data they are; ``missing`` and ``tsnr`` [n_regions] are regions
    with too little coverage, and the temporal signal-to-noise ratio of each.
    """
    n_frames, n_regions = sum(run.n_used for run in runs), int((~missing).sum())
    warnings = explain_shortness(
        n_frames=n_frames,
        n_regions=n_regions,
        minutes=sum(run.minutes for run in runs),
        min_minutes=min_minutes,
    )
    for sentence in warnings:
        logger.warning("%s: %s", label, sentence)
    if missing.any():
        logger.warning(
            "%s: %d of %d regions have no voxel, or hold too little signal, and are NaN: the "
            "coverage table and MissingRegions of the sidecars say which",
            label, missing.sum(), len(missing),
        )  # fmt: skip
    known = tsnr[~missing & np.isfinite(tsnr)]
    return FunctionalRecord(
        frames=n_frames,
        lambda_=None,
        lambda_source=None,
        regions_measured=n_regions,
        correlation_noise=round(correlation_noise(n_frames), 5),
        median_tsnr=round(float(np.median(known)), 3) if known.size else None,
        warnings=warnings,
    )


def add_lesion(
    record: FunctionalRecord,
    lesioned: NDArray[np.float64],
    names: Sequence[str],
    *,
    volume: float | None,
) -> FunctionalRecord:
    """Add what a lesion takes: its volume in mm³, and the share [n_regions] of each region."""
    shares = {name: round(float(v), 4) for name, v in zip(names, lesioned, strict=True) if v > 0}
    most = sorted(shares, key=lambda name: -shares[name])
    named = ", ".join(f"{name} ({shares[name]:.0%})" for name in most[:NAMED_AT_MOST])
    more = " …" if len(most) > NAMED_AT_MOST else ""
    which = f"parts of {len(most)} regions ({named}{more})" if most else "no region"
    words = (
        f"a lesion of {(volume or 0) / 1000:.1f} cm³ holds {which}: its voxels belong to no "
        "region and no tissue, and the coverage of these regions is reduced."
    )
    return replace(
        record,
        warnings=(words, *record.warnings),
        lesion_volume=None if volume is None else round(volume, 1),
        lesioned_regions=shares,
    )


def note_lesion(runs: Sequence[CleanRun]) -> list[str]:
    """Say which regressors were made by software that does not know of the lesion."""
    names = dict.fromkeys(name for run in runs for name in run.regressors)
    foreign = [name for name in names if name.startswith(OF_WHOLE_TISSUES) or "comp_cor" in name]
    if runs[0].cleaned_by:
        return ["the BOLD was cleaned before, where the lesion counted as tissue"]
    if not foreign:
        return []
    return [
        f"{', '.join(foreign[:NAMED_AT_MOST])}: fMRIPrep's columns, in which the lesion counts as "
        "tissue; tissue maps (label-WM_probseg …) and --denoise fmriclean keep it out"
    ]


def describe_times(run: CleanRun, metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Fields of a sidecar that say when the volumes of a run were acquired.

    Parameters
    ----------
    metadata : mapping
        Of its BOLD, whose ``StartTime`` is passed on.
    """
    start = Facts(dict(metadata)).number(START)
    return {
        "RepetitionTime": run.tr,
        "SamplingFrequency": 1 / run.tr,
        **({} if start is None else {START: start}),
        **({} if run.acquired is None else {TIMES: (run.acquired * run.tr).round(6)}),
    }


def describe_series(run: CleanRun, metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Fields of the sidecar of a region series: its times, motion, and the volumes that count.

    Parameters
    ----------
    metadata : mapping
        As of :func:`describe_times`.
    """
    displacement = np.nan_to_num(run.frames.framewise_displacement)
    return {
        **describe_times(run, metadata),
        "FramewiseDisplacement": [round(float(v), 4) for v in displacement],
        VOLUMES_KEPT: [int(v) for v in run.kept],
    }
