"""Whole volumes of every participant decoded: ``participant --analysis decode-volumes``."""

import logging
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from kraken_bids import __version__
from kraken_bids.bids.names import session_label
from kraken_bids.bids.outputs import session_folder, sidecar_path
from kraken_bids.bids.volume_runs import VolumeSource, find_volume_runs
from kraken_bids.cohort.failures import Failure, failing_alone, record
from kraken_bids.cohort.sidecars import hold_session, read_digest
from kraken_bids.io.digests import digest, file_stamps
from kraken_bids.models.volumes.checkpoint import VolumeModel
from kraken_bids.pipeline.levels import Job
from kraken_bids.pipeline.plan import Plan, read_query
from kraken_bids.pipeline.progress import Progress
from kraken_bids.pipeline.volumes.decoded_run import DecodingRequest, decode_run
from kraken_bids.pipeline.volumes.decoders import read_decoder
from kraken_bids.pipeline.workers import run_tasks
from kraken_bids.settings import Settings

logger = logging.getLogger(__name__)

STAGE = "volumes"


@dataclass(frozen=True)
class VolumeTask:
    """The runs of one participant to decode; travels to a worker."""

    sources: tuple[VolumeSource, ...]
    settings: Settings
    decoder: Path

    @property
    def subject(self) -> str:
        """Label without ``sub-``."""
        return self.sources[0].subject


def decode_participants(job: Job, plan: Plan) -> None:
    """Decode the volumes of every participant; what fails is added to the failures.

    Raises
    ------
    CheckpointError
        If the decoder cannot be read.
    """
    decoder = job.settings.analysis.decoder
    assert decoder is not None  # its absence is refused with the options
    read_decoder(decoder)  # one that cannot be used is said before anybody is begun
    query, tasks = read_query(job.settings), []
    for subject in plan.subjects:
        with failing_alone(job.failures, subject=subject, session=None, stage=STAGE):
            sources = tuple(find_volume_runs(plan.datasets, subject, query))
            tasks.append(VolumeTask(sources, job.settings, decoder))
    progress = Progress("decoded", len(tasks))
    for task, found, error in run_tasks(job.executor, decode_participant, tasks):
        if error is not None:
            record(job.failures, error, subject=task.subject, session=None, stage=STAGE)
        job.failures += found or []
        progress.advance(f"sub-{task.subject}", "decoded" if found == [] else "failed")


def decode_participant(task: VolumeTask) -> list[Failure]:
    """Decode the runs of a participant, each fails alone; what is there already stays."""
    failures: list[Failure] = []
    for source in task.sources:
        with failing_alone(failures, subject=source.subject, session=source.session, stage=STAGE):
            _decode(source, task)
    return failures


def _decode(source: VolumeSource, task: VolumeTask) -> None:
    settings = task.settings
    entities = {"sub": source.subject, "ses": source.session or ""}
    request = DecodingRequest(
        source.bold,
        source.mask,
        session_folder(settings.data.output_dir, entities, "func"),
        has_relevance=settings.analysis.relevance,
        n_threads=max(1, settings.run.omp_nthreads),
    )
    read = file_stamps((source.bold, source.mask, task.decoder))
    now = digest(STAGE, __version__, read, request.has_relevance)
    if not settings.run.force and read_digest(request.path("probabilities")) == now:
        logger.info("%s: decoded already, skipped (--force redoes it)", source.bold.name)
        return
    with hold_session(settings.data.output_dir, session_label(source.subject, source.session)):
        # before the first file changes: a run that is stopped is begun anew
        sidecar_path(request.path("probabilities")).unlink(missing_ok=True)
        decode_run(_recall(task.decoder), replace(request, digest=now))


@cache
def _recall(decoder: Path) -> VolumeModel:
    """Read a decoder once in each process."""
    return read_decoder(decoder)
