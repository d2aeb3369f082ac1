"""Hashes of the files of a run, by which ``kraken-tools verify`` sees what became of them."""

import logging
import time
from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import Executor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from kraken_bids.cohort.failures import Failure, record
from kraken_bids.cohort.manifests import (
    CHANGED,
    GROUP,
    MISSING,
    Finding,
    find_vanished,
    list_pages,
    write_manifest,
)
from kraken_bids.exceptions import name_few
from kraken_bids.pipeline.workers import run_tasks

logger = logging.getLogger(__name__)

STAGE = "files"
Task = tuple[Path, str, int, Sequence[str], Collection[str]]
"""As :func:`~kraken_bids.cohort.manifests.write_manifest` takes it."""
WORDS = {
    CHANGED: "%d file(s) were changed since they were recorded and before this run began, by hand "
    "or by a run that was stopped: %s",
    MISSING: "%d recorded file(s) were gone before this run began, and it has not made them "
    "again: %s. kraken-tools verify will name them too, until they are there again; of those that "
    "are not wanted any more, remove logs/sub-X_files.tsv (logs/group_files.tsv of the group)",
}


@dataclass(frozen=True)
class FileRecords:
    """The records of a run's participants, and of the group, from its beginning to its end."""

    output_dir: Path
    begun: int
    """When the run began, in nanoseconds."""
    vanished: Mapping[str, Collection[str]]
    """What was recorded of each and was not there then."""

    @classmethod
    def begin(cls, output_dir: Path, subjects: Sequence[str], *, is_group: bool) -> "FileRecords":
        """Look for what has vanished, before the run writes or removes anything."""
        begun, pages = time.time_ns(), list_pages(output_dir)
        vanished: dict[str, Collection[str]] = {}
        for whose in (*subjects, *[GROUP] * is_group):
            vanished[whose] = ()
            with suppress(OSError):  # a closed folder, which fails those who need it
                vanished[whose] = find_vanished(output_dir, whose, pages.get(whose, []))
        return cls(output_dir, begun, vanished)

    def write(self, executor: Executor, failures: list[Failure]) -> None:
        """Record the files as they are; of whom that is not possible fails.

        Raises
        ------
        Exception
            Whatever hinders the record of the group.
        """
        pages = list_pages(self.output_dir)
        tasks: list[Task] = [
            (self.output_dir, whose, self.begun, pages.get(whose, []), gone)
            for whose, gone in self.vanished.items()
        ]
        found: list[Finding] = []
        problem: BaseException | None = None
        for (_, subject, *_), own, error in run_tasks(executor, _write, tasks):
            if error is not None and subject == GROUP:
                problem = error
            elif error is not None:
                record(failures, error, subject=subject, session=None, stage=STAGE)
            found += own or []
        for what, words in WORDS.items():
            if names := [one.path for one in found if one.what == what]:
                logger.warning(words, len(names), name_few(names))
        if problem is not None:
            raise problem


def _write(task: Task) -> list[Finding]:
    output_dir, subject, begun, pages, vanished = task
    return write_manifest(output_dir, subject, begun, pages, vanished=vanished)
