"""The group level: adaptation on everyone in OUTPUT_DIR, latents, predictions, metrics, report."""

import logging
from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import replace

from kraken_bids.bids.outputs import find_sessions
from kraken_bids.cohort.failures import Failure, going_on
from kraken_bids.cohort.from_dataset import (
    MeasuredCohort,
    Member,
    is_asked,
    list_members,
    read_cohort,
)
from kraken_bids.cohort.projections import Cohort, Projected
from kraken_bids.cohort.sources import PredictionPlan
from kraken_bids.cohort.warned import Warned, write_group_warnings
from kraken_bids.exceptions import InputError
from kraken_bids.io.files import remove_leftovers
from kraken_bids.parcellations import list_parcellations
from kraken_bids.pipeline.check.cohort_scores import score_members
from kraken_bids.pipeline.check.group_tables import (
    find_outliers,
    write_latents,
    write_means,
    write_metrics,
    write_outliers,
    write_quality,
    write_verdicts,
)
from kraken_bids.pipeline.check.input_quality import encoded_of, judge_inputs
from kraken_bids.pipeline.check.kept_results import Kept, keep_results
from kraken_bids.pipeline.check.prediction_quality import (
    Judge,
    find_mismatched,
    judge_predictions,
    withdraw_verdicts,
)
from kraken_bids.pipeline.check.qcfc import write_qcfc
from kraken_bids.pipeline.check.quality_sidecars import Judgement, write_judgement
from kraken_bids.pipeline.participant import (
    NOT_REDRAWN,
    collect_failures,
    load_model_of,
    plan_cohort,
    prepare_output,
    report_end,
    tidy,
)
from kraken_bids.pipeline.predict.fitted_subjects import fit_on_whom
from kraken_bids.pipeline.provenance import exit_code_of, follow_run, start_run, write_failures
from kraken_bids.pipeline.refit import refit_partial_correlations
from kraken_bids.pipeline.reports import draw_cohort, draw_subjects
from kraken_bids.pipeline.requests import check_labels
from kraken_bids.pipeline.workers import open_executor
from kraken_bids.settings import Settings

logger = logging.getLogger(__name__)


def run_group(settings: Settings) -> int:
    """Run the group level on every participant that has measured connectomes in OUTPUT_DIR.

    Returns
    -------
    int
        Exit code, as of :func:`~kraken_bids.pipeline.participant.run_participants`.

    Raises
    ------
    KrakenBidsError
        Where nothing can be done for anyone.
    """
    output = settings.data.output_dir
    members = _find_members(settings)
    if settings.run.dry_run:
        for member in members:
            logger.info("would use %s: %d flavors", member.label, len(member.connectomes))
        return 0
    run = start_run(settings, "group")
    subjects = list(dict.fromkeys(member.subject for member in members))
    problems: list[Exception] = []
    with follow_run(run):
        prepare_output(settings, datasets=(), problems=problems)
        remove_leftovers(output)
        failures: list[Failure] = []
        with open_executor(settings.run, run.log) as executor:
            if not settings.run.reports_only:
                if settings.run.refit_pcorr:
                    failures += refit_partial_correlations(settings, members)
                    # those that a refit that was stopped had left unfinished are among them now
                    members = _find_members(settings)
                if _are_of_models(members):
                    with going_on(problems):
                        _predict(settings, members, executor, failures, problems=problems)
                else:
                    logger.warning(
                        "no model knows the atlases of OUTPUT_DIR: quality only, no predictions"
                    )
                    with going_on(problems):
                        nobody = Projected(Cohort((), {}), {})
                        write_quality(output, members, nobody, {}, inputs={})
                with going_on(problems):
                    write_qcfc(output, members, anew=settings.run.force)
            kept = NOT_REDRAWN if settings.run.reports_only else NOT_REDRAWN[:2]
            with going_on(problems):  # before the pages, which say what failed
                write_failures(run, failures, subjects=subjects, kept_stages=kept)
            with going_on(problems):
                draw_cohort(settings, members)
            failures += draw_subjects(settings, members, executor)
        write_failures(run, failures, subjects=subjects, kept_stages=kept)
        tidy(output, [failure.subject for failure in failures])
        report_end(failures, len(subjects))
        if problems:
            raise problems[0]
    return exit_code_of(failures, len(subjects))


def _predict(
    settings: Settings,
    members: tuple[Member, ...],
    executor: Executor,
    failures: list[Failure],
    *,
    problems: list[Exception],
) -> None:
    """Adapt, predict and score everyone.

    Who fails is added to the failures, and what cannot be written of the group as a whole to the
    problems.
    """
    output = settings.data.output_dir
    model = load_model_of(settings)
    read = read_cohort(model, members, fit_on=fit_on_whom(settings, members), failures=failures)
    plan, cohort = plan_cohort(settings, model, read, is_group=True)
    with going_on(problems):
        write_group_warnings(output, plan.warned.everyone)
    failures += collect_failures(plan, members, executor)
    with going_on(problems):
        write_latents(output, members, plan.sources)
    with going_on(problems):
        write_means(output, model, read)
    with going_on(problems):
        write_outliers(output, find_outliers(members, plan.sources))
    kept = keep_results(output, read, anew=settings.run.force)
    _judge(plan, cohort, kept, failures, problems=problems)


def _judge(
    plan: PredictionPlan,
    cohort: MeasuredCohort,
    kept: Kept,
    failures: list[Failure],
    *,
    problems: list[Exception],
) -> None:
    """Judge inputs and predictions, for tables and sidecars."""
    output, members = plan.settings.data.output_dir, cohort.members
    encoded = encoded_of(plan, members)
    scores = score_members(
        plan.model,
        members,
        plan.sources,
        adaptation=plan.adaptation,
        judged=[source.name for source in plan.written_sources],
        kept=kept,
        failures=encoded.failures,
    )
    with going_on(problems):
        write_metrics(output, scores)
    inputs = judge_inputs(encoded, correlates=not scores.cross_modal, kept=kept)
    failures += dict.fromkeys(encoded.failures)
    judge = Judge(members, scores.evidence, inputs)
    verdicts = judge_predictions(judge, plan.written_sources, plan.targets)
    mismatched = find_mismatched(members, verdicts)
    verdicts = withdraw_verdicts(verdicts, mismatched)
    with going_on(problems):
        write_verdicts(output, members, verdicts)
    own = {members[index].label: (text,) for index, text in mismatched.items()}
    warned = replace(plan, warned=plan.warned.join(Warned(own=own)))
    found = Judgement(inputs, scores.cross_modal, verdicts)
    failures += write_judgement(warned, members, found)
    with going_on(problems):
        write_quality(output, members, cohort, scores.cross_modal, inputs=inputs)


def _are_of_models(members: Sequence[Member]) -> bool:
    """Whether anyone has a connectome of an atlas that a model may know."""
    known = list_parcellations()
    return any(flavor.parcellation in known for m in members for flavor in m.connectomes)


def _find_members(settings: Settings) -> tuple[Member, ...]:
    data = settings.data
    found = list_members(data.output_dir, data.participants or None)
    everyone = find_sessions(data.output_dir) if data.participants or data.sessions else []
    if everyone:
        subjects = {subject for subject, _ in everyone}
        check_labels("--participant-label", data.participants, subjects, "OUTPUT_DIR")
        sessions = {session for _, session in everyone if session}
        check_labels("--session-id", data.sessions, sessions, "OUTPUT_DIR")
    members = tuple(member for member in found if is_asked(member, data.sessions))
    if not members:
        asked = [*(f"sub-{label}" for label in data.participants)]
        asked += [f"ses-{label}" for label in data.sessions]
        whom = f" of {', '.join(asked)}" if asked else ""
        raise InputError(
            f"group: expected measured connectomes{whom} in {data.output_dir} "
            "(sub-*/func|dwi/*_relmat.dense.tsv); found none. Run the participant level first."
        )
    return members
