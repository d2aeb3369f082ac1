"""The participant level: measure each participant, then predict, then draw the reports."""

import logging
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Executor
from functools import partial
from pathlib import Path

from kraken_bids.cohort.decoded_sessions import list_decoded_members
from kraken_bids.cohort.encoding import encode_cohort
from kraken_bids.cohort.failures import Failure, going_on, record
from kraken_bids.cohort.from_dataset import (
    MeasuredCohort,
    is_asked,
    list_members,
    read_cohort,
)
from kraken_bids.cohort.members import Member
from kraken_bids.cohort.sources import PredictionPlan, build_sources, list_source_names
from kraken_bids.exceptions import InputError
from kraken_bids.flavors import Flavor
from kraken_bids.models.krakencoder.adaptation import list_lacking
from kraken_bids.models.krakencoder.described_atlases import list_model_atlases
from kraken_bids.models.krakencoder.load import load_model
from kraken_bids.models.krakencoder.model import Model
from kraken_bids.pipeline.calibrate.choice_of_calibration import (
    AUTO,
    NONE,
    read_given_calibration,
)
from kraken_bids.pipeline.calibrated_cohort import calibrate_sessions
from kraken_bids.pipeline.check.cohort_doubts import warn_of_inputs, warn_of_unlike
from kraken_bids.pipeline.check.input_quality import encoded_of, judge_inputs
from kraken_bids.pipeline.check.quality_sidecars import Judgement, write_judgement
from kraken_bids.pipeline.levels import (
    Job,
    run_level,
)
from kraken_bids.pipeline.measure.session import measure_session
from kraken_bids.pipeline.model_atlases import prepare_regions
from kraken_bids.pipeline.plan import Plan, plan_participants, plan_subjects
from kraken_bids.pipeline.predict.choice_of_adaptation import (
    choose_adaptation,
    read_given_adaptation,
)
from kraken_bids.pipeline.predict.fitted_subjects import fit_on_whom
from kraken_bids.pipeline.predict.run_sites import check_site_table
from kraken_bids.pipeline.predict.session_predictions import predict_members
from kraken_bids.pipeline.predict.site_adaptations import warn_of_sites
from kraken_bids.pipeline.progress import Progress
from kraken_bids.pipeline.requests import check_sources
from kraken_bids.pipeline.workers import run_tasks
from kraken_bids.settings import DEFAULT_SOURCES, Settings

logger = logging.getLogger(__name__)


Analysis = Callable[[Job, Plan], None]


def run_participants(settings: Settings, further: Sequence[Analysis] = ()) -> int:
    """Run the participant level.

    Parameters
    ----------
    further : sequence of callable
        Analyses besides connectomes, done after them.

    Returns
    -------
    int
        Exit code: 0 all done, 1 some participant failed, or the code of the one reason for which
        nobody got through.

    Raises
    ------
    KrakenBidsError
        Where nothing can be done for anyone: no dataset, no such participant, no usable model.
    """
    measures = "connectomes" in settings.analysis.analysis or not further
    plan = plan_participants(settings) if measures else plan_subjects(settings)
    check_site_table(settings, plan.subjects)
    compute = partial(_compute, plan=plan, further=further, measures=measures)
    return run_level(settings, "participant", plan.subjects, compute, plan=plan)


def _compute(
    job: Job, plan: Plan, further: Sequence[Analysis], *, measures: bool
) -> Sequence[Member]:
    """Measure, predict, and whatever else is asked for."""
    output = job.settings.data.output_dir
    if job.settings.run.reports_only:
        known = _add_decoded(list_members(output, plan.subjects), output, plan)
        _record_absent(job, plan, known)
        return known
    members = _compute_connectomes(job, plan) if measures else []
    for analyse in further:
        with going_on(job.problems):
            analyse(job, plan)
    return _add_decoded(members or list_members(output, plan.subjects), output, plan)


def _add_decoded(members: Sequence[Member], output: Path, plan: Plan) -> list[Member]:
    """Add sessions of which volumes were decoded alone: they have pages too."""
    return [*members, *list_decoded_members(output, plan.subjects, besides=members)]


def _record_absent(job: Job, plan: Plan, members: Sequence[Member]) -> None:
    """Fail those of whom OUTPUT_DIR has nothing that could be drawn."""
    known = {one.subject for one in members} | {one.subject for one in job.failures}
    for subject in (one for one in plan.subjects if one not in known):
        error = InputError(
            f"--reports-only: expected connectomes or decoded volumes of sub-{subject} in "
            f"{job.settings.data.output_dir}; found none that its last run stands for. Run the "
            "participant level without --reports-only."
        )
        record(job.failures, error, subject=subject, session=None, stage="report")


def _compute_connectomes(job: Job, plan: Plan) -> Sequence[Member]:
    """Measure and predict."""
    data = job.settings.data
    # before the long work, so that a model that cannot be used is said at once
    own = set(list_model_atlases(job.settings.prediction.model)) & set(plan.custom_atlases)
    model = load_model_of(job.settings) if data.feeds_model or own else None
    _say_unknown([name for name in plan.custom_atlases if name not in own], model)
    if model is not None:
        prepare_regions(model, data.output_dir)
    job.failures += _measure(job.settings, plan, job.executor)
    failed: list[Failure] = []
    members = list_members(data.output_dir, plan.subjects, failures=failed)
    job.failures += [one for one in failed if is_asked(one, data.sessions)]
    if model is not None:
        asked = [m for m in members if is_asked(m, data.sessions)]
        with going_on(job.problems):
            _predict(job, model, asked)
    return members


def load_model_of(settings: Settings) -> Model:
    """Load the model that a run asks for, and check what else is asked of it."""
    prediction = settings.prediction
    model = load_model(
        prediction.model, transforms=prediction.transforms, device=prediction.device
    )
    singles = [name for name in prediction.sources if name not in {*DEFAULT_SOURCES, "each"}]
    wanted: tuple[Flavor | str, ...] = (*prediction.targets, *singles)
    for flavor in wanted:
        model.n_edges(flavor)
    if prediction.adaptation not in {"auto", "none"}:
        path, mode = Path(prediction.adaptation), prediction.adaptation_mode
        read_given_adaptation(path, model, mode=mode)
    if settings.worth.calibrate not in {AUTO, NONE}:
        read_given_calibration(Path(settings.worth.calibrate), model)
    return model


def _say_unknown(custom_atlases: Iterable[str], model: Model | None) -> None:
    for name in custom_atlases:
        logger.warning(
            "%s: measured, and not used for prediction: no model knows this atlas%s",
            name,
            "" if model is not None else "; no model is loaded",
        )


def _measure(settings: Settings, plan: Plan, executor: Executor) -> list[Failure]:
    failures: list[Failure] = []
    progress = Progress("measured", len(plan.tasks))
    for task, result, error in run_tasks(executor, measure_session, plan.tasks):
        if error is not None:
            subject, session = task.session.subject, task.session.session
            record(failures, error, subject=subject, session=session, stage="connectomes")
        failures += result or []
        progress.advance(task.label, "measured" if result == [] else "failed")
        if failures and settings.run.stop_on_first_crash:
            break
    return failures


def plan_predictions(
    settings: Settings, model: Model, members: Sequence[Member]
) -> tuple[PredictionPlan, list[Failure]]:
    """Read and encode everyone's connectomes; returns what to predict, and who cannot be read."""
    cohort = read_cohort(model, members, fit_on=fit_on_whom(settings))
    plan, _ = plan_cohort(settings, model, cohort)
    return plan, list(cohort.failures)


def plan_cohort(
    settings: Settings, model: Model, cohort: MeasuredCohort, *, is_group: bool = False
) -> tuple[PredictionPlan, MeasuredCohort]:
    """Adapt and encode a cohort; returns what to predict, and the inputs that are predicted from.

    The group level fits an adaptation where it can, and has every fusion as a source.
    """
    adaptation, notice = choose_adaptation(settings, model, cohort, fits_first=is_group)
    inputs = cohort.leave_out(list_lacking(adaptation, cohort.found))
    latents = encode_cohort(model, inputs, adaptation)
    names = list_source_names(settings, model)
    sources = build_sources(latents, (*DEFAULT_SOURCES, *names) if is_group else names)
    check_sources(settings.prediction.sources, [source.name for source in sources])
    members = cohort.members
    warned = (
        warn_of_inputs(
            cohort.checks, [m.label for m in members], model=model, adaptation=adaptation
        )
        .join(warn_of_unlike(members))
        .join(warn_of_sites(adaptation, inputs))
    )
    plan = PredictionPlan(
        model, adaptation, sources, settings, notice, warned, contents=cohort.digests
    )
    return plan, inputs


def _predict(job: Job, model: Model, members: Sequence[Member]) -> None:
    """Predict everyone; what fails is added to the failures as it does."""
    cohort = read_cohort(model, members, fit_on=fit_on_whom(job.settings))
    plan, inputs = plan_cohort(job.settings, model, cohort)
    job.failures += cohort.failures
    job.failures += collect_failures(plan, members, job.executor)
    encoded = encoded_of(plan, members)
    found = Judgement(judge_inputs(encoded, correlates=True))
    job.failures += encoded.failures
    job.failures += write_judgement(plan, members, found)
    with going_on(job.problems):
        job.failures += calibrate_sessions(plan, inputs, found.inputs, job.executor)


def collect_failures(
    plan: PredictionPlan, members: Sequence[Member], executor: Executor
) -> list[Failure]:
    """Predict and write every member; returns those that failed."""
    failures: list[Failure] = []
    for member, error in predict_members(plan, members, executor):
        if error is not None:
            subject, session = member.subject, member.session
            record(failures, error, subject=subject, session=session, stage="predictions")
    return failures
