"""From latents to the predicted connectomes of each participant, some participants at a time."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Executor

import numpy as np
from numpy.typing import NDArray

from kraken_bids import __version__
from kraken_bids.bids.outputs import latents_path, prediction_archive_path, relmat_path
from kraken_bids.cohort.from_dataset import Member
from kraken_bids.cohort.prediction_plan import PredictionPlan
from kraken_bids.cohort.sidecars import are_whole
from kraken_bids.cohort.sources import Source
from kraken_bids.flavors import Flavor
from kraken_bids.io.digests import digest
from kraken_bids.pipeline.predict.session_files import PredictionJob, write_predictions
from kraken_bids.pipeline.progress import Progress
from kraken_bids.pipeline.workers import run_tasks

logger = logging.getLogger(__name__)

Array = NDArray[np.float32]

BLOCK = 48
"""Predicted connectomes of one target that are decoded at once: members times sources."""


def predict_members(
    plan: PredictionPlan, members: Sequence[Member], executor: Executor
) -> Iterator[tuple[Member, BaseException | None]]:
    """Predict and write every member, one after the other; the files are written by the executor.

    Yields
    ------
    member, error
        As each one is written; error is None where all went well.
    """
    wanted: list[tuple[int, str]] = []
    n_done = 0
    for index, member in enumerate(members):
        try:
            digest_ = plan.digests[member.label] = digest_predictions(plan, member)
            is_done = not plan.settings.run.force and _is_done(plan, index, member, digest_)
        except OSError as problem:
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
        decoded = decode_members(plan, tuple(block))
        for index, digest_ in block.items():
            yield _to_job(
                plan, index, members[index], digest_=digest_, connectomes=decoded.pop(index)
            )


def decode_members(
    plan: PredictionPlan, indices: Sequence[int]
) -> dict[int, dict[tuple[str, Flavor], Array]]:
    """Predicted edges ``[n_edges]`` of some members, by source and target.

    They are decoded together, target after target, which costs little more than one alone.
    """
    decoded: dict[int, dict[tuple[str, Flavor], Array]] = {index: {} for index in indices}
    for target in plan.targets:
        for source in plan.written_sources:
            rows = [index for index in indices if source.n_inputs[index]]
            for index, edges in zip(rows, source.predict(plan.model, target, rows), strict=True):
                decoded[index][source.name, target] = edges
    return decoded


def digest_predictions(plan: PredictionPlan, member: Member) -> str:
    """Digest of everything that a member's predictions depend on."""
    inputs = [
        (flavor.name, member.measurements[flavor].run_digest or path.stat().st_mtime_ns)
        for flavor, path in sorted(member.connectomes.items())
    ]
    targets = [flavor.name for flavor in plan.targets]
    sources = [source.name for source in plan.written_sources]
    file_format = plan.settings.prediction.output_format
    return digest(
        "predictions",
        __version__,
        plan.model.sha256,
        inputs,
        plan.adapted,
        sources,
        targets,
        file_format,
        *(["header"] if plan.settings.run.matrix_header else []),
    )


def _is_done(plan: PredictionPlan, index: int, member: Member, wanted: str) -> bool:
    """Whether every file of a member's predictions is there, made from the same inputs."""
    output = plan.settings.data.output_dir
    latents = latents_path(output, member.subject, member.session)
    if plan.settings.prediction.output_format == "h5":
        files = [prediction_archive_path(output, member.subject, member.session)]
    else:
        files = [
            relmat_path(output, member.entities, target, source=source.name)
            for source in plan.written_sources
            if source.n_inputs[index]
            for target in plan.targets
        ]
    # each by itself: where there are no locks, two runs may have written some each
    return are_whole((latents, *files), wanted, plan.fingerprints)


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
    fits = {} if plan.adaptation is None else plan.adaptation.flavors
    root = plan.settings.data.output_dir
    paths = [member.connectomes[flavor].relative_to(root).as_posix() for flavor in inputs]
    return {
        "Predicted": True,
        "Source": source.name,
        "SourceFlavors": [flavor.name for flavor in inputs],
        "Sources": [f"bids::{path}" for path in paths],
        "Model": plan.model.name,
        "ModelSHA256": plan.model.sha256,
        "ModelFlavors": len(plan.model.flavors),
        "AdaptationMode": "none" if plan.adaptation is None else plan.adaptation.mode,
        **({"AdaptationNotice": plan.notice} if plan.notice else {}),
        "Adaptation": {
            flavor.name: {
                "b0": fits[flavor].b0,
                "b1": fits[flavor].b1,
                "R2": fits[flavor].r2,
                "CohortSize": fits[flavor].n_subjects,
            }
            for flavor in inputs
            if flavor in fits
        },
        "Software": "kraken_bids",
        "SoftwareVersion": __version__,
    }
