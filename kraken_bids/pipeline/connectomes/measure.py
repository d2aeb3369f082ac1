"""The measuring stage: one session of one participant, function and structure apart."""

import logging

from kraken_bids.bids.write import write_json
from kraken_bids.pipeline.connectomes.functional import measure_functional, plan_functional
from kraken_bids.pipeline.connectomes.registration import draw_registration_pictures
from kraken_bids.pipeline.connectomes.structural import measure_structural, plan_structural
from kraken_bids.pipeline.provenance import Failure, failure_of
from kraken_bids.pipeline.sessions import SessionTask
from kraken_bids.pipeline.standing import note_standing, record_path, tell_notices

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
    # before the first file changes, so that a run that is stopped leaves nothing undecided
    noted = note_standing(task, plan_functional(task) | plan_structural(task))
    notices = [*session.notes, *map(str, session.problems), *tell_notices(noted)]
    write_json(
        record_path(task.settings.data.output_dir, session.subject, session.session),
        {"Notices": notices, **noted},
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
