"""Connectomes of parts of the data, each run and the first minutes, beside that of all."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kraken_bids.bids.outputs import (
    SINGLE_RUN,
    name_minutes,
    reliability_path,
    relmat_path,
    sidecar_path,
)
from kraken_bids.cohort.measurements import CleaningRecord, FunctionalRecord
from kraken_bids.cohort.part_pairs import OF, PartPair, compare_edges
from kraken_bids.cohort.sidecar_records import FILE, ORIGIN, SOFTWARE
from kraken_bids.cohort.sidecars import forget_digest, matrix_sidecar, region_sidecar, size_of
from kraken_bids.connectome.functional.bold_quality import (
    FrameQuality,
    average_frames,
    correlation_noise,
    explain_shortness,
)
from kraken_bids.connectome.matrices import find_missing_regions, square_to_edges
from kraken_bids.io.digests import digest as digest_of
from kraken_bids.io.records import to_sidecar, write_records
from kraken_bids.io.writing import write_json, write_relmat
from kraken_bids.part_settings import ALL, PartSettings
from kraken_bids.pipeline.measure.functional_connectomes import (
    FunctionalConnectome,
    MeasuredGroup,
    RunGroup,
    correlate,
)
from kraken_bids.pipeline.measure.tasks import SessionTask

logger = logging.getLogger(__name__)

MIN_FRAMES = 10
"""Fewer say nothing at all."""


@dataclass(frozen=True)
class Part:
    """A part of the volumes of a group that count."""

    name: str
    """``run-01``, ``5min`` or ``all``."""
    desc: str
    """``desc-`` of its files; '' for all, whose file has none."""
    entities: Mapping[str, str]
    frames: slice
    """Of the volumes that count, one run after another."""
    runs: slice
    """Runs that have some of them."""


def plan_parts(task: SessionTask, group: RunGroup, digest: str) -> dict[Path, str]:
    """Path of the table on the parts of a group and its digest; nothing unless they are asked."""
    asked = task.settings.parts
    if not asked.is_asked:
        return {}
    path = reliability_path(task.settings.data.output_dir, group.entities, group.runs[0].atlas)
    return {path: digest_of(digest, asked.per_run, asked.durations)}


def list_parts(measured: MeasuredGroup, asked: PartSettings, label: str) -> list[Part]:
    """Parts of a group that are asked for, and all; those that it is too short for are said."""
    group, runs = measured.group, measured.runs
    stops = np.cumsum([run.plain.n_used for run in runs])
    parts = []
    if asked.per_run and len(runs) > 1:
        for k, (run, stop) in enumerate(zip(runs, stops, strict=True)):
            own = run.source.entities
            name = "_".join(f"{key}-{own[key]}" for key in ("dir", "run") if key in own)
            frames = slice(int(stop) - run.plain.n_used, int(stop))
            parts.append(Part(name or f"run {k + 1}", SINGLE_RUN, own, frames, slice(k, k + 1)))
    times = _list_times(measured)
    for minutes in asked.durations:
        # a volume that ends a rounding error later counts
        n_frames = int(np.searchsorted(times, minutes + 1e-9, side="right")) - 1
        if times[-1] < minutes - 1e-9 or n_frames < MIN_FRAMES:
            logger.warning(
                "%s: no connectome of the first %g minutes: %.2f minutes count",
                label, minutes, times[-1],
            )  # fmt: skip
            continue
        last = int(np.searchsorted(stops, n_frames))
        name = name_minutes(minutes)
        parts.append(Part(name, name, group.entities, slice(0, n_frames), slice(0, last + 1)))
    return [*parts, Part(ALL, "", group.entities, slice(0, int(stops[-1])), slice(0, len(runs)))]


def _list_times(measured: MeasuredGroup) -> NDArray[np.float64]:
    """Minutes up to the start of the first volume that counts, 0, and the end of every one."""
    steps = [np.full(run.plain.n_used, run.plain.tr / 60) for run in measured.runs]
    return np.cumsum(np.concatenate([[0.0], *steps]))


def write_parts(
    task: SessionTask,
    measured: MeasuredGroup,
    whole: FunctionalConnectome,
    *,
    parts: Sequence[Part],
    digest: str,
) -> list[PartPair]:
    """Write the connectomes of the parts of a flavor; how alike they and the whole are."""
    flavor, ridge = whole.flavor, whole.record.lambda_
    squares = {ALL: whole.square}
    for part in parts:
        if part.name != ALL:
            squares[part.name] = correlate(whole.series[part.frames], flavor, ridge)
            _write_part(task, measured, whole, part, square=squares[part.name], digest=digest)
    edges = {name: square_to_edges(square) for name, square in squares.items()}
    times = _list_times(measured)
    return [_pair(flavor.name, two, times, edges) for two in combinations(parts, 2)]


def _pair(
    flavor: str,
    two: tuple[Part, Part],
    times: NDArray[np.float64],
    edges: Mapping[str, NDArray[np.floating]],
) -> PartPair:
    first, second = two
    start = max(first.frames.start, second.frames.start)
    stop = min(first.frames.stop, second.frames.stop)
    n_edges, correlation, difference = compare_edges(edges[first.name], edges[second.name])
    return PartPair(
        flavor,
        first.name,
        second.name,
        first_minutes=round(_last(times, first.frames), 3),
        second_minutes=round(_last(times, second.frames), 3),
        shared_minutes=round(_last(times, slice(start, max(start, stop))), 3),
        n_edges=n_edges,
        correlation=round(correlation, 5),
        difference=round(difference, 5),
    )


def _last(times: NDArray[np.float64], frames: slice) -> float:
    return float(times[frames.stop] - times[frames.start])


def _write_part(
    task: SessionTask,
    measured: MeasuredGroup,
    whole: FunctionalConnectome,
    part: Part,
    *,
    square: NDArray[np.float64],
    digest: str,
) -> None:
    """Write one matrix, which no model and no group level reads, and its sidecar."""
    flavor, output = whole.flavor, task.settings.data.output_dir
    path = relmat_path(output, part.entities, flavor, source=None, part=part.desc)
    forget_digest(path)
    write_relmat(path, square, header=task.header(flavor.parcellation))
    missing = find_missing_regions(square)
    cleaning, record = _describe_part(measured, whole, part, n_regions=int((~missing).sum()))
    sources = [run.source.bold for run in measured.runs[part.runs]]
    write_json(sidecar_path(path), {
        **matrix_sidecar(flavor),
        ORIGIN.predicted: False,
        "NonNegative": False,
        "Part": part.name,
        "PartDescription": "of a part of the data; no input of predictions or of the group level",
        ORIGIN.sources: task.uris(sources),
        "Space": measured.group.space,
        **to_sidecar(cleaning),
        **SOFTWARE,
        **to_sidecar(record),
        **region_sidecar(
            task.parcellation(flavor.parcellation),
            missing,
            is_known=task.is_known(flavor.parcellation),
        ),
        FILE.run_digest: digest,
        **size_of(path),
    })  # fmt: skip


def _describe_part(
    measured: MeasuredGroup, whole: FunctionalConnectome, part: Part, *, n_regions: int
) -> tuple[CleaningRecord, FunctionalRecord]:
    minutes = _last(_list_times(measured), part.frames)
    n_frames = part.frames.stop - part.frames.start
    mean_fd, mean_dvars = average_frames(_list_frames(measured, part))
    cleaning = replace(
        whole.cleaning,
        runs=whole.cleaning.runs[part.runs],
        mean_fd=round(mean_fd, 5),
        mean_dvars=round(mean_dvars, 5),
        effective_duration=round(60 * minutes, 3),
        notes=(*whole.cleaning.notes, "each run was cleaned as a whole, before it was cut"),
    )
    record = replace(
        whole.record,
        frames=n_frames,
        correlation_noise=round(correlation_noise(n_frames), 5),
        warnings=explain_shortness(
            n_frames=n_frames,
            n_regions=n_regions,
            minutes=minutes,
            min_minutes=measured.settings.min_minutes,
        ),
    )
    return cleaning, record


def _list_frames(measured: MeasuredGroup, part: Part) -> list[FrameQuality]:
    """Frames of every run of a part, up to the last one that counts in it."""
    found, left = [], part.frames.stop - part.frames.start
    for run in measured.runs[part.runs]:
        counting = np.flatnonzero(run.plain.kept)
        n_used = min(left, len(counting))
        is_whole = n_used == len(counting)
        stop = run.plain.n_volumes if is_whole else int(counting[n_used - 1]) + 1
        found.append(run.plain.frames.until(stop))
        left -= n_used
    return found


def write_pairs(
    task: SessionTask, group: RunGroup, pairs: Sequence[PartPair], digest: str
) -> None:
    """Write how alike the parts of a group are."""
    for path, own in plan_parts(task, group, digest).items():
        write_records(
            path,
            [PartPair],
            [[pair] for pair in pairs],
            description="How alike connectomes of parts of the data are",
            facts={FILE.run_digest: own, OF: digest},
        )
