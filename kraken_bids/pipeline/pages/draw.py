"""Draw and write the reports: one page per participant, one for the group."""

import logging
import os
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from pathlib import Path

from kraken_bids.bids.outputs import group_report_path, report_path
from kraken_bids.bids.write import write_text
from kraken_bids.files import atomic_path
from kraken_bids.pipeline.cohort import Member
from kraken_bids.pipeline.provenance import Failure, failure_of
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


def draw_participants(
    settings: Settings, members: Sequence[Member], executor: Executor
) -> list[Failure]:
    """Draw the page of every session; one that fails is recorded and the others are drawn."""
    output = settings.data.output_dir
    per_subject: dict[str, int] = {}
    for member in members:
        per_subject[member.subject] = per_subject.get(member.subject, 0) + 1
    tasks = []
    for member in members:
        path = report_path(output, member.subject)
        if per_subject[member.subject] > 1:
            path = path.with_name(f"{member.label}.html")
        tasks.append(PageTask(output, member, path))
    failures = []
    for task, _, error in run_tasks(executor, draw_participant, tasks):
        if error is None:
            logger.info("report: %s", task.path)
            continue
        logger.error("%s: report: %s", task.member.label, error)
        failures.append(
            failure_of(
                error,
                subject=task.member.subject,
                session=task.member.session,
                stage="report",
            )
        )
    return failures


def draw_participant(task: PageTask) -> None:
    """Draw one participant's page and write it, with its figures as files beside."""
    _prepare_matplotlib()
    from kraken_bids.pipeline.pages.participant import build_participant_page
    from kraken_bids.report.figures import participant_figures
    from kraken_bids.report.html import render_participant

    page = build_participant_page(task.output_dir, task.member)
    figures = participant_figures(page)
    folder = task.output_dir / f"sub-{task.member.subject}" / "figures"
    _write_figures(folder, figures, prefix=f"{task.member.label}_")
    write_text(task.path, render_participant(page, figures))


def draw_group(output_dir: Path, page: GroupPage) -> Path:
    """Draw the group's page and write it; returns its path."""
    _prepare_matplotlib()
    from kraken_bids.report.figures import group_figures
    from kraken_bids.report.html import render_group

    figures = group_figures(page)
    _write_figures(output_dir / "group" / "figures", figures, prefix="group_")
    path = group_report_path(output_dir)
    write_text(path, render_group(page, figures))
    return path


def _write_figures(folder: Path, figures: Mapping[str, bytes], *, prefix: str) -> None:
    for name, png in figures.items():
        with atomic_path(folder / f"{prefix}{name}.png") as temporary:
            temporary.write_bytes(png)


def _prepare_matplotlib() -> None:
    """Give matplotlib a cache folder where the home cannot be written to (containers)."""
    home = Path(os.environ.get("HOME", "/"))
    if "MPLCONFIGDIR" not in os.environ and not os.access(home, os.W_OK):
        import tempfile

        os.environ["MPLCONFIGDIR"] = str(Path(tempfile.gettempdir()) / "kraken_bids-matplotlib")
