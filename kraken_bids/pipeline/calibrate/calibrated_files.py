"""Files of calibrated predictions: one matrix each, or one archive, and the intervals beside."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Executor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from kraken_bids import __version__
from kraken_bids.bids.outputs import (
    calibrated_archive_path,
    find_calibrated,
    intervals_path,
    latents_path,
    relmat_path,
    sidecar_path,
)
from kraken_bids.cohort.failures import Failure, failing_alone, record
from kraken_bids.cohort.members import Member
from kraken_bids.cohort.sidecar_records import FILE
from kraken_bids.cohort.sidecars import (
    hold_session,
    is_whole,
    predicted_sidecar,
    read_digest,
    size_of,
)
from kraken_bids.connectome.matrices import edges_to_square
from kraken_bids.exceptions import InputError
from kraken_bids.flavors import Flavor
from kraken_bids.io.digests import digest
from kraken_bids.io.facts import Facts
from kraken_bids.io.files_together import finishing_together
from kraken_bids.io.hdf5 import write_hdf5
from kraken_bids.io.records import from_sidecar, to_sidecar
from kraken_bids.io.texts import read_json
from kraken_bids.io.writing import write_json, write_relmat
from kraken_bids.parcellations import recognize_parcellation
from kraken_bids.pipeline.calibrate.calibrated_sidecars import describe_calibrated
from kraken_bids.pipeline.calibrate.session_calibrations import (
    CalibratedEdges,
    Key,
    SessionCalibrator,
)
from kraken_bids.pipeline.progress import Progress
from kraken_bids.pipeline.workers import run_tasks
from kraken_bids.scores.calibrated_records import CalibratedRecord

logger = logging.getLogger(__name__)

Records = dict[tuple[int, str, Flavor], CalibratedRecord]
"""By index of the member, source and target."""
STAGE = "predictions"


@dataclass(frozen=True)
class CalibrationJob:
    """What is written for one session; travels to a worker."""

    output_dir: Path
    member: Member
    predicted: str
    """Digest of the raw predictions that were calibrated."""
    edges: Mapping[Key, CalibratedEdges]
    sidecars: Mapping[Key, Mapping[str, Any]]
    output_format: str
    has_header: bool
    digest: str


def write_calibrated(
    calibrator: SessionCalibrator, executor: Executor
) -> tuple[Records, list[Failure]]:
    """Write the calibrated predictions of every session, and take earlier ones away.

    Returns
    -------
    records : dict
        What is known of each, also of those that were there already.
    failures : list of Failure
    """
    plan, members = calibrator.plan, calibrator.around.members
    records: Records = {}
    failures: list[Failure] = []
    wanted: dict[int, str] = {}
    for index, member in enumerate(members):
        if not plan.digests.get(member.label):
            continue  # the raw predictions have failed, which was said
        pairs = calibrator.list_pairs(index)
        own = digest_calibrated(calibrator, index, pairs)
        known = None if plan.settings.run.force else _read_known(calibrator, index, pairs, own)
        if known is None:
            wanted[index] = own
        else:
            records |= {(index, *key): one for key, one in known.items()}
    n_done = len(members) - len(wanted)
    if n_done:
        logger.info("%d calibrated prediction(s) up to date, skipped", n_done)
    progress = Progress("calibrated", len(wanted))
    jobs = _make_jobs(calibrator, wanted, records)
    for job, _, error in run_tasks(executor, write_session, jobs):
        progress.advance()
        if error is not None:
            subject, session = job.member.subject, job.member.session
            record(failures, error, subject=subject, session=session, stage=STAGE)
    return records, failures


def digest_calibrated(calibrator: SessionCalibrator, index: int, pairs: Sequence[Key]) -> str:
    """Digest of everything that a session's calibrated predictions depend on."""
    plan = calibrator.plan
    label = calibrator.around.members[index].label
    return digest(
        "calibrated",
        __version__,
        plan.digests[label],
        calibrator.chosen.sha256,
        [
            (source, target.name, calibrator.find_fitted(index, source, target))
            for source, target in pairs
        ],
        plan.settings.prediction.output_format,
        plan.settings.run.matrix_header,
        list(plan.warned.list_of(label)),
    )


def remove_calibrated(output_dir: Path, members: Sequence[Member]) -> tuple[int, list[Failure]]:
    """Take away what was calibrated of some sessions before.

    Returns
    -------
    n_removed : int
        Of how many sessions.
    failures : list of Failure
        Sessions of which something could not be removed.
    """
    n_removed, failures = 0, list[Failure]()
    for member in members:
        found = find_calibrated(output_dir, member.subject, member.session)
        if not found:
            continue
        with (
            failing_alone(failures, subject=member.subject, session=member.session, stage=STAGE),
            hold_session(output_dir, member.label),
        ):
            _remove(found)
            n_removed += 1
    return n_removed, failures


def _make_jobs(
    calibrator: SessionCalibrator, wanted: Mapping[int, str], records: Records
) -> Iterator[CalibrationJob]:
    """Calibrate some sessions at a time, as their files come to be written."""
    plan = calibrator.plan
    for index, edges in calibrator.calibrate(list(wanted)):
        records |= {(index, *key): one.record for key, one in edges.items()}
        member = calibrator.around.members[index]
        yield CalibrationJob(
            plan.settings.data.output_dir,
            member,
            predicted=plan.digests[member.label],
            edges=edges,
            sidecars={key: describe_calibrated(calibrator, index, *key) for key in edges},
            output_format=plan.settings.prediction.output_format,
            has_header=plan.settings.run.matrix_header,
            digest=wanted[index],
        )


def _list_files(calibrator: SessionCalibrator, index: int, pairs: Sequence[Key]) -> list[Path]:
    """List the files that a session has once it is calibrated."""
    output, member = calibrator.plan.settings.data.output_dir, calibrator.around.members[index]
    if not pairs:
        return []
    intervals = intervals_path(output, member.subject, member.session)
    if calibrator.plan.settings.prediction.output_format == "h5":
        return [intervals, calibrated_archive_path(output, member.subject, member.session)]
    return [intervals, *(_matrix_path(output, member, key) for key in pairs)]


def _read_known(
    calibrator: SessionCalibrator, index: int, pairs: Sequence[Key], wanted: str
) -> dict[Key, CalibratedRecord] | None:
    """Read what is known of a session that is calibrated already; None where it is not."""
    output, member = calibrator.plan.settings.data.output_dir, calibrator.around.members[index]
    files = _list_files(calibrator, index, pairs)
    there = find_calibrated(output, member.subject, member.session)
    if {*there} != {*files, *map(sidecar_path, files)}:
        return None
    contents = []
    for path in files:
        try:
            contents.append(read_json(sidecar_path(path)))
        except InputError:
            return None
        if contents[-1].get(FILE.run_digest) != wanted or not is_whole(path, contents[-1]):
            return None
    by_pair = Facts(contents[0] if contents else None).part("Calibrated")
    return {key: from_sidecar(CalibratedRecord, by_pair.part(_name(key))) for key in pairs}


def write_session(job: CalibrationJob) -> None:
    """Write what was calibrated of one session, and take away what an earlier run has left.

    Nothing is done where another run has predicted the session since.
    """
    member, output = job.member, job.output_dir
    latents = latents_path(output, member.subject, member.session)
    with hold_session(output, member.label), finishing_together():
        if read_digest(latents) != job.predicted:
            logger.info("%s: predicted by another run since, left to it", member.label)
            return
        _remove(find_calibrated(output, member.subject, member.session))
        if not job.edges:
            return
        if job.output_format == "h5":
            _write_archive(job)
        else:
            for key in job.edges:
                _write_matrix(job, key)
        _write_intervals(job)


def _write_matrix(job: CalibrationJob, key: Key) -> None:
    path, (_, target), edges = _matrix_path(job.output_dir, job.member, key), key, job.edges[key]
    known = recognize_parcellation(target.parcellation) if job.has_header else None
    square = edges_to_square(edges.values, diagonal=target.diagonal)
    write_relmat(path, square, header=() if known is None else known.region_names)
    intervals = intervals_path(job.output_dir, job.member.subject, job.member.session)
    facts = predicted_sidecar(target) | dict(job.sidecars[key]) | to_sidecar(edges.record)
    facts |= {"Intervals": f"bids::{intervals.relative_to(job.output_dir).as_posix()}"}
    write_json(sidecar_path(path), facts | size_of(path) | {FILE.run_digest: job.digest})


def _write_archive(job: CalibrationJob) -> None:
    path = calibrated_archive_path(job.output_dir, job.member.subject, job.member.session)
    with write_hdf5(path) as file:
        for (source, target), edges in job.edges.items():
            square = edges_to_square(edges.values, diagonal=target.diagonal)
            file[f"{source}/{target.name}"] = square.astype(np.float32)
    _describe_archive(job, path, "Calibrated predictions: /SOURCE/FLAVOR, square")


def _write_intervals(job: CalibrationJob) -> None:
    path = intervals_path(job.output_dir, job.member.subject, job.member.session)
    with write_hdf5(path) as file:
        for (source, target), edges in job.edges.items():
            for name in ("low", "high"):
                square = edges_to_square(getattr(edges, name), diagonal=target.diagonal)
                file[f"{source}/{target.name}/{name}"] = square.astype(np.float32)
    words = "Ends of the prediction intervals: /SOURCE/FLAVOR/low and /SOURCE/FLAVOR/high, square"
    _describe_archive(job, path, words)


def _describe_archive(job: CalibrationJob, path: Path, words: str) -> None:
    pairs = {
        _name(key): {**job.sidecars[key], **to_sidecar(edges.record)}
        for key, edges in job.edges.items()
    }
    content = {"Description": words, "Calibrated": pairs, **size_of(path)}
    write_json(sidecar_path(path), content | {FILE.run_digest: job.digest})


def _matrix_path(output_dir: Path, member: Member, key: Key) -> Path:
    source, target = key
    return relmat_path(output_dir, member.entities, target, source=source, is_calibrated=True)


def _name(key: Key) -> str:
    return f"{key[0]}/{key[1].name}"


def _remove(paths: Sequence[Path]) -> None:
    """Remove files; sidecars first, so that none vouches for what is gone."""
    for path in sorted(paths, key=lambda path: path.suffix != ".json"):
        with suppress(FileNotFoundError):
            path.unlink()
