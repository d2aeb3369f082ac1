"""The participant level: measure each participant, then predict, then draw the reports."""

import logging
from collections.abc import Iterable, Sequence
from concurrent.futures import Executor
from pathlib import Path

from kraken_bids import __version__
from kraken_bids.bids.datasets import Dataset
from kraken_bids.bids.output_dataset import (
    check_output_folder,
    write_bidsignore,
    write_dataset_description,
    write_readme,
    write_region_tables,
)
from kraken_bids.cohort.failures import Failure, going_on, record
from kraken_bids.cohort.from_dataset import (
    MeasuredCohort,
    Member,
    is_asked,
    list_members,
    read_cohort,
)
from kraken_bids.cohort.projections import encode_cohort
from kraken_bids.cohort.sources import PredictionPlan, build_sources, list_source_names
from kraken_bids.flavors import Flavor
from kraken_bids.io.files import remove_leftovers
from kraken_bids.logs import show_repeated_warnings
from kraken_bids.models.krakencoder.adaptation import list_lacking
from kraken_bids.models.krakencoder.load import load_model
from kraken_bids.models.krakencoder.model import Model
from kraken_bids.parcellations import Parcellation, list_parcellations, load_parcellation
from kraken_bids.pipeline.check.cohort_doubts import warn_of_inputs
from kraken_bids.pipeline.check.input_quality import encoded_of, judge_inputs
from kraken_bids.pipeline.check.quality_sidecars import Judgement, write_judgement
from kraken_bids.pipeline.check.settings_alike import warn_of_unlike
from kraken_bids.pipeline.measure.session import measure_session
from kraken_bids.pipeline.plan import Plan, plan_participants
from kraken_bids.pipeline.predict.choice_of_adaptation import (
    choose_adaptation,
    read_given_adaptation,
)
from kraken_bids.pipeline.predict.fitted_subjects import fit_on_whom
from kraken_bids.pipeline.predict.session_predictions import predict_members
from kraken_bids.pipeline.progress import Progress
from kraken_bids.pipeline.provenance import exit_code_of, follow_run, start_run, write_failures
from kraken_bids.pipeline.reports import draw_subjects
from kraken_bids.pipeline.requests import check_sources
from kraken_bids.pipeline.workers import open_executor, run_tasks
from kraken_bids.settings import DEFAULT_SOURCES, Settings

logger = logging.getLogger(__name__)

NOT_REDRAWN = ("inputs", "connectomes", "predictions")
"""Stages that are not done again where reports only are drawn."""


def run_participants(settings: Settings) -> int:
    """Run the participant level.

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
    data = settings.data
    plan = plan_participants(settings)
    subjects = plan.subjects
    run = start_run(settings, "participant")
    with follow_run(run):
        problems: list[Exception] = []
        prepare_output(settings, plan.datasets, plan.own_atlases.values(), problems=problems)
        tidy(data.output_dir, subjects)
        failures = list(plan.failures)
        with open_executor(settings.run, run.log) as executor:
            if settings.run.reports_only:
                members = list_members(data.output_dir, subjects)
            else:
                # before the long work, so that a model that cannot be used is said at once
                model = load_model_of(settings) if data.feeds_model else None
                _say_unknown(plan.own_atlases, model)
                failures += _measure(settings, plan, executor)
                members = list_members(data.output_dir, subjects)
                if model is not None:
                    asked = [m for m in members if is_asked(m, data.sessions)]
                    with going_on(problems):
                        _predict(settings, model, asked, executor, failures=failures)
            kept = NOT_REDRAWN if settings.run.reports_only else ()
            with going_on(problems):  # before the pages, which say what failed
                write_failures(run, failures, subjects=subjects, kept_stages=kept)
            failures += draw_subjects(settings, members, executor)
        write_failures(run, failures, subjects=subjects, kept_stages=kept)
        tidy(data.output_dir, [failure.subject for failure in failures])
        report_end(failures, len(subjects))
        if problems:
            raise problems[0]
    return exit_code_of(failures, len(subjects))


def tidy(output_dir: Path, subjects: Iterable[str]) -> None:
    """Remove what killed processes left half-written, of some participants and of everyone."""
    remove_leftovers(output_dir, deep=False)
    for folder in ("group", "logs", *(f"sub-{subject}" for subject in subjects)):
        remove_leftovers(output_dir / folder)


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
        read_given_adaptation(Path(prediction.adaptation), model)
    return model


def prepare_output(
    settings: Settings,
    datasets: Sequence[Dataset],
    own_atlases: Iterable[Parcellation] = (),
    *,
    problems: list[Exception],
) -> None:
    """Write the files at the root of OUTPUT_DIR; links to datasets read earlier stay.

    What cannot be written is added to the problems. An OUTPUT_DIR of another tool is refused, and
    so is one with other regions under the name of an own atlas.
    """
    output = settings.data.output_dir
    check_output_folder(output)
    write_region_tables(output, list(own_atlases))
    with going_on(problems):
        write_dataset_description(
            output,
            name="kraken_bids: measured and predicted connectomes",
            version=__version__,
            sources={dataset.name: dataset.path for dataset in datasets},
        )
    for write in (write_bidsignore, write_readme):
        with going_on(problems):
            write(output)
    for name in settings.data.atlases:
        if name in list_parcellations():
            with going_on(problems):
                write_region_tables(output, [load_parcellation(name)])


def _say_unknown(own_atlases: Iterable[str], model: Model | None) -> None:
    for name in own_atlases:
        logger.warning(
            "%s: measured, and not used for prediction: no model knows this atlas%s",
            name,
            "" if model is not None else "; no model is loaded",
        )


def report_end(failures: Sequence[Failure], n_subjects: int) -> None:
    """Say in one line how the run ended."""
    show_repeated_warnings()
    failed = {failure.subject for failure in failures}
    if failed:
        logger.error(
            "%d of %d participant(s) failed; logs/failures.tsv says which and why",
            len(failed), n_subjects,
        )  # fmt: skip
    else:
        logger.info("all %d participant(s) done", n_subjects)


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
    """Adapt and encode a cohort, and warn of it; returns what to predict, and from what."""
    adaptation, notice = choose_adaptation(settings, model, cohort, fits_first=is_group)
    inputs = cohort.leave_out(list_lacking(adaptation, cohort.found))
    latents = encode_cohort(model, inputs, adaptation)
    names = (*DEFAULT_SOURCES * is_group, *list_source_names(settings, model))
    sources = build_sources(latents, names)
    check_sources(settings.prediction.sources, [source.name for source in sources])
    labels = [member.label for member in cohort.members]
    warned = warn_of_inputs(cohort.checks, labels, model=model, adaptation=adaptation)
    warned = warned.join(warn_of_unlike(cohort.members))
    return PredictionPlan(model, adaptation, sources, settings, notice, warned), inputs


def _predict(
    settings: Settings,
    model: Model,
    members: Sequence[Member],
    executor: Executor,
    *,
    failures: list[Failure],
) -> None:
    """Predict everyone; what fails is added to the failures as it does."""
    plan, unreadable = plan_predictions(settings, model, members)
    failures += unreadable
    failures += collect_failures(plan, members, executor)
    encoded = encoded_of(plan, members)
    found = Judgement(judge_inputs(encoded, correlates=True))
    failures += encoded.failures
    failures += write_judgement(plan, members, found)


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
