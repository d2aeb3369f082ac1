"""The group level: adaptation on everyone in OUTPUT_DIR, latents, predictions, metrics, report."""

import logging
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import replace
from pathlib import Path

import numpy as np

from kraken_bids.bids.outputs import find_sessions, group_path
from kraken_bids.cohort.failures import Failure, going_on
from kraken_bids.cohort.from_dataset import (
    Cohort,
    Member,
    encode_cohort,
    is_asked,
    leave_out,
    list_members,
    read_cohort,
)
from kraken_bids.cohort.prediction_plan import PredictionPlan
from kraken_bids.cohort.sources import Source, build_sources, list_source_names
from kraken_bids.cohort.warned import Warned, write_group_warnings
from kraken_bids.exceptions import InputError
from kraken_bids.flavors import Flavor
from kraken_bids.io.files import remove_leftovers
from kraken_bids.io.hdf5 import write_hdf5
from kraken_bids.io.writing import write_json, write_table
from kraken_bids.models.krakencoder.adaptation import list_lacking
from kraken_bids.models.krakencoder.model import Model
from kraken_bids.parcellations import list_parcellations
from kraken_bids.pipeline.check.cohort_doubts import warn_of_inputs
from kraken_bids.pipeline.check.cohort_scores import Scores, score_members, write_metrics
from kraken_bids.pipeline.check.encoded_inputs import encoded_of
from kraken_bids.pipeline.check.input_trust import FileTrust, judge_files
from kraken_bids.pipeline.check.kept_results import keep_results
from kraken_bids.pipeline.check.misfits import doubt_predictions, find_misfits
from kraken_bids.pipeline.check.outlying_latents import find_outliers, write_outliers
from kraken_bids.pipeline.check.prediction_verdicts import Judge, judge_predictions
from kraken_bids.pipeline.check.qcfc import write_qcfc
from kraken_bids.pipeline.check.quality_table import write_quality
from kraken_bids.pipeline.check.settings_alike import warn_of_unlike
from kraken_bids.pipeline.check.trust_files import write_trust, write_trust_of_predictions
from kraken_bids.pipeline.check.verdict_table import write_verdicts
from kraken_bids.pipeline.pages.draw import draw_group, draw_participants, name_dataset
from kraken_bids.pipeline.pages.gathered import gather_sessions
from kraken_bids.pipeline.pages.group import build_group_page
from kraken_bids.pipeline.pages.people import judge_people, log_people
from kraken_bids.pipeline.pages.verdicts import write_people
from kraken_bids.pipeline.participant import (
    NOT_REDRAWN,
    collect_failures,
    load_model_of,
    prepare_output,
    report_end,
    tidy,
)
from kraken_bids.pipeline.predict.choice_of_adaptation import choose_adaptation, fit_on_whom
from kraken_bids.pipeline.provenance import exit_code_of, follow_run, start_run, write_failures
from kraken_bids.pipeline.refit import refit_partial_correlations
from kraken_bids.pipeline.requests import check_labels, check_sources
from kraken_bids.pipeline.workers import open_executor
from kraken_bids.settings import DEFAULT_SOURCES, Settings

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
                        nobody = Cohort(members, {}, {}, {}, ())
                        write_quality(output, members, nobody, {}, trust={})
                with going_on(problems):
                    write_qcfc(output, members, anew=settings.run.force)
            kept = NOT_REDRAWN if settings.run.reports_only else NOT_REDRAWN[:2]
            with going_on(problems):  # before the pages, which say what failed
                write_failures(run, failures, subjects=subjects, kept_stages=kept)
            with going_on(problems):
                _draw(settings, members)
            failures += draw_participants(settings, members, executor)
        write_failures(run, failures, subjects=subjects, kept_stages=kept)
        tidy(output, [failure.subject for failure in failures])
        report_end(failures, len(subjects))
        if problems:
            raise problems[0]
    return exit_code_of(failures, len(subjects))


def _draw(settings: Settings, members: Sequence[Member]) -> None:
    """Judge everyone, and draw the page of the group."""
    output = settings.data.output_dir
    gathered = gather_sessions(output, members)
    people = judge_people(output, members, gathered)
    write_people(output, people)
    log_people(people)
    page = build_group_page(
        output,
        members,
        gathered,
        people=people,
        dataset=name_dataset(settings),
        bids_dir=settings.data.bids_dir,
    )
    always = settings.run.reports_only or settings.run.force
    logger.info("group report: %s", draw_group(output, page, always=always))


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
    cohort = read_cohort(model, members, fit_on=fit_on_whom(settings, members))
    adaptation, notice = choose_adaptation(settings, model, cohort, fits_first=True)
    means = cohort
    cohort = leave_out(cohort, list_lacking(adaptation, cohort.projections))
    failures += cohort.failures
    latents = encode_cohort(model, cohort, adaptation, failures)
    sources = build_sources(latents, (*DEFAULT_SOURCES, *list_source_names(settings, model)))
    check_sources(settings.prediction.sources, [source.name for source in sources])
    warned = warn_of_inputs(
        cohort.checks, [m.label for m in members], model=model, adaptation=adaptation
    ).join(warn_of_unlike(members))
    with going_on(problems):
        write_group_warnings(output, warned.everyone)
    plan = PredictionPlan(model, adaptation, sources, settings, notice, warned=warned)
    failures += collect_failures(plan, members, executor)
    with going_on(problems):
        _write_latents(output, members, sources)
    with going_on(problems):
        _write_means(output, model, means)
    judged = [source.name for source in plan.written_sources]
    kept = keep_results(output, means, anew=settings.run.force)
    encoded = encoded_of(plan, members)
    scores = score_members(
        model,
        members,
        sources,
        adaptation=adaptation,
        judged=judged,
        kept=kept,
        failures=encoded.failures,
    )
    with going_on(problems):
        write_metrics(output, scores)
    with going_on(problems):
        write_outliers(output, find_outliers(members, sources))
    trust = judge_files(encoded, correlates=not scores.cross_modal, kept=kept)
    failures += dict.fromkeys(encoded.failures)
    failures += _judge_predictions(plan, members, scores, trust, problems=problems)
    with going_on(problems):
        write_quality(output, members, cohort, scores.cross_modal, trust=trust)


def _judge_predictions(
    plan: PredictionPlan,
    members: Sequence[Member],
    scores: Scores,
    trust: Mapping[tuple[int, Flavor], FileTrust],
    *,
    problems: list[Exception],
) -> list[Failure]:
    """Write the verdict on every prediction into its sidecar and the group's table."""
    output = plan.settings.data.output_dir
    verdicts = judge_predictions(
        Judge(members, scores.evidence, trust), plan.written_sources, plan.targets
    )
    misfits = find_misfits(members, verdicts)
    verdicts = doubt_predictions(verdicts, misfits)
    doubts = {members[index].label: (text,) for index, text in misfits.items()}
    with going_on(problems):
        write_verdicts(output, members, verdicts)
    failures = write_trust(
        output, members, trust, scores.cross_modal, verdicts=verdicts, digests=plan.digests
    )
    warned = plan.warned.join(Warned(own=doubts))
    return failures + write_trust_of_predictions(replace(plan, warned=warned), members)


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


def _write_latents(output_dir: Path, members: Sequence[Member], sources: Sequence[Source]) -> None:
    rows = [
        (member, source, index)
        for index, member in enumerate(members)
        for source in sources
        if source.n_inputs[index]
    ]
    columns: dict[str, list[object]] = {
        "participant_id": [f"sub-{member.subject}" for member, _, _ in rows],
        "session_id": [f"ses-{m.session}" if m.session else "n/a" for m, _, _ in rows],
        "source": [source.name for _, source, _ in rows],
        "n_inputs": [int(source.n_inputs[index]) for _, source, index in rows],
    }
    values = np.stack([source.latents[index] for _, source, index in rows])
    columns |= {f"z{k:03d}": values[:, k].tolist() for k in range(values.shape[1])}
    path = group_path(output_dir, "latents.tsv")
    write_table(path, columns)
    write_json(path.with_suffix(".json"), {
        "Description": "Latent vector of every participant, session and source",
        "source": {"Description": "fusion of several flavors, or one flavor"},
        "n_inputs": {"Description": "number of measured flavors that were averaged"},
    })  # fmt: skip


def _write_means(output_dir: Path, model: Model, cohort: Cohort) -> None:
    """Write the mean measured connectome of every flavor beside the model's training mean."""
    training = model.training_means()
    with write_hdf5(group_path(output_dir, "mean_connectomes.h5")) as file:
        for flavor, (mean, n_members) in cohort.means.items():
            group = file.create_group(flavor.name)
            group.create_dataset("measured", data=mean.astype(np.float32))
            if flavor in training:
                group.create_dataset("training", data=training[flavor])
            group.attrs["n_sessions"] = n_members
