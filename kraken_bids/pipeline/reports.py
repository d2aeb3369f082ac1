"""Draw the reports: a page per session, many at once, and one for the group."""

import logging
from collections.abc import Collection, Sequence
from concurrent.futures import Executor
from pathlib import Path

from kraken_bids.cohort.failures import Failure, record
from kraken_bids.cohort.members import Member
from kraken_bids.io.facts import read_facts
from kraken_bids.pipeline.progress import Progress
from kraken_bids.pipeline.workers import run_tasks
from kraken_bids.report.freshness import digest_cohort
from kraken_bids.report.page import (
    PageTask,
    build_group_page,
    draw_group,
    draw_subject,
)
from kraken_bids.report.section import FileLink, Neighbours
from kraken_bids.report.subjects import judge_subjects, log_verdicts, write_subjects
from kraken_bids.report.theme import prepare_matplotlib
from kraken_bids.report.written_group import WrittenGroup, name_pages
from kraken_bids.settings import Settings

logger = logging.getLogger(__name__)


def draw_cohort(settings: Settings, members: Sequence[Member]) -> None:
    """Judge every session, write the verdicts, and draw the page of the group."""
    group = WrittenGroup(settings.data.output_dir, members, settings.data.bids_dir)
    subjects = group.once(judge_subjects)
    write_subjects(group.output_dir, subjects)
    log_verdicts(subjects)
    page = build_group_page(group, dataset=name_dataset(settings))
    always = settings.run.reports_only or settings.run.force
    logger.info("group report: %s", draw_group(group.output_dir, page, always=always))


def draw_subjects(
    settings: Settings, members: Sequence[Member], executor: Executor
) -> list[Failure]:
    """Draw the page of every session; one that fails is recorded and the others are drawn.

    A page whose contents have not changed stays, unless reports only, or everything, is asked for.
    """
    output, cohort = settings.data.output_dir, digest_cohort(settings.data.output_dir)
    dataset = name_dataset(settings)
    always = settings.run.reports_only or settings.run.force
    pages = name_pages(members)
    around = list_neighbours(output, pages.values())
    tasks = [
        PageTask(
            output,
            member,
            path=output / pages[member.label],
            cohort=cohort,
            neighbours=around[pages[member.label]],
            dataset=dataset,
            always=always,
        )
        for member in members
    ]
    prepare_matplotlib()  # once for all that draw
    failures: list[Failure] = []
    n_current = 0
    progress = Progress("drawn", len(tasks))
    for task, is_drawn, error in run_tasks(executor, draw_subject, tasks):
        if error is None:
            n_current += not is_drawn
            label = str(task.path) if is_drawn else ""
            progress.advance(label, "drawn" if is_drawn else "looked at reports:")
            continue
        subject, session = task.member.subject, task.member.session
        record(failures, error, subject=subject, session=session, stage="report")
    if n_current:
        logger.info("%d report(s) up to date, not drawn again", n_current)
    return failures


def list_neighbours(output_dir: Path, names: Collection[str]) -> dict[str, Neighbours]:
    """List the pages before and after each page of a run, by its name.

    Parameters
    ----------
    output_dir : Path
        Pages that are there already count too.
    names : collection of str
        Of the pages of the run.
    """
    there = {path.name for path in output_dir.glob("sub-*.html")}
    stems = sorted(Path(name).stem for name in there | set(names))
    links: list[FileLink | None] = [FileLink(f"{stem}.html", stem) for stem in stems]
    around = [None, *links, None]
    return {
        f"{stem}.html": (around[k], around[k + 2])
        for k, stem in enumerate(stems)
        if f"{stem}.html" in names
    }


def name_dataset(settings: Settings) -> str:
    """Name of the dataset in BIDS_DIR, for the titles of pages; empty where it has none."""
    path = settings.data.bids_dir / "dataset_description.json"
    return read_facts(path).text("Name")
