"""Runs of past and present, by what they leave in ``logs``: whose, and whether they go on."""

import re
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from kraken_bids.exceptions import InputError
from kraken_bids.io.file_control import is_locked
from kraken_bids.io.toml_files import read_toml
from kraken_bids.logs import FILE_FORMAT

NAME = re.compile(r"(\d{8}T\d{6})_(participant|group)_\d+(-\d+)?")
LINE = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d+ [A-Z]+ kraken_bids\S* (.*)")
assert FILE_FORMAT.startswith("%(asctime)s %(levelname)s %(name)s"), "what LINE reads"
END = re.compile(r"all \d+ |\d+ of \d+ participant|stopped by|the run ended")
"""How the last words of a run that has ended begin."""
PARTICIPANTS = "participants.txt"
"""In ``logs/jobs/*``: who is computed by the jobs of a cluster, a label a line."""
TAIL_BYTES = 1 << 14
QUIET_SECONDS = 3600.0
"""Time without a word after which a run has ended, where a disk has no locks that would tell."""


@dataclass(frozen=True)
class RunLog:
    """What a run has left of itself."""

    path: Path
    """Its log."""

    @property
    def name(self) -> str:
        """Date, level and process."""
        return self.path.stem

    @property
    def level(self) -> str:
        """``participant`` or ``group``."""
        found = NAME.fullmatch(self.name)
        return found[2] if found else ""

    @cached_property
    def options(self) -> dict[str, Any]:
        """What it was asked to do; empty where that cannot be read."""
        try:
            return read_toml(self.path.with_suffix(".toml"))
        except InputError:
            return {}

    def list_words(self, option: str, default: Sequence[str] = ()) -> list[str]:
        """List the texts of an option; those of the default where it is no list."""
        value = self.options.get(option, default)
        found = value if isinstance(value, list | tuple) else default
        return [word for word in found if isinstance(word, str)]

    @property
    def analyses(self) -> Sequence[str]:
        """Analyses that it was asked for."""
        return self.list_words("analysis", ("connectomes",))

    @property
    def participants(self) -> frozenset[str]:
        """Labels that it was asked for; none: everyone."""
        labels = self.list_words("participant_label")
        return frozenset(label.removeprefix("sub-") for label in labels)

    @cached_property
    def goes_on(self) -> bool:
        """Whether it has not ended: its log is locked, or, without locks, has lately grown."""
        held = is_locked(self.path)
        if held is not None:
            return held
        try:
            return time.time() - self.path.stat().st_mtime < QUIET_SECONDS and not self.has_ended
        except OSError:
            return False

    @property
    def has_ended(self) -> bool:
        """Whether its last words are those of a run that ends."""
        return END.match(self.last_words) is not None

    @property
    def is_done(self) -> bool:
        """Whether it has ended, and nobody failed."""
        return self.last_words.startswith("all ") and self.has_ended

    @cached_property
    def last_words(self) -> str:
        """Text of the last line of its log."""
        try:
            with self.path.open("rb") as file:
                file.seek(max(0, self.path.stat().st_size - TAIL_BYTES))
                lines = file.read().decode("utf-8", errors="replace").splitlines()
        except OSError:
            return ""
        found = [match[1] for line in lines if (match := LINE.match(line))]
        return found[-1] if found else ""


def list_runs(output_dir: Path) -> list[RunLog]:
    """List the runs that OUTPUT_DIR knows of, oldest first."""
    paths = sorted((output_dir / "logs").glob("*.log"))
    return [RunLog(path) for path in paths if NAME.fullmatch(path.stem)]


def index_runs(runs: Sequence[RunLog]) -> tuple[dict[str, RunLog], RunLog | None]:
    """Find the last participant run of each label, and the last one of everyone."""
    by_label: dict[str, RunLog] = {}
    of_all: RunLog | None = None
    for run in runs:
        if run.level != "participant":
            continue
        if not run.participants:
            of_all = run
        by_label.update(dict.fromkeys(run.participants, run))
    return by_label, of_all


def latest(runs: Iterable[RunLog | None]) -> RunLog | None:
    """Pick the last of some runs."""
    known = [run for run in runs if run is not None]
    return max(known, key=lambda run: run.name, default=None)
