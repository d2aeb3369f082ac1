"""The measuring stage: one session of one participant, function and structure apart."""

import logging
from pathlib import Path

from kraken_bids.bids.inputs import SessionInputs
from kraken_bids.bids.write import write_json
from kraken_bids.pipeline.connectomes.functional import measure_functional
from kraken_bids.pipeline.connectomes.registration import draw_registration_pictures
from kraken_bids.pipeline.connectomes.structural import measure_structural
from kraken_bids.pipeline.provenance import Failure, failure_of
from kraken_bids.pipeline.sessions import SessionTask, session_label

logger = logging.getLogger(__name__)


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
    draw_registration_pictures(task)
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
