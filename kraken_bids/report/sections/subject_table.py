"""Everyone with results and everyone who failed, with a verdict and what is known of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from kraken_bids.bids.participants import PARTICIPANT, read_participants
from kraken_bids.exceptions import InputError
from kraken_bids.report.section import Section
from kraken_bids.report.subjects import VERDICTS, judge_subjects
from kraken_bids.report.written_group import WrittenGroup
from kraken_bids.scores.covariates import to_number

MAX_COLUMNS = 6

LEVELS = ("#dbe9f4", "#fbe3cf", "#dcefd9", "#eadff0", "#f6dfe3", "#f3efc9", "#d8eeec", "#e6e2dc")
"""Grounds of the values of one column, in order of the alphabet; dark letters read well on all."""
RAMP = ("#f7fbfb", "#8fc3cc")
"""Ground of the lowest and of the highest number."""


@dataclass(frozen=True)
class Cell:
    """One value, as it is shown and sorted."""

    text: str
    order: str
    """What it is sorted by: a number, or the text."""
    colour: str = ""
    """Of its ground; empty where there is no value."""
    is_number: bool = False


Known = tuple[tuple[str, ...], dict[str, dict[str, str]], list[str]]


def read_subject_table(group: WrittenGroup) -> Known:
    """Read what ``participants.tsv`` says of the subjects.

    Returns
    -------
    columns : tuple of str
        Those worth showing: not all alike, and no names that are different for everyone.
    facts : dict
        By label of the session, then column.
    absent : list of str
        Subjects of the table of whom there is nothing.
    """
    folders = (folder for folder in (group.bids_dir, group.output_dir) if folder is not None)
    path = next((one for f in folders if (one := f / "participants.tsv").is_file()), None)
    try:
        table = [] if path is None else read_participants(path)
    except InputError:
        table = []
    by_id = {f"sub-{row[PARTICIPANT]}": row for row in table if row.get(PARTICIPANT)}
    shown = {
        row.label: by_id.get(row.label.partition("_")[0], {}) for row in group.once(judge_subjects)
    }
    columns = [name for name in (table[0] if table else ()) if name != PARTICIPANT]
    kept = [name for name in columns if _tells(name, [row for row in shown.values() if row])]
    present = {label.partition("_")[0] for label in shown}
    return tuple(kept[:MAX_COLUMNS]), shown, sorted(set(by_id) - present)


def _tells(column: str, rows: Sequence[Mapping[str, str]]) -> bool:
    """Whether a column groups subjects or orders them."""
    values = {row.get(column, "") for row in rows} - {"", "n/a"}
    return len(values) > 1 and (
        len(values) <= max(8, len(rows) // 3) or all(map(is_number, values))
    )


def is_number(text: str) -> bool:
    """Whether a cell of a table is a number."""
    try:
        float(text)
    except ValueError:
        return False
    return True


def colour_cells(texts: Sequence[str]) -> list[Cell]:
    """Cells of one column, session by session; '' and n/a where it is not known."""
    known = [text for text in texts if text not in {"", "n/a"}]
    numbers = [to_number(text) for text in known]
    levels = sorted(set(known))
    is_numeric = all(number is not None for number in numbers) and len(levels) > 2
    finite = [number for number in numbers if number is not None]
    low, high = (min(finite), max(finite)) if is_numeric else (0.0, 1.0)
    cells = []
    for text in texts:
        if text in {"", "n/a"}:
            cells.append(Cell("–", ""))
        elif is_numeric:
            colour = _mix((float(text) - low) / (high - low or 1.0))
            cells.append(Cell(text, text, colour, is_number=True))
        else:
            cells.append(Cell(text, text, LEVELS[levels.index(text) % len(LEVELS)]))
    return cells


def _mix(share: float) -> str:
    ends = np.array([[int(colour[k : k + 2], 16) for k in (1, 3, 5)] for colour in RAMP])
    red, green, blue = np.round(ends[0] + share * (ends[1] - ends[0])).astype(int).tolist()
    return f"#{red:02x}{green:02x}{blue:02x}"


def gather(group: WrittenGroup) -> dict[str, Any]:
    """List everyone with a verdict, and the cells of ``participants.tsv`` column by column."""
    rows = group.once(judge_subjects)
    names, facts, _ = group.once(read_subject_table)
    columns = {name: [facts[row.label].get(name, "") for row in rows] for name in names}
    return {
        "rows": rows,
        "columns": {name: colour_cells(texts) for name, texts in columns.items()},
    }


SECTION = Section(
    "participants", "Participants", "subject_table.html", gather, words={"verdicts": VERDICTS}
)
