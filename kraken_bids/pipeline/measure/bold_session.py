"""The app's BOLD: from the runs of a session to the files of its functional connectomes."""

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path

from kraken_bids.bids.bold_labels import note_other_template
from kraken_bids.bids.index import JOINED
from kraken_bids.bids.inputs import SessionInputs
from kraken_bids.bids.outputs import (
    coverage_path,
    labels_path,
    relmat_path,
    sidecar_path,
)
from kraken_bids.bids.preprocessed_bold import BoldRun
from kraken_bids.cohort.measurements import CLEANING, RUN
from kraken_bids.cohort.part_pairs import PartPair
from kraken_bids.cohort.saved_ridge import add_ridge, read_saved_ridges
from kraken_bids.cohort.sidecar_records import FILE, ORIGIN, SOFTWARE
from kraken_bids.cohort.sidecars import forget_digest, matrix_sidecar, region_sidecar, size_of
from kraken_bids.connectome.matrices import find_missing_regions
from kraken_bids.exceptions import KrakenBidsError
from kraken_bids.flavors import Flavor, list_flavors
from kraken_bids.io.nifti import write_labels
from kraken_bids.io.records import to_sidecar
from kraken_bids.io.writing import write_json, write_relmat, write_table
from kraken_bids.pipeline.measure.bold_records import COVERAGE, LESIONED, TSNR
from kraken_bids.pipeline.measure.bold_runs import can_give
from kraken_bids.pipeline.measure.finished_files import is_up_to_date
from kraken_bids.pipeline.measure.functional_connectomes import (
    FunctionalConnectome,
    MeasuredGroup,
    RunGroup,
    measure_group,
    needs_gsr,
)
from kraken_bids.pipeline.measure.partial_connectomes import (
    list_parts,
    plan_parts,
    write_pairs,
    write_parts,
)
from kraken_bids.pipeline.measure.run_files import write_run
from kraken_bids.pipeline.measure.tasks import SessionTask
from kraken_bids.shared_work import share_work

logger = logging.getLogger(__name__)

NOT_SHARED = (*JOINED, "res")
"""Entities in which runs may differ that are joined; of one space one image of each is used."""


def measure_functional(task: SessionTask) -> None:
    """Measure and write every functional connectome that the inputs of a session allow.

    Raises
    ------
    KrakenBidsError
        If a task in a space cannot be measured; after the others were.
    """

    def measure(group: RunGroup) -> KrakenBidsError | None:
        try:
            flavors, planned, digest = _plan_group(task, group)
            parts = plan_parts(task, group, digest)
            if flavors and not is_up_to_date(task, planned | parts):
                _measure(task, group, flavors, digest)
        except KrakenBidsError as error:
            return error
        return None

    tried = share_work(measure, group_runs(task.session), task.settings.run.omp_nthreads)
    errors = [error for error in tried if error is not None]
    if errors:
        raise type(errors[0])("\n".join(map(str, errors))) from errors[0]


def plan_functional(task: SessionTask) -> dict[Path, str]:
    """List the functional connectomes that a session is asked for, with their digests."""
    planned: dict[Path, str] = {}
    for group in group_runs(task.session):
        planned |= _plan_group(task, group)[1]
    return planned


def group_runs(session: SessionInputs) -> Iterator[RunGroup]:
    """Yield the runs that belong together: all but ``run`` and ``dir`` of their names is equal."""
    groups: dict[tuple[str, frozenset[tuple[str, str]]], list[BoldRun]] = {}
    for run in session.bold_runs:
        shared = frozenset((k, v) for k, v in run.entities.items() if k not in NOT_SHARED)
        groups.setdefault((run.space, shared | {("atlas", run.atlas)}), []).append(run)
    for (space, _), runs in groups.items():
        if runs[0].atlases:
            task = runs[0].entities.get("task", "")
            yield RunGroup(task, space, tuple(runs), runs[0].labels)


def list_group_flavors(task: SessionTask, group: RunGroup) -> list[Flavor]:
    """List the flavors of runs that belong together that a session is asked for."""
    return [
        f
        for f in list_flavors(group.atlases)
        if f.group == "FC" and task.wants(f) and all(can_give(run, f) for run in group.runs)
    ]


def _plan_group(task: SessionTask, group: RunGroup) -> tuple[list[Flavor], dict[Path, str], str]:
    """Flavors of a group that are asked for, their files' digests, and that without saved λ."""
    flavors = list_group_flavors(task, group)
    digest = task.digest("functional", _list_files(group), task.settings.functional)
    output, given = task.settings.data.output_dir, task.settings.functional.pcorr_lambda
    saved = read_saved_ridges(output)
    planned = {
        relmat_path(output, group.entities, f, source=None): add_ridge(digest, f, given, saved)
        for f in flavors
    }
    return flavors, planned, digest


def _list_files(group: RunGroup) -> list[Path]:
    paths: list[Path] = []
    for run in group.runs:
        paths += [*run.files, *run.sidecars]
        paths += [run.confounds_json] if run.confounds_json else []
    for image in group.labels.values():
        paths += image.files
    return paths


def _measure(task: SessionTask, group: RunGroup, flavors: Sequence[Flavor], digest: str) -> None:
    logger.info(
        "%s: %d run(s) of task %s in %s → %s",
        task.label,
        len(group.runs),
        group.task,
        group.space,
        ", ".join(group.atlases),
    )
    settings = task.settings.functional
    measured = measure_group(
        group,
        task.parcellation,
        settings,
        label=task.label,
        with_gsr=needs_gsr(flavors),
        n_threads=task.settings.run.omp_nthreads,
    )
    for run in measured.runs:
        write_run(task, run, digest)
    saved = read_saved_ridges(task.settings.data.output_dir)
    asked, pairs = task.settings.parts, list[PartPair]()
    parts = list_parts(measured, asked, task.label) if asked.is_asked else []
    for name in group.atlases:
        _write_regions(task, measured, name)
        _write_coverage(task, measured, name)
        for found in measured.connectomes(
            task.parcellation(name),
            [flavor for flavor in flavors if flavor.parcellation == name],
            label=f"{task.label}, {name}",
            saved_ridges=saved,
        ):
            # of the very λ that was taken: a group run may have saved another since the plan
            own = add_ridge(digest, found.flavor, settings.pcorr_lambda, saved)
            _write_connectome(task, measured, found, own)
            pairs += write_parts(task, measured, found, parts=parts, digest=own) if parts else []
    write_pairs(task, group, pairs, digest)


def _write_regions(task: SessionTask, measured: MeasuredGroup, name: str) -> None:
    """Write the regions of an atlas as they lie on the grid of the BOLD series."""
    atlas, group = measured.atlases[name], measured.group
    if atlas.labels is None or atlas.affine is None:
        return
    path = labels_path(task.settings.data.output_dir, group.entities, name)
    write_labels(path, atlas.labels, atlas.affine)
    write_json(sidecar_path(path), {
        "Description": "Regions on the grid of the BOLD series: rows of the matrices from 1 on",
        "Atlas": name,
        "NodesFile": f"bids::atlas-{name}_dseg.tsv",
        "SpatialReference": task.uris([measured.runs[0].source.bold])[0],
        ORIGIN.sources: task.uris(group.labels[name].files),
    })  # fmt: skip


def _write_coverage(task: SessionTask, measured: MeasuredGroup, name: str) -> None:
    """Write how much of each region the data cover, and its temporal signal-to-noise ratio."""
    path = coverage_path(task.settings.data.output_dir, measured.group.entities, name)
    write_table(path, measured.atlases[name].table(task.parcellation(name)))
    write_json(sidecar_path(path), {
        "Description": COVERAGE,
        "coverage": {"Description": "smallest share over the runs"},
        "tsnr": {"Description": f"{TSNR}, averaged over runs"},
        **({} if measured.group.runs[0].lesion is None else {"lesioned": LESIONED}),
        CLEANING.coverage_min: measured.settings.min_coverage,
        ORIGIN.sources: task.uris([run.source.bold for run in measured.runs]),
    })  # fmt: skip


def _write_connectome(
    task: SessionTask, measured: MeasuredGroup, found: FunctionalConnectome, digest: str
) -> None:
    """Write one functional connectome and everything that one must know to judge it."""
    flavor, group = found.flavor, measured.group
    path = relmat_path(task.settings.data.output_dir, group.entities, flavor, source=None)
    forget_digest(path)
    write_relmat(path, found.square, header=task.header(flavor.parcellation))
    image = group.labels.get(flavor.parcellation)
    files = [path for run in measured.runs for path in run.source.files]
    cleaning = to_sidecar(found.cleaning)
    if image:
        cleaning[CLEANING.notes] = [
            *note_other_template(image, group.space),
            *cleaning[CLEANING.notes],
        ]
    lesion = group.runs[0].lesion
    regions = task.parcellation(flavor.parcellation)
    write_json(sidecar_path(path), {
        **matrix_sidecar(flavor),
        ORIGIN.predicted: False,
        "NonNegative": False,
        ORIGIN.sources: task.uris([*files, *(image.files if image else ())]),
        "Space": group.space,
        **({"AtlasSpace": image.space} if image else {}),
        **({"LesionMask": task.uris([lesion.path])} if lesion else {}),
        **cleaning,
        "RunsLeftOut": [{RUN.file: name, "Reason": why} for name, why in group.left_out.items()],
        **SOFTWARE,
        **to_sidecar(found.record),
        **region_sidecar(
            regions,
            find_missing_regions(found.square),
            is_known=task.is_known(flavor.parcellation),
        ),
        FILE.run_digest: digest,
        **size_of(path),
    })  # fmt: skip
