"""Files of one measured run: its region series before and after cleaning, its volumes."""

from collections.abc import Mapping

from kraken_bids.bids.outputs import frames_path, sidecar_path, timeseries_path
from kraken_bids.bids.preprocessed_bold import BoldRun
from kraken_bids.cohort.measurements import CLEANING, RUN
from kraken_bids.cohort.sidecar_records import FILE, ORIGIN, VOLUMES_KEPT
from kraken_bids.connectome.functional.cleaning import CleanRun
from kraken_bids.io.writing import write_json, write_table
from kraken_bids.pipeline.measure.bold_records import CLEANED, describe_series, describe_times
from kraken_bids.pipeline.measure.bold_runs import MeasuredRun
from kraken_bids.pipeline.measure.tasks import SessionTask

FRAME_WORDS = {
    "framewise_displacement": ("framewise displacement (Power et al. 2012)", "mm"),
    "std_dvars": ("standardised DVARS, about 1 where nothing happens", "arbitrary"),
    "global_signal": ("mean of the brain mask before cleaning", "that of the BOLD file"),
    "kept": ("1 where the volume counts in the connectomes, 0 where it is left out", ""),
}


def write_run(task: SessionTask, run: MeasuredRun, digest: str) -> None:
    """Write the region series of a run, each with its sidecar, and the table of its volumes."""
    _write_series(task, run, digest)
    facts = {
        ORIGIN.sources: task.uris(run.source.tables),
        FILE.run_digest: digest,
    }
    _write_cleaned(task, run.source, run.plain, facts)
    if _tells_of_volumes(task, run.source):
        _write_frames(task, run.source.entities, run.plain, facts)


def _write_series(task: SessionTask, run: MeasuredRun, digest: str) -> None:
    """Write the region means of a run before cleaning, with motion in the sidecar."""
    for name, means in run.series.means.items():
        path = timeseries_path(task.settings.data.output_dir, run.source.entities, name)
        names = task.parcellation(name).region_names
        write_table(path, dict(zip(names, means.T, strict=True)))
        write_json(sidecar_path(path), {
            "Description": "Mean of each region before cleaning, in the unit of the BOLD file",
            **describe_series(run.plain, run.source.metadata),
            "ValuesNotFinite": run.series.n_not_finite,
            ORIGIN.sources: task.uris([run.source.bold]),
            FILE.run_digest: digest,
        })  # fmt: skip


def _write_cleaned(
    task: SessionTask, source: BoldRun, run: CleanRun, facts: Mapping[str, object]
) -> None:
    """Write the cleaned region series of a run, without global signal regression."""
    for name, series in run.cleaned.items():
        path = timeseries_path(task.settings.data.output_dir, source.entities, name, is_clean=True)
        names = task.parcellation(name).region_names
        write_table(path, dict(zip(names, series.T, strict=True)))
        write_json(sidecar_path(path), {
            "Description": CLEANED.format("with" if run.gsr else "without"),
            **describe_times(run, source.metadata),
            CLEANING.denoising: run.strategy,
            CLEANING.high_pass: run.high_pass,
            CLEANING.high_pass_method: run.high_pass_method,
            RUN.confounds: list(run.regressors),
            VOLUMES_KEPT: run.kept.astype(int),
            **facts,
        })  # fmt: skip


def _tells_of_volumes(task: SessionTask, run: BoldRun) -> bool:
    """Whether the table of a run's volumes is its own: the first of its name, volumes first."""
    output = task.settings.data.output_dir
    path = frames_path(output, run.entities)
    return run == next(
        own for own in task.session.bold_runs if frames_path(output, own.entities) == path
    )


def _write_frames(
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
        RUN.dvars_source: frames.dvars_source,
        CLEANING.fd_threshold: task.settings.functional.fd_threshold,
        **words,
        **facts,
    })  # fmt: skip
