"""From the BOLD runs of a session to its measured functional connectomes, one read per run."""

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kraken_bids.bids.inputs import BoldRun, SessionInputs
from kraken_bids.bids.label_images import LabelImage
from kraken_bids.bids.outputs import relmat_path
from kraken_bids.bids.read import Bold, open_bold, read_columns, read_image, read_json
from kraken_bids.connectome.denoise import Cleaning, apply_nuisance, prepare_nuisance
from kraken_bids.connectome.functional import (
    compute_correlation,
    compute_partial_correlation,
    concatenate_runs,
    partial_correlation_ridge,
)
from kraken_bids.connectome.resample import resample_labels
from kraken_bids.connectome.timeseries import RegionSeries, compute_region_series
from kraken_bids.flavors import Flavor, list_flavors
from kraken_bids.parcellations import load_parcellation
from kraken_bids.pipeline.functional_files import (
    MeasuredRun,
    RunGroup,
    write_connectome,
    write_coverage,
    write_timeseries,
)
from kraken_bids.pipeline.labels import regions_on_grid
from kraken_bids.pipeline.sessions import SessionTask, is_up_to_date, region_sidecar

logger = logging.getLogger(__name__)

TISSUES = ("GM", "WM", "CSF")
GSR = "hpfgsr"

Grid = tuple[tuple[int, ...], bytes]
"""Shape and affine of a BOLD series."""
Known = dict[tuple[LabelImage | Path, Grid], NDArray[np.int32]]
"""Labels and masks that are on a grid already: runs of one space mostly share both."""


def measure_functional(task: SessionTask) -> None:
    """Measure and write every functional connectome that the inputs of a session allow."""
    for group in group_runs(task.session):
        flavors = [
            flavor
            for flavor in list_flavors(group.labels)
            if flavor.group == "FC" and task.wants(flavor)
        ]
        if not flavors:
            continue
        digest = task.digest("functional", _list_files(group), task.settings.functional)
        output = task.settings.data.output_dir
        paths = [relmat_path(output, group.entities, flavor, source=None) for flavor in flavors]
        if not is_up_to_date(task, paths, digest):
            _measure_group(task, group, flavors, digest)


def group_runs(session: SessionInputs) -> Iterator[RunGroup]:
    """Yield the runs that belong together: same task, same space."""
    keys = dict.fromkeys((run.entities.get("task", ""), run.space) for run in session.bold_runs)
    for name, space in keys:
        labels = {p: image for (s, p), image in session.bold_labels.items() if s == space}
        runs = tuple(
            run
            for run in session.bold_runs
            if (run.entities.get("task", ""), run.space) == (name, space)
        )
        if labels:
            yield RunGroup(name, space, runs, labels)


def _list_files(group: RunGroup) -> list[Path | None]:
    paths: list[Path | None] = []
    for run in group.runs:
        paths += [run.bold, run.confounds, run.mask, *run.tissue.values()]
    for image in group.labels.values():
        paths += [image.path, *image.transforms]
    return paths


def _measure_group(
    task: SessionTask, group: RunGroup, flavors: Sequence[Flavor], digest: str
) -> None:
    logger.info(
        "%s: %d run(s) of task %s in %s → %s",
        task.label,
        len(group.runs),
        group.task,
        group.space,
        ", ".join(group.labels),
    )
    with_gsr = any(flavor.processing == GSR for flavor in flavors)
    known: Known = {}
    runs = [_measure_run(task, run, group, known, with_gsr=with_gsr) for run in group.runs]
    for run in runs:
        write_timeseries(task, run, digest)
    for parcellation in group.labels:
        coverage = np.min([run.series.coverage[parcellation] for run in runs], axis=0)
        write_coverage(task, group, parcellation, coverage=coverage, runs=runs)
        missing = coverage < task.settings.functional.min_coverage
        for flavor in flavors:
            if flavor.parcellation != parcellation:
                continue
            if flavor.processing == GSR and any(run.gsr is None for run in runs):
                continue
            square, facts = _compute_connectome(task, flavor, runs, missing)
            write_connectome(
                task,
                group,
                flavor,
                square=square,
                runs=runs,
                facts=facts | region_sidecar(flavor, missing) | {"RunDigest": digest},
            )


def _measure_run(
    task: SessionTask, run: BoldRun, group: RunGroup, known: Known, *, with_gsr: bool
) -> MeasuredRun:
    settings = task.settings.functional
    cleaning = Cleaning(
        strategy=settings.denoise,
        high_pass=settings.high_pass,
        drop_volumes=settings.drop_volumes,
        fd_threshold=settings.fd_threshold,
    )
    series, tr = _read_run(run, group, known)
    columns = read_columns(run.confounds)
    metadata = read_json(run.confounds_json) if run.confounds_json else {}
    nuisance = prepare_nuisance(series, columns, metadata, tr=tr, cleaning=cleaning)
    gsr = None
    if with_gsr and nuisance.global_signal is not None:
        gsr = apply_nuisance(series, nuisance, gsr=True)
    elif with_gsr:
        logger.warning("%s: no flavor %s: %s", task.label, GSR, nuisance.missing)
    return MeasuredRun(run, series, apply_nuisance(series, nuisance, gsr=False), gsr)


def _read_run(run: BoldRun, group: RunGroup, known: Known) -> tuple[RegionSeries, float]:
    bold = open_bold(run.bold, tr=run.metadata.get("RepetitionTime"))
    grid = (bold.shape[:3], bold.affine.tobytes())
    for image in group.labels.values():
        if (image, grid) not in known:
            known[image, grid] = regions_on_grid(image, bold.shape[:3], bold.affine)
    masks = {name: run.tissue[name] for name in TISSUES if name in run.tissue}
    for path in (run.mask, *masks.values()):
        if path is not None and (path, grid) not in known:
            known[path, grid] = _mask_on_grid(path, bold)
    labels = {name: known[image, grid] for name, image in group.labels.items()}
    series = compute_region_series(
        bold.volumes(),
        shape=bold.shape[:3],
        slope=bold.slope,
        inter=bold.inter,
        labels=labels,
        brain_mask=None if run.mask is None else known[run.mask, grid] > 0,
        tissue_masks={name: known[path, grid] > 0 for name, path in masks.items()},
        n_regions={name: load_parcellation(name).n_regions for name in labels},
    )
    return series, bold.tr


def _mask_on_grid(path: Path, bold: Bold) -> NDArray[np.int32]:
    """1 in voxels of a mask or probability map above one half, on the BOLD grid."""
    values, affine = read_image(path)
    inside = (values > 0.5).astype(np.int32)
    moved = resample_labels(inside, affine, target_shape=bold.shape[:3], target_affine=bold.affine)
    return moved.astype(np.int32, copy=False)


def _compute_connectome(
    task: SessionTask,
    flavor: Flavor,
    runs: Sequence[MeasuredRun],
    missing: NDArray[np.bool_],
) -> tuple[NDArray[np.float64], dict[str, object]]:
    """Square matrix of a flavor, NaN where a region has too little coverage, and its facts."""
    cleaned = [run.cleaned(flavor) for run in runs]
    series = concatenate_runs(
        [run.cleaned[flavor.parcellation] for run in cleaned], [run.kept for run in cleaned]
    )
    series[:, missing] = np.nan
    correlation = compute_correlation(series)
    facts: dict[str, object] = {"Frames": len(series)}
    if flavor.measure != "FCpcorr":
        return correlation, facts
    ridge, origin = partial_correlation_ridge(
        flavor.parcellation, task.settings.functional.pcorr_lambda
    )
    facts |= {"Lambda": ridge, "LambdaSource": origin}
    return compute_partial_correlation(correlation, ridge=ridge), facts
