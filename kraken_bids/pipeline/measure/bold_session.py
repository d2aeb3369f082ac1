"""From the BOLD runs of a session to its measured functional connectomes, one read per run."""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kraken_bids.bids.bold import open_bold
from kraken_bids.bids.index import JOINED
from kraken_bids.bids.inputs import BoldRun, SessionInputs
from kraken_bids.bids.label_images import LabelImage
from kraken_bids.bids.outputs import relmat_path
from kraken_bids.cohort.saved_ridge import add_ridge, read_saved_ridges
from kraken_bids.cohort.sidecars import region_sidecar
from kraken_bids.connectome.functional.bold_quality import find_uncovered, temporal_snr
from kraken_bids.connectome.functional.timeseries import RegionSeries
from kraken_bids.exceptions import KrakenBidsError, TooShortError
from kraken_bids.flavors import Flavor, list_flavors
from kraken_bids.io.image_values import list_form_doubts
from kraken_bids.pipeline.measure.bold_outputs import (
    MeasuredRun,
    RunGroup,
    write_connectome,
    write_coverage,
    write_timeseries,
)
from kraken_bids.pipeline.measure.bold_quality_files import (
    write_cleaned,
    write_frames,
    write_regions,
)
from kraken_bids.pipeline.measure.bold_runs import (
    GSR,
    TISSUES,
    clean_series,
    compute_connectome,
    mask_on_grid,
    read_region_series,
)
from kraken_bids.pipeline.measure.bold_sidecars import judge_length
from kraken_bids.pipeline.measure.label_checks import list_doubts
from kraken_bids.pipeline.measure.label_grids import GridRegions, regions_on_grid
from kraken_bids.pipeline.measure.tasks import SessionTask, is_up_to_date

logger = logging.getLogger(__name__)

Grid = tuple[tuple[int, ...], bytes]
"""Shape and affine of a BOLD series."""
NOT_SHARED = (*JOINED, "res")
"""Entities in which runs may differ that are joined; of one space one image of each is used."""


@dataclass(frozen=True)
class Known:
    """What is on a grid already: runs of one space mostly share label images and masks."""

    regions: dict[tuple[LabelImage, Grid], GridRegions] = field(default_factory=dict)
    masks: dict[tuple[Path, Grid], NDArray[np.int32]] = field(default_factory=dict)


def measure_functional(task: SessionTask) -> None:
    """Measure and write every functional connectome that the inputs of a session allow.

    Raises
    ------
    KrakenBidsError
        If a task in a space cannot be measured; after the others were.
    """
    errors = []
    for group in group_runs(task.session):
        try:
            _measure_wanted(task, group)
        except KrakenBidsError as error:
            errors.append(error)
    if errors:
        raise type(errors[0])("\n".join(map(str, errors))) from errors[0]


def plan_functional(task: SessionTask) -> dict[Path, str]:
    """List the functional connectomes that a session is asked for, with their digests."""
    planned: dict[Path, str] = {}
    for group in group_runs(task.session):
        planned |= _plan_group(task, group)[1]
    return planned


def _plan_group(task: SessionTask, group: RunGroup) -> tuple[list[Flavor], dict[Path, str], str]:
    """Flavors of a group that are asked for, their files' digests, and that without saved λ."""
    flavors = [
        flavor
        for flavor in list_flavors(group.labels)
        if flavor.group == "FC" and task.wants(flavor)
    ]
    digest = task.digest("functional", _list_files(group), task.settings.functional)
    output, given = task.settings.data.output_dir, task.settings.functional.pcorr_lambda
    saved = read_saved_ridges(output)
    planned = {
        relmat_path(output, group.entities, f, source=None): add_ridge(digest, f, given, saved)
        for f in flavors
    }
    return flavors, planned, digest


def _measure_wanted(task: SessionTask, group: RunGroup) -> None:
    """Measure those flavors of a group that are asked for, unless they are up to date."""
    flavors, planned, digest = _plan_group(task, group)
    if flavors and not is_up_to_date(task, planned):
        _measure_group(task, group, flavors, digest)


def group_runs(session: SessionInputs) -> Iterator[RunGroup]:
    """Yield the runs that belong together: all but ``run`` and ``dir`` of their names is equal."""
    groups: dict[tuple[str, frozenset[tuple[str, str]]], list[BoldRun]] = {}
    for run in session.bold_runs:
        shared = frozenset((k, v) for k, v in run.entities.items() if k not in NOT_SHARED)
        groups.setdefault((run.space, shared), []).append(run)
    for (space, _), runs in groups.items():
        if runs[0].labels:
            task = runs[0].entities.get("task", "")
            yield RunGroup(task, space, tuple(runs), runs[0].labels)


def _list_files(group: RunGroup) -> list[Path]:
    paths: list[Path] = []
    for run in group.runs:
        paths += [*run.files, *run.sidecars]
        paths += [run.confounds_json] if run.confounds_json else []
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
    known = Known()
    runs, group = _measure_runs(task, group, known, with_gsr=with_gsr)
    for run in runs:
        _write_run(task, run, digest)
    for parcellation, image in group.labels.items():
        grid, regions = _find_regions(known, image)
        write_regions(
            task,
            group.entities,
            parcellation,
            labels=regions,
            affine=np.frombuffer(grid[1]).reshape(4, 4),
            facts=_facts_of_regions(task, group, image),
        )
        own = [flavor for flavor in flavors if flavor.parcellation == parcellation]
        _write_parcellation(task, group, parcellation, flavors=own, runs=runs, digest=digest)


def _write_run(task: SessionTask, run: MeasuredRun, digest: str) -> None:
    """Write the region series of a run before and after cleaning, and its frames."""
    entities = run.source.entities
    sources = task.uris([run.source.bold, run.source.confounds])
    facts = {"Sources": sources, "RunDigest": digest}
    write_timeseries(task, run, digest)
    write_cleaned(task, entities, run.plain, facts)
    write_frames(task, entities, run.plain, facts)


def _write_parcellation(
    task: SessionTask,
    group: RunGroup,
    parcellation: str,
    *,
    flavors: Sequence[Flavor],
    runs: Sequence[MeasuredRun],
    digest: str,
) -> None:
    """Write coverage of one parcellation, and connectomes of its flavors."""
    settings = task.settings.functional
    coverage = np.min([run.series.coverage[parcellation] for run in runs], axis=0)
    tsnr = np.mean(
        [temporal_snr(run.series.means[parcellation], run.plain.kept) for run in runs], axis=0
    )
    write_coverage(task, group, parcellation, coverage=coverage, tsnr=tsnr, runs=runs)
    missing = find_uncovered(coverage, settings.min_coverage)
    judged = judge_length(
        f"{task.label}, {parcellation}",
        [run.plain for run in runs],
        missing,
        tsnr=tsnr,
        min_minutes=settings.min_minutes,
    )
    regions = task.parcellation(parcellation)
    judged |= region_sidecar(regions, missing)
    doubts = list_doubts(group.labels[parcellation].path, regions)
    doubts += list_form_doubts(*(path for run in runs for path in run.source.files))
    judged["Warnings"] = [*doubts, *group.list_left_out(), *judged["Warnings"]]
    saved_ridges = read_saved_ridges(task.settings.data.output_dir)
    for flavor in flavors:
        if flavor.processing == GSR and any(run.gsr is None for run in runs):
            continue
        cleaned = [run.cleaned(flavor) for run in runs]
        square, facts = compute_connectome(
            flavor, cleaned, missing, settings.pcorr_lambda, saved_ridges=saved_ridges
        )
        # of the very λ that was taken: a group run may have saved another one since the plan
        own = add_ridge(digest, flavor, settings.pcorr_lambda, saved_ridges)
        facts |= judged | {"RunDigest": own}
        write_connectome(task, group, flavor, square=square, runs=runs, facts=facts)


def _find_regions(known: Known, image: LabelImage) -> tuple[Grid, NDArray[np.int32]]:
    """Regions of a label image on the grid of the first run, which others mostly share."""
    return next((grid, r.labels) for (key, grid), r in known.regions.items() if key == image)


def _facts_of_regions(task: SessionTask, group: RunGroup, image: LabelImage) -> dict[str, object]:
    return {
        "SpatialReference": task.uris([group.runs[0].bold])[0],
        "Sources": task.uris([image.path, *image.transforms]),
    }


def _measure_runs(
    task: SessionTask, group: RunGroup, known: Known, *, with_gsr: bool
) -> tuple[list[MeasuredRun], RunGroup]:
    """Measure the runs of a group; those that are too short are named and left out.

    Raises
    ------
    TooShortError
        If all of them are.
    """
    runs: list[MeasuredRun] = []
    left_out: dict[str, str] = {}
    for run in group.runs:
        try:
            runs.append(_measure_run(task, run, group, known, with_gsr=with_gsr))
        except TooShortError as error:
            if len(left_out) + 1 == len(group.runs):
                raise
            left_out[run.bold.name] = str(error)
            logger.warning("%s: %s is left out: %s", task.label, run.bold.name, error)
    return runs, replace(group, left_out=left_out) if left_out else group


def _measure_run(
    task: SessionTask, run: BoldRun, group: RunGroup, known: Known, *, with_gsr: bool
) -> MeasuredRun:
    series, tr = _read_run(task, run, group, known)
    files = (run.confounds, run.confounds_json)
    settings = task.settings.functional
    cleaned = clean_series(series, files, settings, tr=tr, with_gsr=with_gsr)
    if cleaned.missing_gsr:
        logger.warning("%s: no flavor %s: %s", task.label, GSR, cleaned.missing_gsr)
    return MeasuredRun(run, series, cleaned.plain, cleaned.gsr)


def _read_run(
    task: SessionTask, run: BoldRun, group: RunGroup, known: Known
) -> tuple[RegionSeries, float]:
    bold = open_bold(run.bold, tr=run.metadata.get("RepetitionTime"))
    grid = (bold.shape[:3], bold.affine.tobytes())
    for name, image in group.labels.items():
        if (image, grid) not in known.regions:
            known.regions[image, grid] = regions_on_grid(image, task.parcellation(name), bold)
    masks = {name: run.tissue[name] for name in TISSUES if name in run.tissue}
    for path in (run.mask, *masks.values()):
        if path is not None and (path, grid) not in known.masks:
            known.masks[path, grid] = mask_on_grid(path, bold)
    series = read_region_series(
        bold,
        {name: known.regions[image, grid] for name, image in group.labels.items()},
        brain_mask=None if run.mask is None else known.masks[run.mask, grid],
        tissues={name: known.masks[path, grid] for name, path in masks.items()},
    )
    return series, bold.tr
