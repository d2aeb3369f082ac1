"""The measuring stage: what to measure for each participant, and measuring one session."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from kraken_bids.bids.datasets import Dataset
from kraken_bids.bids.inputs import SessionInputs, find_session_inputs
from kraken_bids.bids.own_atlases import read_own_parcellation
from kraken_bids.bids.query import ExplicitPaths, Query, read_filters
from kraken_bids.bids.write import write_json
from kraken_bids.exceptions import KrakenBidsError
from kraken_bids.parcellations import Parcellation, load_parcellation
from kraken_bids.pipeline.functional import measure_functional
from kraken_bids.pipeline.provenance import Failure, failure_of
from kraken_bids.pipeline.sessions import SessionTask, session_label
from kraken_bids.pipeline.structural import measure_structural
from kraken_bids.settings import Settings, split_atlas

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Plan:
    """What a participant run will measure."""

    tasks: tuple[SessionTask, ...]
    failures: tuple[Failure, ...]
    """Participants whose inputs cannot be used."""
    own_atlases: Mapping[str, Parcellation]
    """Regions of the user's own atlases."""


def plan_sessions(
    settings: Settings, datasets: tuple[Dataset, ...], subjects: Sequence[str]
) -> Plan:
    """Find the inputs of every participant; one whose inputs are unusable fails alone."""
    data = settings.data
    filters = read_filters(data.bids_filter_file) if data.bids_filter_file else {}
    query = Query(data.sessions, data.tasks, filters)
    own = read_own_atlases(settings)
    wanted = [own.get(name) or load_parcellation(name) for name in data.measured_atlases]
    tasks: list[SessionTask] = []
    failures = []
    for subject in subjects:
        try:
            sessions = find_session_inputs(
                datasets,
                subject,
                parcellations=wanted,
                atlas_images={name: split_atlas(w)[0] for name, w in data.atlas_images.items()},
                query=query,
                explicit=_list_explicit(settings),
            )
        except KrakenBidsError as error:
            logger.error("sub-%s: %s", subject, error)
            failures.append(failure_of(error, subject=subject, session=None, stage="inputs"))
            if settings.run.stop_on_first_crash:
                break
            continue
        tasks += [SessionTask(session, settings, datasets, own) for session in sessions]
    return Plan(tuple(tasks), tuple(failures), own)


def read_own_atlases(settings: Settings) -> dict[str, Parcellation]:
    """Regions of the atlases that the user brings, by name.

    Raises
    ------
    InputError
        If an image or its table of names is missing, broken or no parcellation.
    """
    data = settings.data
    return {
        name: read_own_parcellation(name, *split_atlas(data.atlas_images[name]))
        for name in data.own_atlases
    }


def describe_plan(plan: Plan) -> list[str]:
    """Say what would be measured, one line per session and input."""
    lines = []
    for task in plan.tasks:
        session = task.session
        lines += [
            f"{task.label}: {run.bold.name} → "
            + ", ".join(p for s, p in session.bold_labels if s == run.space)
            for run in session.bold_runs
        ]
        lines += [
            f"{task.label}: {tracts.tracks.name} → {', '.join(tracts.labels)}"
            for tracts in session.tractographies
        ]
        lines += [f"{task.label}: note: {note}" for note in (*session.notes, *session.problems)]
    return lines


def measure_session(task: SessionTask) -> list[Failure]:
    """Measure a session; function and structure fail apart, so one half survives the other.

    Returns
    -------
    list of Failure
        Empty where all went well.
    """
    session = task.session
    for note in session.notes:
        logger.warning("%s: %s", task.label, note)
    write_json(
        inputs_path(task.settings.data.output_dir, session),
        {"Notices": [*session.notes, *map(str, session.problems)]},
    )
    errors: list[tuple[str, Exception]] = [("inputs", problem) for problem in session.problems]
    for measure in (measure_functional, measure_structural):
        try:
            measure(task)
        except Exception as error:  # noqa: BLE001 - recorded; the other half goes on
            errors.append(("connectomes", error))
    failures = [
        failure_of(problem, subject=session.subject, session=session.session, stage=stage)
        for stage, problem in errors
    ]
    for failure in failures:
        logger.error("%s: %s", task.label, failure.message)
    return failures


def inputs_path(output_dir: Path, session: SessionInputs) -> Path:
    """Path of the notes on a session's inputs, which its report shows."""
    label = session_label(session.subject, session.session)
    return output_dir / "logs" / f"{label}_inputs.json"


def _list_explicit(settings: Settings) -> ExplicitPaths:
    structural = settings.structural
    return ExplicitPaths(
        tractograms=(structural.tractogram,) if structural.tractogram else (),
        weights=(structural.tractogram_weights,) if structural.tractogram_weights else (),
        parcellations=structural.parcellation_images,
    )
