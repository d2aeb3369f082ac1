"""Cells of ``participants.tsv`` in the group's page: words in soft colours, numbers as shades."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from kraken_bids.report.pages import PersonRow

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


def colour_cells(people: Sequence[PersonRow], column: str) -> list[Cell]:
    """Cells of one column, person by person.

    Parameters
    ----------
    people : sequence of PersonRow
    column : str
        One that some of their facts have.
    """
    texts = [person.facts.get(column, "") for person in people]
    known = [text for text in texts if text not in {"", "n/a"}]
    numbers = [_to_number(text) for text in known]
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


def _to_number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if np.isfinite(value) else None


def _mix(share: float) -> str:
    ends = np.array([[int(colour[k : k + 2], 16) for k in (1, 3, 5)] for colour in RAMP])
    red, green, blue = np.round(ends[0] + share * (ends[1] - ends[0])).astype(int).tolist()
    return f"#{red:02x}{green:02x}{blue:02x}"
