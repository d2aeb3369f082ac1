"""The measuring stage: one session of one participant, function and structure apart."""

import logging
from functools import partial

from kraken_bids.cohort.failures import Failure, failure_of
from kraken_bids.cohort.standing import note_standing, record_path, tell_notices
from kraken_bids.io.writing import write_json
from kraken_bids.models.devices import single_thread
from kraken_bids.pipeline.measure.bold_session import measure_functional, plan_functional
from kraken_bids.pipeline.measure.registration_pictures import draw_registration_pictures
from kraken_bids.pipeline.measure.tasks import SessionTask
from kraken_bids.pipeline.measure.tractogram_session import measure_structural, plan_structural
from kraken_bids.resources import run_at_once
from kraken_bids.shared_work import share_work

logger = logging.getLogger(__name__)


def measure_session(task: SessionTask) -> list[Failure]:
    """Measure a session; function and structure fail apart, so one half survives the other.

    With several threads of a process (``--omp-nthreads``) both are measured at once, and so are
    spaces and runs of BOLD; each multiplies with one, so that the numbers are the same.

    Returns
    -------
    list of Failure
        Empty where all went well.
    """
    session = task.session
    for note in session.notes:
        logger.warning("%s: %s", task.label, note)
    # before the first file changes, so that a run that is stopped leaves nothing undecided
    noted = note_standing(
        task.settings.data, task.session, plan_functional(task) | plan_structural(task)
    )
    notices = [*session.notes, *map(str, session.problems), *tell_notices(noted)]
    write_json(
        record_path(task.settings.data.output_dir, session.subject, session.session),
        {"Notices": notices, **noted},
    )
    errors: list[tuple[str, Exception]] = [("inputs", problem) for problem in session.problems]
    halves = (measure_structural, measure_functional)  # first that of which less can be shared
    with single_thread():
        tried = share_work(partial(run_at_once, task=task), halves, task.settings.run.omp_nthreads)
    problems = [half.exception() for half in reversed(tried)]
    errors += [("connectomes", one) for one in problems if isinstance(one, Exception)]
    errors += [("pictures", problem) for problem in draw_registration_pictures(task)]
    failures = [
        failure_of(problem, subject=session.subject, session=session.session, stage=stage)
        for stage, problem in errors
    ]
    for failure in failures:
        logger.error("%s: %s", task.label, failure.message)
    return failures
