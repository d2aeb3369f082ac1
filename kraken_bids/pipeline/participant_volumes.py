"""Whole volumes of every participant decoded: ``participant --analysis decode-volumes``."""

import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import lru_cache
from pathlib import Path

from kraken_bids import __version__
from kraken_bids.bids.names import session_label
from kraken_bids.bids.outputs import session_folder, sidecar_path
from kraken_bids.bids.repetition_time import read_bold_metadata
from kraken_bids.bids.transforms import find_label_space
from kraken_bids.bids.volume_runs import (
    SPACE,
    VolumeSource,
    find_confounds_beside,
    find_volume_runs,
)
from kraken_bids.cohort.decoded_sessions import note_decodings
from kraken_bids.cohort.failures import Failure, exit_code_of, failing_alone, record
from kraken_bids.cohort.sidecars import hold_session, read_digest
from kraken_bids.io.digests import digest, file_stamps
from kraken_bids.models.volumes.architecture import VolumeCleaning
from kraken_bids.models.volumes.checkpoint import VolumeModel
from kraken_bids.parcellations import Parcellation
from kraken_bids.pipeline.levels import Job
from kraken_bids.pipeline.plan import Plan, plan_subjects, read_query
from kraken_bids.pipeline.progress import Progress
from kraken_bids.pipeline.volume_confounds import choose_cleaning, prepare_confounds
from kraken_bids.pipeline.volumes.decoded_run import decode_run
from kraken_bids.pipeline.volumes.decoders import place_labels, read_decoder
from kraken_bids.pipeline.volumes.decoding_request import DecodingRequest
from kraken_bids.pipeline.workers import run_tasks
from kraken_bids.settings import Settings, split_atlas

logger = logging.getLogger(__name__)

STAGE = "volumes"


@dataclass(frozen=True)
class VolumeTask:
    """The runs of one participant to decode; travels to a worker."""

    sources: tuple[VolumeSource, ...]
    settings: Settings
    decoder: Path
    labels: Mapping[str, tuple[Path, Parcellation]] = field(default_factory=dict)
    """Atlas to its label image and regions, to sum relevance in."""

    @property
    def subject(self) -> str:
        """Label without ``sub-``."""
        return self.sources[0].subject


def check_decoding(settings: Settings) -> None:
    """Read the decoder, so that one that cannot be used is said before anything is begun.

    Raises
    ------
    CheckpointError
        If the decoder cannot be read.
    """
    if not settings.run.reports_only:
        choose_cleaning(read_decoder(_decoder_of(settings)), settings.analysis.cleaning)


def _decoder_of(settings: Settings) -> Path:
    decoder = settings.analysis.decoder
    assert decoder is not None  # its absence is refused with the options
    return decoder


def decode_participants(job: Job, plan: Plan) -> None:
    """Decode the volumes of every participant; what fails is added to the failures.

    Raises
    ------
    InputError
        If a label image cannot be read.
    """
    decoder = _decoder_of(job.settings)
    labels = find_region_images(job.settings)
    query, tasks = read_query(job.settings), []
    for subject in plan.subjects:
        with failing_alone(job.failures, subject=subject, session=None, stage=STAGE):
            sources = tuple(find_volume_runs(plan.datasets, subject, query))
            tasks.append(VolumeTask(sources, job.settings, decoder, labels))
    progress = Progress("decoded", len(tasks))
    for task, found, error in run_tasks(job.executor, decode_participant, tasks):
        if error is not None:
            record(job.failures, error, subject=task.subject, session=None, stage=STAGE)
        job.failures += found or []
        progress.advance(f"sub-{task.subject}", "decoded" if found == [] else "failed")


def preview_decoding(settings: Settings) -> int:
    """Say whose runs would be decoded (``--dry-run``); returns the exit code.

    Raises
    ------
    InputError
        If there is no dataset, or no such participant.
    """
    plan, query = plan_subjects(settings), read_query(settings)
    failures: list[Failure] = []
    for subject in plan.subjects:
        with failing_alone(failures, subject=subject, session=None, stage=STAGE):
            for source in find_volume_runs(plan.datasets, subject, query):
                logger.info("would decode %s", source.bold)
    return exit_code_of(failures, len(plan.subjects))


def find_region_images(settings: Settings) -> dict[str, tuple[Path, Parcellation]]:
    """Find the atlases of ``--atlas`` whose image lies in the template of the volumes.

    Those of another space, or with an image for each participant, are left out, which is said.

    Raises
    ------
    InputError
        If an image cannot be read.
    """
    found = {}
    for name, word in settings.data.atlas_images.items():
        image = split_atlas(word)[0]
        space = find_label_space(Path(image)) if image and "{" not in image else "other"
        if space in {"", SPACE}:
            found[name] = word
        else:
            logger.warning(
                "--atlas %s: relevance is not summed in its regions, for which one image in %s is "
                "needed; found %s", name, SPACE, word,
            )  # fmt: skip
    return place_labels(found)


def decode_participant(task: VolumeTask) -> list[Failure]:
    """Decode the runs of a participant, each fails alone; what is there already stays."""
    failures: list[Failure] = []
    planned: dict[VolumeSource, DecodingRequest] = {}
    for source in task.sources:
        with failing_alone(failures, subject=source.subject, session=source.session, stage=STAGE):
            planned[source] = _plan(source, task)
    output = task.settings.data.output_dir
    for session in {source.session for source in planned}:
        own = [request for source, request in planned.items() if source.session == session]
        digests = {request.path("probabilities"): request.digest for request in own}
        # before the first file changes, so that of a run that is stopped it is known what lacks
        note_decodings(output, task.subject, session, digests)
    for source, request in planned.items():
        with failing_alone(failures, subject=source.subject, session=source.session, stage=STAGE):
            _decode(source, request, task)
    return failures


def _plan(source: VolumeSource, task: VolumeTask) -> DecodingRequest:
    """Say what is wanted of a run, by which digest it is known once it is there."""
    settings = task.settings
    entities = {"sub": source.subject, "ses": source.session or ""}
    cleaning = _cleaning_of(task)
    request = DecodingRequest(
        source.bold,
        source.mask,
        session_folder(settings.data.output_dir, entities, "func"),
        has_relevance=settings.analysis.relevance,
        labels=task.labels,
        n_threads=max(1, settings.run.omp_nthreads),
    )
    now = _digest(request, task.decoder, cleaning)
    # what was decoded with relevance stays, whether it is asked for again or not
    more = _digest(replace(request, has_relevance=True), task.decoder, cleaning)
    there = read_digest(request.path("probabilities"), if_whole=True)
    stays = not settings.run.force and there == more
    return replace(request, digest=more if stays else now)


def _decode(source: VolumeSource, request: DecodingRequest, task: VolumeTask) -> None:
    """Decode a run, unless it is decoded already."""
    settings = task.settings
    there = read_digest(request.path("probabilities"), if_whole=True)
    if there == request.digest and not settings.run.force:
        logger.info("%s: decoded already, skipped (--force redoes it)", source.bold.name)
        return
    cleaning = _cleaning_of(task)
    model = replace(_recall(task.decoder), cleaning=cleaning)
    request = replace(request, prepare=prepare_confounds(cleaning, source.bold))
    with hold_session(settings.data.output_dir, session_label(source.subject, source.session)):
        decode_run(model, request)


def _cleaning_of(task: VolumeTask) -> VolumeCleaning:
    return _recall(task.decoder).cleaning.by(task.settings.analysis.cleaning)


def _digest(request: DecodingRequest, decoder: Path, cleaning: VolumeCleaning) -> str:
    """Digest of all that the results of a run follow from."""
    asked = request.labels if request.has_relevance else {}
    images = [image for image, _ in asked.values()]
    regions = [(name, own.region_names, own.labels) for name, (_, own) in asked.items()]
    sidecars = read_bold_metadata(request.bold)[1]  # they say the repetition time
    tables = [find_confounds_beside(request.bold)] if cleaning.takes_confounds else []
    told = [path for path in map(sidecar_path, tables) if path.is_file()]
    read = file_stamps((request.bold, request.mask, decoder, *sidecars, *images, *tables, *told))
    return digest(STAGE, __version__, read, request.has_relevance, regions, asdict(cleaning))


def _recall(decoder: Path) -> VolumeModel:
    """Read a decoder once in each process, as long as its files stay the same."""
    return _read_once(decoder, tuple(file_stamps([decoder])))


@lru_cache(maxsize=1)
def _read_once(decoder: Path, _: tuple[tuple[str, int, int], ...]) -> VolumeModel:
    return read_decoder(decoder)
