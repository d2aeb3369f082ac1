"""What a participant run will measure; found without importing what measures and predicts."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from kraken_bids import bids
from kraken_bids.bids.cleaned_bold import AROMA
from kraken_bids.bids.database import attach_databases
from kraken_bids.bids.datasets import Dataset, find_datasets, find_subjects
from kraken_bids.bids.foreign_layouts import FOREIGN
from kraken_bids.bids.inputs import find_session_inputs
from kraken_bids.bids.query import ExplicitPaths, Query, read_exclusions, read_filters
from kraken_bids.bids.transforms import TemplateOptions
from kraken_bids.cohort.failures import Failure, exit_code_of, record
from kraken_bids.exceptions import InputError, KrakenBidsError, SettingsError
from kraken_bids.models.krakencoder.described_atlases import list_model_atlases
from kraken_bids.parcellations import Parcellation, list_parcellations, load_parcellation
from kraken_bids.pipeline.measure.tasks import SessionTask
from kraken_bids.pipeline.progress import Progress
from kraken_bids.pipeline.requests import check_data_requests
from kraken_bids.settings import DataSettings, Settings, split_atlas

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Plan:
    """What a participant run will measure."""

    datasets: tuple[Dataset, ...]
    """Where inputs were looked for."""
    subjects: tuple[str, ...]
    """Everyone who was asked for."""
    tasks: tuple[SessionTask, ...]
    failures: tuple[Failure, ...]
    """Participants whose inputs cannot be used."""
    custom_atlases: Mapping[str, Parcellation]
    """Regions of custom atlases."""


def plan_subjects(settings: Settings) -> Plan:
    """Plan a run that measures nothing: datasets and participants alone.

    Raises
    ------
    InputError
        If there is no dataset, or no such participant.
    """
    datasets = _find_datasets(settings.data)
    subjects = find_subjects(datasets, settings.data.participants)
    return Plan(datasets, subjects, (), (), {})


def plan_participants(settings: Settings) -> Plan:
    """Find the inputs of every participant; one whose inputs are unusable fails alone.

    Raises
    ------
    InputError
        If there is no dataset, no such participant, or a custom atlas cannot be read.
    SettingsError
        If nobody has what was asked for by name.
    """
    data = settings.data
    datasets = _find_datasets(data)
    for one in datasets:
        if one.pipeline in FOREIGN:
            logger.info("%s: folders as of %s", one.path, FOREIGN[one.pipeline])
    subjects = find_subjects(datasets, data.participants)
    _check_tractograms(settings, len(subjects))
    query = read_query(settings)
    own = read_custom_atlases(settings)
    of_model = list_model_atlases(settings.prediction.model) if own else ()
    check_ridges(settings, (*list_parcellations(), *own))
    wanted = [own.get(name) or load_parcellation(name) for name in data.measured_atlases]
    images = {
        name: image for name, word in data.atlas_images.items() if (image := split_atlas(word)[0])
    }
    tasks, failures = list[SessionTask](), list[Failure]()
    progress = Progress("looked for the inputs of", len(subjects))
    for subject in subjects:
        progress.advance()
        try:
            sessions = find_session_inputs(
                datasets,
                subject,
                parcellations=wanted,
                atlas_images=images,
                query=query,
                explicit=_list_explicit(settings),
            )
            tasks += [
                SessionTask(session, settings, datasets, own, of_model) for session in sessions
            ]
        except (KrakenBidsError, OSError) as error:
            record(failures, _named(error), subject=subject, session=None, stage="inputs")
            if settings.run.stop_on_first_crash:
                break
    check_data_requests(data, [task.session for task in tasks], datasets, subjects)
    return Plan(datasets, subjects, tuple(tasks), tuple(failures), own)


def _find_datasets(data: DataSettings) -> tuple[Dataset, ...]:
    datasets = _leave_out_own(find_datasets(data.bids_dir, data.derivatives), data)
    if data.bids_database_dir:
        datasets = attach_databases(datasets, data.bids_database_dir)
    return datasets


def read_query(settings: Settings) -> Query:
    """Say which data a run was asked for."""
    data = settings.data
    return Query(
        data.sessions,
        data.tasks,
        read_filters(data.bids_filter_file) if data.bids_filter_file else {},
        read_exclusions(data.exclude_runs),
        bold_desc=AROMA if settings.functional.denoise == "ica_aroma" else "preproc",
        denoise=settings.functional.denoise,
    )


def _leave_out_own(datasets: Sequence[Dataset], data: DataSettings) -> tuple[Dataset, ...]:
    """Leave out OUTPUT_DIR, which is found too where it lies in BIDS_DIR: it is no source."""
    own = data.output_dir.resolve()
    return tuple(
        one
        for one in datasets
        if one.path == data.bids_dir or one.is_searched or one.path.resolve() != own
    )


def _named(error: Exception) -> Exception:
    """Say of the system's refusals (a closed folder, a network disk that is gone) what to do."""
    if isinstance(error, KrakenBidsError):
        return error
    return InputError(
        f"expected files of this participant that can be read; reading gave: {error}. Check the "
        "rights of the file or folder, and whether its disk is there."
    )


def read_custom_atlases(settings: Settings) -> dict[str, Parcellation]:
    """Regions of the atlases that the user brings, by name.

    Raises
    ------
    InputError
        If an image or its table of names is missing, broken or no parcellation.
    """
    words = settings.data.atlas_images
    return {
        name: bids.custom_atlases.read_custom_parcellation(name, *split_atlas(words[name]))
        for name in settings.data.custom_atlases
    }


def check_ridges(settings: Settings, known: Sequence[str]) -> None:
    """Refuse a ridge for an atlas that is not among those known.

    Raises
    ------
    SettingsError
        If there is one.
    """
    unknown = [name for name in settings.functional.pcorr_lambda if name not in known]
    if unknown:
        raise SettingsError(
            f"--pcorr-lambda: expected names of atlases among {', '.join(known)}; found "
            f"{', '.join(unknown)}."
        )


def preview_participants(settings: Settings) -> int:
    """Say what a participant run would read (``--dry-run``); returns its exit code.

    Raises
    ------
    InputError
        As :func:`plan_participants`.
    """
    plan = plan_participants(settings)
    for line in describe_plan(plan):
        logger.info("would read %s", line)
    return exit_code_of(plan.failures, len(plan.subjects))


def describe_plan(plan: Plan) -> list[str]:
    """Say what would be measured, one line per session and input."""
    lines = []
    for task in plan.tasks:
        session = task.session
        lines += [
            f"{task.label}: {run.bold.name} → " + ", ".join(run.atlases)
            for run in session.bold_runs
        ]
        lines += [
            f"{task.label}: {tracts.tracks.name} → {', '.join(tracts.labels)}"
            for tracts in session.tractographies
        ]
        lines += [f"{task.label}: note: {note}" for note in (*session.notes, *session.problems)]
    return lines


def _check_tractograms(settings: Settings, n_subjects: int) -> None:
    """Refuse one subject's tractogram, or lesion mask, for several."""
    structural = settings.structural
    for option, path in (
        ("--tractogram", structural.tractogram),
        ("--tractogram-weights", structural.tractogram_weights),
        ("--lesion-mask", settings.data.lesion_mask),
    ):
        if path and "{subject}" not in path and n_subjects > 1:
            raise SettingsError(
                f"{option}: expected {{subject}} in the path for {n_subjects} participants; found "
                f"{path}, which would be everyone's. Write {{subject}} where paths differ, or "
                "give one --participant-label."
            )


def _list_explicit(settings: Settings) -> ExplicitPaths:
    structural = settings.structural
    return ExplicitPaths(
        tractograms=(structural.tractogram,) if structural.tractogram else (),
        weights=(structural.tractogram_weights,) if structural.tractogram_weights else (),
        parcellations=structural.parcellation_images,
        lesion=settings.data.lesion_mask,
        templates=TemplateOptions(
            settings.data.transforms_dir, allows_mismatch=settings.data.allow_template_mismatch
        ),
    )
