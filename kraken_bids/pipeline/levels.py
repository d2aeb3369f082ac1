"""What both levels of the app do: begin, compute, say what failed, draw, and end."""

import logging
from collections.abc import Callable, Collection, Iterable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from pathlib import Path

from kraken_bids.analysis_settings import DECODE_VOLUMES, measures_connectomes
from kraken_bids.bids.datasets import Dataset
from kraken_bids.bids.output_dataset import (
    check_output_folder,
    write_bidsignore,
    write_dataset_description,
    write_readme,
    write_region_tables,
)
from kraken_bids.cohort.failures import Failure, exit_code_of, going_on
from kraken_bids.cohort.members import Member
from kraken_bids.cohort.recalled_matrices import keeping_on_disk
from kraken_bids.io.files import remove_leftovers, remove_orphans
from kraken_bids.logs import show_repeated_warnings
from kraken_bids.parcellations import Parcellation, list_parcellations, load_parcellation
from kraken_bids.pipeline.plan import Plan
from kraken_bids.pipeline.provenance import (
    follow_run,
    start_run,
    write_citation,
    write_failures,
)
from kraken_bids.pipeline.recorded_files import FileRecords
from kraken_bids.pipeline.reports import draw_cohort, draw_subjects
from kraken_bids.pipeline.workers import open_executor
from kraken_bids.settings import Settings

logger = logging.getLogger(__name__)


NOT_REDRAWN = (
    "inputs",
    "connectomes",
    "pictures",
    "predictions",
    "discordance",
    "reliability",
    "communities",
    "volumes",
)
"""Stages that are not done again where reports only are drawn."""
OF_ANALYSES = {
    "connectomes": ("predictions", "discordance", "reliability"),
    "communities": ("communities",),
    DECODE_VOLUMES: (),
}
"""Stages of the group level's analyses."""


@dataclass
class Job:
    """One level that is carried out."""

    settings: Settings
    executor: Executor
    failures: list[Failure]
    problems: list[Exception]
    """What could not be written of the run as a whole; the first one is raised at its end."""


def run_level(
    settings: Settings,
    level: str,
    subjects: Sequence[str],
    compute: Callable[[Job], Sequence[Member]],
    *,
    plan: Plan | None = None,
) -> int:
    """Carry out a level on some subjects; returns its exit code.

    ``compute`` measures or predicts, and returns the sessions whose pages are drawn; ``plan`` is
    that of the participant level.
    """
    output, problems = settings.data.output_dir, list[Exception]()
    is_group = level == "group"
    kept = list_kept_stages(settings, is_group=is_group)
    run = start_run(settings, level)
    with follow_run(run):
        records = FileRecords.begin(output, subjects, is_group=is_group)
        own = plan.custom_atlases.values() if plan else ()
        prepare_output(settings, plan.datasets if plan else (), own, problems=problems)
        left = remove_leftovers(output) if is_group else tidy(output, subjects)
        failures = list(plan.failures) if plan else []
        with (
            keeping_on_disk(output, n_procs=settings.run.n_procs),
            open_executor(settings.run, run.log) as executor,
        ):
            members = compute(Job(settings, executor, failures, problems))
            with going_on(problems):  # before the pages, which say what failed
                write_failures(run, failures, subjects=subjects, kept_stages=kept)
            with going_on(problems):
                write_citation(output, members, is_part=not is_group and settings.data.is_part)
            if is_group:
                with going_on(problems):
                    draw_cohort(settings, members)
            failures += draw_subjects(settings, members, executor)
            with going_on(problems):
                records.write(executor, failures)
        write_failures(run, failures, subjects=subjects, kept_stages=kept)
        remove_orphans(left)  # of a killed run whose processes took their time to end
        tidy(output, [failure.subject for failure in failures])
        report_end(failures, len(subjects), is_whole=not problems)
        if problems:
            raise problems[0]
    return exit_code_of(failures, len(subjects))


def list_kept_stages(settings: Settings, *, is_group: bool) -> Collection[str]:
    """Stages that this run does not do again."""
    if settings.run.reports_only:
        return NOT_REDRAWN
    asked = settings.analysis.analysis
    if not is_group:
        decodes, measures = DECODE_VOLUMES in asked, measures_connectomes(asked)
        return [one for one in NOT_REDRAWN if not (decodes if one == "volumes" else measures)]
    done = {stage for name in asked for stage in OF_ANALYSES[name]}
    return [stage for stage in NOT_REDRAWN if stage not in done]


def tidy(output_dir: Path, subjects: Iterable[str]) -> list[Path]:
    """Remove what killed processes left half-written, of some participants and of everyone.

    Returns what somebody still writes.
    """
    left = remove_leftovers(output_dir, deep=False)
    for folder in ("group", "logs", *(f"sub-{subject}" for subject in subjects)):
        left += remove_leftovers(output_dir / folder)
    return left


def prepare_output(
    settings: Settings,
    datasets: Sequence[Dataset],
    custom_atlases: Iterable[Parcellation] = (),
    *,
    problems: list[Exception],
) -> None:
    """Write the files at the root of OUTPUT_DIR; links to datasets read earlier stay.

    What cannot be written is added to the problems. An OUTPUT_DIR of another tool is refused, and
    so is one with other regions under the name of a custom atlas.
    """
    output = settings.data.output_dir
    check_output_folder(output)
    write_region_tables(output, list(custom_atlases))
    with going_on(problems):
        write_dataset_description(
            output,
            name="kraken_bids: measured and predicted connectomes",
            sources={dataset.name: dataset.path for dataset in datasets},
        )
    for write in (write_bidsignore, write_readme):
        with going_on(problems):
            write(output)
    for name in settings.data.atlases:
        if name in list_parcellations():
            with going_on(problems):
                write_region_tables(output, [load_parcellation(name)])


def report_end(failures: Sequence[Failure], n_subjects: int, *, is_whole: bool = True) -> None:
    """Say in one line how the run ended; that all is done only where the run as a whole is."""
    show_repeated_warnings()
    failed = {failure.subject for failure in failures}
    if failed:
        logger.error(
            "%d of %d participant(s) failed; logs/failures.tsv says which and why",
            len(failed), n_subjects,
        )  # fmt: skip
    elif is_whole:
        logger.info("all %d participant(s) done", n_subjects)
