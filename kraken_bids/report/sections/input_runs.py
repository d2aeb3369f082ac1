"""What the connectomes of a session were measured from."""

from dataclasses import dataclass
from typing import Any

from kraken_bids.bids.names import full_space, parse_name
from kraken_bids.cohort.measurements import CLEANING, RUN
from kraken_bids.report.section import Section
from kraken_bids.report.sections.structure import list_tractograms
from kraken_bids.report.written import Written


@dataclass(frozen=True)
class RunRow:
    """One BOLD run in one space."""

    task: str
    run: str
    space: str
    file: str
    minutes: float
    minutes_kept: float
    tr: float | None
    """Repetition time in seconds."""
    mean_fd: float | None
    """Mean framewise displacement in mm."""
    n_outliers: int | None
    """Volumes left out."""
    dvars: float | None = None
    """Mean standardised DVARS of the volumes that count; about 1 in a quiet scan."""


def list_runs(written: Written) -> tuple[RunRow, ...]:
    """Every BOLD run that a connectome was measured from."""
    rows = {}
    for sidecar in written.measured.values():
        for run in sidecar.parts(CLEANING.runs):
            minutes, kept = run.number(RUN.minutes_total), run.number(RUN.minutes_used)
            total, used = run.count(RUN.volumes_total), run.count(RUN.volumes_used)
            file = run.text(RUN.file)
            if not file or minutes is None or kept is None:
                continue  # of another tool
            entities = parse_name(file)
            rows[file] = RunRow(
                task=entities.get("task", ""),
                run=entities.get("run", ""),
                space=full_space(entities),
                file=file,
                minutes=minutes,
                minutes_kept=kept,
                tr=run.number(RUN.repetition_time) or sidecar.number(CLEANING.repetition_time),
                mean_fd=run.number(RUN.mean_fd),
                n_outliers=None if total is None or used is None else total - used,
                dvars=run.number(RUN.mean_dvars),
            )
    return tuple(rows[name] for name in sorted(rows))


def gather(written: Written) -> dict[str, Any]:
    """List BOLD runs and tractograms."""
    return {"runs": written.once(list_runs), "tractograms": written.once(list_tractograms)}


SECTION = Section("inputs", "Inputs", "input_runs.html", gather)
