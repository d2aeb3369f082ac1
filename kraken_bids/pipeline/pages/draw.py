"""Draw and write the reports: one page per participant, one for the group."""

import atexit
import logging
import os
import shutil
from collections.abc import Container, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from pathlib import Path

from kraken_bids.bids.outputs import group_report_path
from kraken_bids.cohort.failures import Failure, record
from kraken_bids.cohort.from_dataset import Member
from kraken_bids.io.facts import read_facts
from kraken_bids.io.files import atomic_path
from kraken_bids.io.writing import write_text
from kraken_bids.pipeline.pages.freshness import (
    digest_cohort,
    digest_group,
    digest_participant,
    is_current,
    mark_page,
)
from kraken_bids.pipeline.pages.links import Neighbours, list_neighbours, name_pages
from kraken_bids.pipeline.progress import Progress
from kraken_bids.pipeline.workers import run_tasks
from kraken_bids.report.pages import GroupPage
from kraken_bids.settings import Settings

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class PageTask:
    """One participant's page to draw; travels to a worker."""

    output_dir: Path
    member: Member
    path: Path
    cohort: str
    """Digest of what the group has written."""
    dataset: str
    """Its name."""
    always: bool
    """Whether it is drawn even if nothing that it shows has changed."""
    neighbours: Neighbours = (None, None)
    """Pages before and after it."""


def draw_participants(
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
    _prepare_matplotlib()  # once for all that draw
    failures: list[Failure] = []
    n_current = 0
    progress = Progress("drawn", len(tasks))
    for task, is_drawn, error in run_tasks(executor, draw_participant, tasks):
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


def draw_participant(task: PageTask) -> bool:
    """Draw one participant's page and write it, with its figures as files beside.

    Returns
    -------
    bool
        False where the page is up to date already and stays.
    """
    shared = f"{task.cohort} {task.dataset} {task.neighbours}"
    digest = digest_participant(task.output_dir, task.member, shared)
    prefix = f"{task.member.label}_"
    folder = task.output_dir / f"sub-{task.member.subject}" / "figures"
    if not task.always and is_current(task.path, digest, folder / prefix):
        return False
    _prepare_matplotlib()
    from kraken_bids.pipeline.pages.participant import build_participant_page
    from kraken_bids.report.figures import OF_PARTICIPANT, participant_figures
    from kraken_bids.report.html import render_participant

    page = build_participant_page(
        task.output_dir, task.member, dataset=task.dataset, neighbours=task.neighbours
    )
    figures = participant_figures(page)
    _write_figures(folder, figures, prefix=prefix)
    mark = mark_page(digest, figures)
    write_text(task.path, render_participant(page, figures, digest=mark))
    shown = {*figures, *(row.name for row in page.registration)}
    _remove_figures(folder, shown, prefix=prefix, ours=OF_PARTICIPANT)
    return True


def draw_group(output_dir: Path, page: GroupPage, *, always: bool = False) -> Path:
    """Draw the group's page and write it, unless it shows this already; returns its path."""
    path, digest = group_report_path(output_dir), digest_group(page)
    folder = output_dir / "group" / "figures"
    if not always and is_current(path, digest, folder / "group_"):
        return path
    _prepare_matplotlib()
    from kraken_bids.report.figures import OF_GROUP, group_figures
    from kraken_bids.report.html import render_group

    figures = group_figures(page)
    _write_figures(folder, figures, prefix="group_")
    write_text(path, render_group(page, figures, digest=mark_page(digest, figures)))
    _remove_figures(folder, figures, prefix="group_", ours=OF_GROUP)
    return path


def name_dataset(settings: Settings) -> str:
    """Name of the dataset in BIDS_DIR, for the titles of pages; empty where it has none."""
    path = settings.data.bids_dir / "dataset_description.json"
    return read_facts(path).text("Name")


def _write_figures(folder: Path, figures: Mapping[str, bytes], *, prefix: str) -> None:
    for name, png in figures.items():
        with atomic_path(folder / f"{prefix}{name}.png") as temporary:
            temporary.write_bytes(png)


def _remove_figures(
    folder: Path, shown: Container[str], *, prefix: str, ours: tuple[str, ...]
) -> None:
    """Remove figures of earlier pages that this one does not show; other people's files stay."""
    for path in folder.glob(f"{prefix}*.png"):
        name = path.stem.removeprefix(prefix)
        if name.startswith(ours) and name not in shown and not path.is_dir():
            path.unlink(missing_ok=True)


def _prepare_matplotlib() -> None:
    """Give matplotlib a cache folder where there is no home to write to (containers)."""
    home = os.environ.get("HOME")
    if "MPLCONFIGDIR" in os.environ or (home and os.access(home, os.W_OK)):
        return
    import tempfile

    # a folder of its own, which nobody else can have filled
    os.environ["MPLCONFIGDIR"] = folder = tempfile.mkdtemp(prefix="kraken_bids-matplotlib-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
