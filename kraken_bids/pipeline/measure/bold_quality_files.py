"""Files on the quality of a run: its frames, its cleaned series, its regions on the BOLD grid."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from kraken_bids.bids.outputs import frames_path, labels_path, sidecar_path, timeseries_path
from kraken_bids.connectome.functional.cleaning import CleanRun
from kraken_bids.io.nifti import write_labels
from kraken_bids.io.writing import write_json, write_table
from kraken_bids.pipeline.measure.tasks import SessionTask

FRAME_WORDS = {
    "framewise_displacement": ("framewise displacement (Power et al. 2012)", "mm"),
    "std_dvars": ("standardised DVARS, about 1 where nothing happens", "arbitrary"),
    "global_signal": ("mean of the brain mask before cleaning", "that of the BOLD file"),
    "kept": ("1 where the volume counts in the connectomes, 0 where it is left out", ""),
}


def write_frames(
    task: SessionTask, entities: Mapping[str, str], run: CleanRun, facts: Mapping[str, object]
) -> None:
    """Write motion and signal of every volume of a run, and which volumes count."""
    frames = run.frames
    path = frames_path(task.settings.data.output_dir, entities)
    write_table(path, {
        "framewise_displacement": frames.framewise_displacement.round(5),
        "std_dvars": frames.dvars.round(5),
        "global_signal": frames.global_signal.round(4),
        "kept": frames.kept.astype(int),
    })  # fmt: skip
    words = {
        name: {"Description": text} | ({"Units": unit} if unit else {})
        for name, (text, unit) in FRAME_WORDS.items()
    }
    write_json(sidecar_path(path), {
        "Description": "Quality of every volume of the run",
        "RepetitionTime": run.tr,
        "SamplingFrequency": 1 / run.tr,
        "DVARSSource": frames.dvars_source,
        "FDThreshold": task.settings.functional.fd_threshold,
        **words,
        **facts,
    })  # fmt: skip


def write_cleaned(
    task: SessionTask, entities: Mapping[str, str], run: CleanRun, facts: Mapping[str, object]
) -> None:
    """Write the cleaned region series of a run, without global signal regression."""
    for parcellation, series in run.cleaned.items():
        path = timeseries_path(
            task.settings.data.output_dir, entities, parcellation, is_clean=True
        )
        names = task.parcellation(parcellation).region_names
        write_table(path, dict(zip(names, series.T, strict=True)))
        write_json(sidecar_path(path), {
            "Description": "Mean of each region after cleaning, without global signal "
            "regression; volumes that do not count (VolumesKept) hold filtered guesses",
            "RepetitionTime": run.tr,
            "SamplingFrequency": 1 / run.tr,
            "Denoising": run.strategy,
            "HighPass": run.high_pass,
            "HighPassMethod": run.high_pass_method,
            "Confounds": list(run.regressors),
            "VolumesKept": run.kept.astype(int),
            **facts,
        })  # fmt: skip


def write_regions(
    task: SessionTask,
    entities: Mapping[str, str],
    parcellation: str,
    *,
    labels: NDArray[np.int32],
    affine: NDArray[np.float64],
    facts: Mapping[str, object],
) -> None:
    """Write the regions of a parcellation as they lie on the grid of the BOLD series."""
    path = labels_path(task.settings.data.output_dir, entities, parcellation)
    write_labels(path, labels, affine)
    write_json(sidecar_path(path), {
        "Description": "Regions on the grid of the BOLD series: rows of the matrices from 1 on",
        "Atlas": parcellation,
        "NodesFile": f"bids::atlas-{parcellation}_dseg.tsv",
        **facts,
    })  # fmt: skip
