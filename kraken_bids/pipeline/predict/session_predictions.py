"""Predictions of each session: decoded some sessions at a time, and written into OUTPUT_DIR."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kraken_bids import __version__
from kraken_bids.bids.outputs import (
    latents_path,
    prediction_archive_path,
    relmat_path,
    sidecar_path,
)
from kraken_bids.cohort.latent_tables import write_latent_table
from kraken_bids.cohort.members import Member
from kraken_bids.cohort.recalled_matrices import keep_prediction
from kraken_bids.cohort.sidecar_records import (
    ADAPTATION,
    FILE,
    FIT,
    INPUT_SOURCES,
    SOFTWARE,
    WARNINGS,
    ModelRecord,
    OriginRecord,
)
from kraken_bids.cohort.sidecars import (
    forget_digest,
    hold_session,
    mark_whole,
    predicted_sidecar,
    size_of,
)
from kraken_bids.cohort.sources import PredictionPlan, Source
from kraken_bids.connectome.matrices import edges_to_square
from kraken_bids.exceptions import FlavorError
from kraken_bids.flavors import Flavor
from kraken_bids.io.digests import digest
from kraken_bids.io.files_together import finishing_together
from kraken_bids.io.hdf5 import write_hdf5
from kraken_bids.io.records import to_sidecar
from kraken_bids.io.writing import write_json, write_relmat
from kraken_bids.parcellations import recognize_parcellation
from kraken_bids.pipeline.progress import Progress
from kraken_bids.pipeline.workers import run_tasks

logger = logging.getLogger(__name__)

Array = NDArray[np.float32]

BLOCK = 48
"""Predicted connectomes of one target that are decoded at once: members times sources."""


@dataclass(frozen=True)
class PredictionJob:
    """What is written for one member; travels to a worker."""

    output_dir: Path
    member: Member
    latents: Mapping[str, tuple[int, Array]]
    """Per source: number of inputs, latent [n_latent]."""
    connectomes: Mapping[tuple[str, Flavor], Array]
    """Per source and target: edges [n_edges]."""
    sidecars: Mapping[str, Mapping[str, object]]
    """Per source: what the sidecars of its predictions share."""
    output_format: str
    has_header: bool
    """Whether the names of the regions stand above each matrix."""
    notice: str
    digest: str
    warnings: Sequence[str] = ()
    """What readers must know of all these predictions, in plain words."""


def predict_members(
    plan: PredictionPlan, members: Sequence[Member], executor: Executor
) -> Iterator[tuple[Member, BaseException | None]]:
    """Predict and write every member, one after the other; the files are written by the executor.

    Yields each member as it is written, and what went wrong, or None.
    """
    wanted: list[tuple[int, str]] = []
    n_done = 0
    for index, member in enumerate(members):
        try:
            digest_ = plan.digests[member.label] = digest_predictions(plan, index, member)
            is_done = not plan.settings.run.force and _is_done(plan, index, member, digest_)
        except OSError as problem:
            plan.digests[member.label] = ""
            yield member, problem
            continue
        if is_done:
            logger.debug("%s: predictions up to date, skipped", member.label)
            n_done += 1
            yield member, None
        else:
            wanted.append((index, digest_))
    if n_done:
        logger.info("%d prediction(s) up to date, skipped (--force redoes them)", n_done)
    progress = Progress("predicted", len(wanted))
    for job, _, error in run_tasks(executor, write_predictions, _make_jobs(plan, members, wanted)):
        progress.advance()
        if error is not None:
            plan.digests[job.member.label] = ""
        yield job.member, error


def _make_jobs(
    plan: PredictionPlan, members: Sequence[Member], wanted: Sequence[tuple[int, str]]
) -> Iterator[PredictionJob]:
    """Decode some members at a time, as their files come to be written."""
    n_members = max(1, BLOCK // max(1, len(plan.written_sources)))
    for start in range(0, len(wanted), n_members):
        block = dict(wanted[start : start + n_members])
        decoded = plan.decode(tuple(block))
        for index, digest_ in block.items():
            yield _to_job(
                plan, index, members[index], digest_=digest_, connectomes=decoded.pop(index)
            )


def digest_predictions(plan: PredictionPlan, index: int, member: Member) -> str:
    """Digest of everything that a member's predictions depend on."""
    inputs = [
        # what was read, too: a file may have been replaced under its name
        (
            flavor.name,
            member.measurements[flavor].run_digest or path.stat().st_mtime_ns,
            plan.contents.get(flavor, {}).get(index),
        )
        for flavor, path in sorted(member.connectomes.items())
    ]
    targets = [flavor.name for flavor in plan.targets]
    sources = [source.name for source in plan.written_sources]
    file_format = plan.settings.prediction.output_format
    return digest(
        *("predictions", __version__, plan.model.sha256, inputs),
        *(plan.tell_adaptation(member.label), sources, targets, file_format),
        *(["header"] if plan.settings.run.matrix_header else []),
    )


def _is_done(plan: PredictionPlan, index: int, member: Member, wanted: str) -> bool:
    """Whether every file of a member's predictions is there, made from the same inputs."""
    # each by itself: where there are no locks, two runs may have written some each
    known, found = plan.judged.pop(member.label, ("", ""))
    mark = mark_whole(plan.list_files(index, member.entities), wanted, known=known)
    if mark and mark == known:
        plan.judged[member.label] = [mark, found]
    return bool(mark)


def _to_job(
    plan: PredictionPlan,
    index: int,
    member: Member,
    *,
    digest_: str,
    connectomes: Mapping[tuple[str, Flavor], Array],
) -> PredictionJob:
    has = [source for source in plan.sources if source.n_inputs[index]]
    return PredictionJob(
        output_dir=plan.settings.data.output_dir,
        member=member,
        latents={s.name: (int(s.n_inputs[index]), s.latents[index]) for s in has},
        connectomes=connectomes,
        sidecars={s.name: _source_sidecar(plan, s, index, member) for s in has},
        output_format=plan.settings.prediction.output_format,
        has_header=plan.settings.run.matrix_header,
        notice=plan.notice,
        digest=digest_,
        warnings=plan.warned.list_of(member.label),
    )


def _source_sidecar(
    plan: PredictionPlan, source: Source, index: int, member: Member
) -> dict[str, object]:
    inputs = [flavor for flavor in source.flavors if source.has_input[flavor][index]]
    fits = plan.fits_of(member.label)
    root = plan.settings.data.output_dir
    paths = [member.connectomes[flavor].relative_to(root).as_posix() for flavor in inputs]
    return {
        **to_sidecar(
            OriginRecord(
                source=source.name,
                source_flavors=tuple(flavor.name for flavor in inputs),
                sources=tuple(f"bids::{path}" for path in paths),
            ),
            ModelRecord(
                model=plan.model.name,
                model_sha256=plan.model.sha256,
                model_flavors=len(plan.model.flavors),
                adaptation_mode="none" if plan.adaptation is None else plan.adaptation.mode,
            ),
        ),
        **plan.tell_site(member.label),
        **({ADAPTATION.adaptation_notice: plan.notice} if plan.notice else {}),
        ADAPTATION.adaptation: {
            flavor.name: {
                FIT.b0: fits[flavor].b0,
                FIT.b1: fits[flavor].b1,
                FIT.r2: fits[flavor].r2,
                FIT.cohort_size: fits[flavor].n_subjects or "n/a",
            }
            for flavor in inputs
            if flavor in fits
        },
        **SOFTWARE,
    }


def write_predictions(job: PredictionJob) -> None:
    """Write a member's predicted connectomes, then its latents, whose sidecar says all is done.

    Runs that write the same session take turns, so that its files are of one of them.

    Raises
    ------
    FlavorError
        If the model can read none of the member's connectomes.
    """
    if not job.latents:
        raise FlavorError(
            f"expected a connectome of {job.member.label} that the model can read; found "
            f"{', '.join(f.name for f in sorted(job.member.connectomes))}, whose flavors it does "
            "not know or which lack too many regions. Measure others (--flavors), or give a model "
            f"of these (--model).{''.join(f' {text}' for text in job.warnings)}"
        )
    with hold_session(job.output_dir, job.member.label):
        latents = latents_path(job.output_dir, job.member.subject, job.member.session)
        forget_digest(latents)
        write = _write_archive if job.output_format == "h5" else _write_matrices
        with finishing_together():
            write(job)
            _write_latents(job, latents)


def _write_matrices(job: PredictionJob) -> None:
    for (source, flavor), edges in job.connectomes.items():
        path = relmat_path(job.output_dir, job.member.entities, flavor, source=source)
        known = recognize_parcellation(flavor.parcellation) if job.has_header else None
        names = () if known is None else known.region_names
        write_relmat(path, edges_to_square(edges, diagonal=flavor.diagonal), header=names)
        keep_prediction(path, edges)
        facts = predicted_sidecar(flavor) | dict(job.sidecars[source])
        write_json(sidecar_path(path), facts | _end_sidecar(job, path))


def _write_latents(job: PredictionJob, path: Path) -> None:
    latents = {name: row for name, (_, row) in job.latents.items()}
    write_latent_table(path, latents, [n for n, _ in job.latents.values()])
    write_json(
        sidecar_path(path),
        {
            "Description": "Latent vector of each source: the mean latent of its input flavors",
            "source": {"Description": "fusion of several flavors, or one flavor"},
            "n_inputs": {"Description": "number of measured flavors that were averaged"},
            INPUT_SOURCES: {name: dict(facts) for name, facts in job.sidecars.items()},
            **SOFTWARE,
            **({ADAPTATION.adaptation_notice: job.notice} if job.notice else {}),
            **_end_sidecar(job, path),
        },
    )


def _write_archive(job: PredictionJob) -> None:
    """One HDF5 file: a group per source, in it a square dataset per target flavor."""
    path = prediction_archive_path(job.output_dir, job.member.subject, job.member.session)
    with write_hdf5(path) as file:
        for (source, flavor), edges in job.connectomes.items():
            square = edges_to_square(edges, diagonal=flavor.diagonal)
            file.create_dataset(
                f"{source}/{flavor.name}",
                data=square.astype(np.float32),
                compression="gzip",
                compression_opts=1,
                shuffle=True,
            )
    write_json(
        sidecar_path(path),
        {
            "Description": "Predicted connectomes: /SOURCE/FLAVOR, square",
            INPUT_SOURCES: {name: dict(facts) for name, facts in job.sidecars.items()},
            **_end_sidecar(job, path),
        },
    )


def _end_sidecar(job: PredictionJob, path: Path) -> dict[str, object]:
    """Fields with which every sidecar ends: warnings, and what vouches for the file."""
    warned = {WARNINGS: list(job.warnings)} if job.warnings else {}
    return {**warned, **size_of(path), FILE.run_digest: job.digest}
