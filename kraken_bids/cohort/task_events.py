"""Events of a task: the ``events.tsv`` that holds for a run, and what it says."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kraken_bids.cohort.run_volumes import list_run_entities
from kraken_bids.exceptions import InputError
from kraken_bids.io.tables import NOT_AVAILABLE, read_columns

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class TaskEvents:
    """Events of a run, row by row as in the file."""

    onsets: Floats
    """Seconds from the first volume; NaN where not known."""
    durations: Floats
    """Seconds; NaN where not known."""
    types: tuple[str, ...] | None
    """Kind of each event, '' where not known; None without the column of kinds."""


def find_events(bids_dir: Path, series: Path) -> Path | None:
    """Find the ``events.tsv`` that holds for a run, by the inheritance principle of BIDS.

    Parameters
    ----------
    bids_dir : Path
        Raw dataset.
    series : Path
        A file of the run, such as its region series.
    """
    entities = list_run_entities(series)
    if "sub" not in entities:
        return None
    subject = bids_dir / f"sub-{entities['sub']}"
    session = subject / f"ses-{entities['ses']}" if "ses" in entities else subject
    for folder in dict.fromkeys((session / "func", session, subject, bids_dir)):
        own = {path: list_run_entities(path) for path in sorted(folder.glob("*_events.tsv"))}
        holding = [p for p, of in own.items() if "task" in of and of.items() <= entities.items()]
        if holding:
            return max(holding, key=lambda path: len(own[path]))
    return None


def read_events(path: Path, *, column: str = "trial_type") -> TaskEvents:
    """Read an ``events.tsv``.

    Parameters
    ----------
    column : str
        Column of the kinds of events.

    Raises
    ------
    InputError
        If it cannot be read, or has no onsets in seconds.
    """
    columns = read_columns(path)
    onsets = columns.get("onset")
    if onsets is None or onsets.dtype.kind != "f":
        raise InputError(
            f"expected a column onset of numbers (seconds) in {path}; found "
            f"{', '.join(columns) if onsets is None else f'onset {onsets[:1][0]!r}'}."
        )
    durations = columns.get("duration")
    if durations is None or durations.dtype.kind != "f":
        durations = np.full(len(onsets), np.nan)
    types = columns.get(column)
    return TaskEvents(onsets, durations, None if types is None else tuple(map(spell_kind, types)))


def spell_kind(kind: object) -> str:
    """Kind of an event as text, '' where not known; whole numbers without a point."""
    if isinstance(kind, float | np.floating):
        return "" if np.isnan(kind) else repr(float(kind)).removesuffix(".0")
    return "" if str(kind) in NOT_AVAILABLE else str(kind)
