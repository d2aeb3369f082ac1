"""What sidecars say of cleaned BOLD runs: how they were cleaned, and how far the data go."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kraken_bids.connectome.functional.bold_quality import correlation_noise, explain_shortness
from kraken_bids.connectome.functional.cleaning import CleanRun
from kraken_bids.connectome.functional.outlier_frames import GLOBAL_THRESHOLD, MOTION_THRESHOLD_MM
from kraken_bids.settings import FunctionalSettings

logger = logging.getLogger(__name__)

OUTLIER_RULES = {
    "art": f"jump of the global signal with |robust z| > {GLOBAL_THRESHOLD:g} or composite motion "
    f"> {MOTION_THRESHOLD_MM:g} mm (ART, CONN's standard settings), with the volume before",
    "fmriprep": "any column of the confounds with outlier in its name",
    "none": "none",
}
"""Which volumes are left out beside dropped ones and those above FDThreshold."""
FORWARD = "difference to the next volume, 0 in the last; not fMRIPrep's columns of the same name"
BACKWARD = "difference to the volume before, 0 in the first, as fMRIPrep's columns"
FROM_TISSUE = {
    "WM_mean": "WM: mean and components of voxels with a probability > 0.5, eroded by 3 x 3 x 3",
    "CSF_mean": "CSF: likewise",
    "GM_mean": "GM: mean of voxels with a probability > 0.5; difference to the next volume",
}
"""What regressors are that were computed here, by the first of each."""
CONCATENATION = (
    "left-out volumes dropped, each region z-scored in each run, runs one after another"
)
NOT_FIX = "no ICA-FIX was applied, while the published model was trained on ICA-FIX data"


def describe_cleaning(
    files: Sequence[Path], runs: Sequence[CleanRun], settings: FunctionalSettings
) -> dict[str, Any]:
    """Fields of a sidecar that say how the runs were cleaned, run by run.

    Parameters
    ----------
    files : sequence of path
        The BOLD files.
    runs : sequence of CleanRun
        What they became.
    settings : FunctionalSettings
        How.
    """
    return {
        "Denoising": settings.denoise,
        "HighPass": runs[0].high_pass,
        "HighPassMethod": runs[0].high_pass_method,
        "GlobalSignalRegression": runs[0].gsr,
        "OutlierRule": OUTLIER_RULES[runs[0].outlier_rule],
        "FDThreshold": settings.fd_threshold,
        "Derivatives": FORWARD if runs[0].strategy == "fmriclean" else BACKWARD,
        "TissueRegressors": [
            words for name, words in FROM_TISSUE.items() if name in runs[0].regressors
        ],
        "Concatenation": CONCATENATION,
        "Notes": [
            NOT_FIX,
            *dict.fromkeys(note for run in runs for note in run.notes),
            *_note_repetition_times(runs),
        ],
        # of runs that differ, only each run's own is true
        **({"RepetitionTime": runs[0].tr} if len({run.tr for run in runs}) == 1 else {}),
        "Runs": [_describe_run(path, run) for path, run in zip(files, runs, strict=True)],
        "EffectiveDuration": round(sum(run.minutes for run in runs) * 60, 3),
        "MinutesMinimum": settings.min_minutes,
        "MeanFD": round(float(np.mean([run.mean_fd for run in runs])), 5),
        "MeanDVARS": round(float(np.mean([run.frames.mean_dvars for run in runs])), 5),
        "CoverageMin": settings.min_coverage,
    }


def _note_repetition_times(runs: Sequence[CleanRun]) -> list[str]:
    """Say where runs of different repetition times were joined."""
    found = dict.fromkeys(f"{run.tr:g}" for run in runs)
    if len(found) < 2:
        return []
    return [
        f"runs with repetition times of {' and '.join(found)} s were joined: each volume counts "
        "the same, whatever time it stands for"
    ]


def _describe_run(path: Path, run: CleanRun) -> dict[str, Any]:
    return {
        "File": path.name,
        "RepetitionTime": run.tr,
        "VolumesTotal": run.n_volumes,
        "VolumesDropped": run.n_dropped,
        "VolumesOutliers": run.n_outliers,
        "VolumesUsed": run.n_used,
        "MinutesTotal": round(run.n_volumes * run.tr / 60, 3),
        "MinutesUsed": round(run.minutes, 3),
        "MeanFD": round(run.mean_fd, 5),
        "MeanDVARS": round(run.frames.mean_dvars, 5),
        "DVARSSource": run.frames.dvars_source,
        "Confounds": list(run.regressors),
    }


def judge_length(
    label: str,
    runs: Sequence[CleanRun],
    missing: NDArray[np.bool_],
    *,
    tsnr: NDArray[np.float64],
    min_minutes: float,
) -> dict[str, Any]:
    """Fields of a sidecar on how far the data go: noise, what there is too little of; logged too.

    Parameters
    ----------
    label : str
        Whose data, for the log.
    runs : sequence of CleanRun
        Those that are concatenated.
    missing : ndarray of bool, shape (n_regions,)
        Regions with too little coverage.
    tsnr : ndarray of shape (n_regions,)
        Temporal signal-to-noise ratio of each region.
    min_minutes : float
        Minutes of data that are wanted.
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
    return {
        "RegionsMeasured": n_regions,
        "CorrelationNoise": round(correlation_noise(n_frames), 5),
        "MedianTSNR": round(float(np.median(known)), 3) if known.size else None,
        "Warnings": list(warnings),
    }


def describe_series(run: CleanRun) -> dict[str, Any]:
    """Fields of the sidecar of a region series: its times, motion, and the volumes that count."""
    displacement = np.nan_to_num(run.frames.framewise_displacement)
    return {
        "RepetitionTime": run.tr,
        "SamplingFrequency": 1 / run.tr,
        "FramewiseDisplacement": [round(float(v), 4) for v in displacement],
        "VolumesKept": [int(v) for v in run.kept],
    }
