"""The group level: adaptation on everyone in OUTPUT_DIR, latents, predictions, metrics, report."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

from kraken_bids.bids.outputs import find_sessions, group_path
from kraken_bids.cohort.decoded_sessions import list_decoded_members
from kraken_bids.cohort.failures import Failure, going_on
from kraken_bids.cohort.from_dataset import (
    MeasuredCohort,
    is_asked,
    list_members,
    read_cohort,
)
from kraken_bids.cohort.members import Member
from kraken_bids.cohort.projections import Cohort, Projected
from kraken_bids.cohort.sources import PredictionPlan
from kraken_bids.cohort.warned import Warned, write_group_warnings
from kraken_bids.exceptions import InputError
from kraken_bids.models.krakencoder.described_atlases import list_model_atlases
from kraken_bids.parcellations import list_parcellations
from kraken_bids.pipeline.calibrated_cohort import calibrate_group
from kraken_bids.pipeline.check.compared_sessions import (
    ControlRules,
    compare_sessions,
    read_control_rules,
)
from kraken_bids.pipeline.check.discordance_record import are_tables_current, digest_cohort
from kraken_bids.pipeline.check.discordance_tables import write_discordance
from kraken_bids.pipeline.check.group_tables import (
    find_outliers,
    write_latents,
    write_means,
    write_metrics,
    write_outliers,
    write_quality,
    write_reliability,
    write_verdicts,
)
from kraken_bids.pipeline.check.input_quality import (
    encoded_of,
    judge_inputs,
    recall_views,
)
from kraken_bids.pipeline.check.kept_results import Kept, KeptProjections, keep_results
from kraken_bids.pipeline.check.pair_calibrations import list_families
from kraken_bids.pipeline.check.prediction_quality import (
    Judge,
    find_mismatched,
    judge_predictions,
    withdraw_verdicts,
)
from kraken_bids.pipeline.check.qcfc import write_qcfc
from kraken_bids.pipeline.check.quality_sidecars import Judgement, write_judgement
from kraken_bids.pipeline.check.site_scores import write_site_scores
from kraken_bids.pipeline.levels import (
    Job,
    run_level,
)
from kraken_bids.pipeline.model_atlases import prepare_regions
from kraken_bids.pipeline.participant import collect_failures, load_model_of, plan_cohort
from kraken_bids.pipeline.predict.fitted_subjects import fit_on_whom
from kraken_bids.pipeline.predict.run_sites import check_sites, read_scored_sites
from kraken_bids.pipeline.refit import refit_partial_correlations
from kraken_bids.pipeline.requests import check_labels
from kraken_bids.pipeline.scored_pairs import ScoreBasis, ScoredPairs, score_pairs
from kraken_bids.scores.quality_control import Verdicts
from kraken_bids.settings import DataSettings, Settings

logger = logging.getLogger(__name__)

Analysis = Callable[[Settings, Sequence[Member], list[Failure]], None]
"""What is computed of everyone besides predictions; failures are added to the list."""
SIDECARS = "sidecars"
"""Name under which is kept which sidecars say already what was found."""
NOBODY = Projected(Cohort((), {}), {})


def run_group(settings: Settings, further: Sequence[Analysis] = ()) -> int:
    """Run the group level on every participant that has measured connectomes in OUTPUT_DIR.

    Parameters
    ----------
    further : sequence of callable
        Analyses besides the predictions, such as
        :func:`~kraken_bids.pipeline.group_communities.write_group_communities`; whoever asks for
        one imports what it needs (torch).

    Returns
    -------
    int
        Exit code, as of :func:`~kraken_bids.pipeline.participant.run_participants`.

    Raises
    ------
    KrakenBidsError
        Where nothing can be done for anyone.
    """
    failed: list[Failure] = []
    members = _find_members(settings, failed)
    check_sites(settings, members)
    if settings.run.dry_run:
        for member in members:
            logger.info("would use %s: %d flavors", member.label, len(member.connectomes))
        return 0
    subjects = list(dict.fromkeys(member.subject for member in members))
    compute = partial(_compute, members=members, failed=failed, further=further)
    return run_level(settings, "group", subjects, compute)


def _compute(
    job: Job,
    members: tuple[Member, ...],
    failed: Sequence[Failure],
    further: Sequence[Analysis],
) -> Sequence[Member]:
    """Predict and judge everyone."""
    settings, output = job.settings, job.settings.data.output_dir
    if settings.run.refit_pcorr and not settings.run.reports_only:
        job.failures += refit_partial_correlations(settings, members)
        # those that were damaged, or that a refit that was stopped had left unfinished, are whole
        failed = list[Failure]()
        members = _find_members(settings, failed)
    job.failures += failed
    if settings.run.reports_only:
        return members
    if "connectomes" in settings.analysis.analysis:
        with going_on(job.problems):
            if _are_of_models(members, list_model_atlases(settings.prediction.model)):
                _predict(job, members)
            else:
                logger.warning(
                    "no model knows the atlases of OUTPUT_DIR: quality only, no predictions"
                )
                write_quality(output, members, NOBODY, {}, inputs={})
        with going_on(job.problems):
            write_qcfc(output, members, anew=settings.run.force)
        with going_on(job.problems):
            write_reliability(output, members, job.failures)
    for analyse in further:  # last: communities are compared with those of predictions
        with going_on(job.problems):
            analyse(settings, members, job.failures)
    return members


def _predict(job: Job, members: tuple[Member, ...]) -> None:
    """Adapt, predict and score everyone."""
    settings, output = job.settings, job.settings.data.output_dir
    model = load_model_of(settings)
    prepare_regions(model, output)
    fit_on = fit_on_whom(settings, members)
    rules = read_control_rules(settings, members)
    families = list_families(settings, members)
    known = KeptProjections(Kept(group_path(output, ""), anew=settings.run.force))
    read = read_cohort(model, members, fit_on=fit_on, failures=job.failures, project=known.project)
    plan, inputs = plan_cohort(settings, model, read, is_group=True)
    kept = keep_results(output, read, anew=settings.run.force)
    plan.judged.update(kept.find(SIDECARS, ()) or {})
    with going_on(job.problems):
        write_group_warnings(output, plan.warned.everyone)
    job.failures += collect_failures(plan, members, job.executor)
    with going_on(job.problems):
        write_latents(output, members, plan.sources)
    with going_on(job.problems):
        write_means(output, model, read)
    with going_on(job.problems):
        write_outliers(output, find_outliers(members, plan.sources))
    with going_on(job.problems):
        labels = inputs.cohort.subjects
        write_site_scores(plan, inputs, *read_scored_sites(settings, plan.adaptation, labels))
    _judge(job, plan, inputs, ScoreBasis(kept, rules, families))


def _judge(
    job: Job,
    plan: PredictionPlan,
    cohort: MeasuredCohort,
    basis: ScoreBasis,
) -> None:
    """Judge inputs and predictions, for tables and sidecars."""
    output, members, kept = plan.settings.data.output_dir, cohort.members, basis.kept
    encoded = encoded_of(plan, members)
    views = recall_views(encoded, kept, correlates=False)
    found = score_pairs(job, plan, cohort, basis, encoded=encoded, views=views)
    scores = found.scores
    with going_on(job.problems):
        metrics = [*scores.metrics, *found.planned.list_metrics()]
        write_metrics(output, replace(scores, metrics=metrics))
    inputs = judge_inputs(encoded, correlates=not scores.cross_modal, kept=kept, views=views)
    job.failures += dict.fromkeys(encoded.failures)
    warned, verdicts = _judge_predictions(plan, members, Judge(members, scores.evidence, inputs))
    with going_on(job.problems):
        write_verdicts(output, members, verdicts)
    judgement = Judgement(inputs, scores.cross_modal, verdicts)
    job.failures += write_judgement(warned, members, judgement)
    kept.keep(SIDECARS, (), plan.judged)
    _write_worth(job, plan, members, found=found, rules=basis.rules)
    with going_on(job.problems):
        write_quality(output, members, cohort, scores.cross_modal, inputs=inputs)


def _write_worth(
    job: Job,
    plan: PredictionPlan,
    members: Sequence[Member],
    *,
    found: ScoredPairs,
    rules: ControlRules,
) -> None:
    """Write calibrated predictions and discordance."""
    with going_on(job.problems):
        job.failures += calibrate_group(
            *(plan, found.planned, found.refused),
            metrics=found.scores.metrics,
            executor=job.executor,
            is_whole=found.is_whole,
        )
    with going_on(job.problems):
        _write_discordance(job, plan, members, found=found, rules=rules)


def _write_discordance(
    job: Job,
    plan: PredictionPlan,
    members: Sequence[Member],
    *,
    found: ScoredPairs,
    rules: ControlRules,
) -> None:
    """Compare everyone with controls, unless the tables are of the same residuals already."""
    output, residuals = plan.settings.data.output_dir, [*found.residuals.found.values()]
    digest = digest_cohort(members, residuals, rules, digests=plan.digests)
    if not job.settings.run.force and are_tables_current(output, members, digest=digest):
        return
    compared = compare_sessions(members, residuals, rules)
    job.failures += write_discordance(
        *(output, members, compared, rules), digests=plan.digests, digest=digest
    )


def _judge_predictions(
    plan: PredictionPlan, members: Sequence[Member], judge: Judge
) -> tuple[PredictionPlan, Verdicts]:
    """Give the verdicts, and the plan with what is to be said of whose scans do not fit."""
    verdicts = judge_predictions(judge, plan.written_sources, plan.targets)
    mismatched = find_mismatched(members, verdicts)
    own = {members[index].label: (text,) for index, text in mismatched.items()}
    warned = replace(plan, warned=plan.warned.join(Warned(own=own)))
    return warned, withdraw_verdicts(verdicts, mismatched)


def _are_of_models(members: Sequence[Member], own: Sequence[str]) -> bool:
    """Whether anyone has a connectome of an atlas that a model may know."""
    known = (*list_parcellations(), *own)
    return any(flavor.parcellation in known for m in members for flavor in m.connectomes)


def _find_members(settings: Settings, failures: list[Failure]) -> tuple[Member, ...]:
    """Find who is asked for; what of them is damaged is added to the failures."""
    data, failed = settings.data, list[Failure]()
    found = list_members(data.output_dir, data.participants or None, failures=failed)
    failures += [one for one in failed if is_asked(one, data.sessions)]
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
        _check_decoded(data)
        raise InputError(
            f"group: expected measured connectomes{whom} in {data.output_dir} "
            "(sub-*/func|dwi/*_relmat.dense.tsv); found none. Run the participant level first."
        )
    return members


def _check_decoded(data: DataSettings) -> None:
    """Raise InputError where what was computed are decoded volumes, which nobody lacks."""
    decoded = list_decoded_members(data.output_dir, data.participants or None)
    if any(is_asked(member, data.sessions) for member in decoded):
        raise InputError(
            f"group: expected measured connectomes in {data.output_dir}; found decoded volumes "
            "alone, which have no group level: all that is known of them is in participants' "
            "files and pages. For connectomes too, run the participant level with --analysis "
            "connectomes."
        )
