"""By which column of participants.tsv subjects are coloured."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from kraken_bids.report.sections.subject_table import is_number

PREFERRED = ("group", "diagnosis", "site", "sex", "gender", "age")
"""Looked for first, in this order, in whatever case; then the others as the table has them."""
MAX_CATEGORIES = 8
"""More colours than these are not told apart."""
MAX_CODES = 4
"""So few different numbers are codes of categories (1 and 2 for sexes)."""
ABSENT = ("", "n/a", "nan", "NaN")


@dataclass(frozen=True)
class Colouring:
    """A column of ``participants.tsv`` by which subjects are coloured."""

    column: str
    values: tuple[str, ...]
    """One per row of the latents; '' where it is not known."""
    is_numeric: bool = False

    @property
    def categories(self) -> list[str]:
        """Values that there are, codes by their number."""
        present = sorted(set(self.values) - {""})
        try:
            return sorted(present, key=float)
        except ValueError:
            return present


def choose_colouring(
    labels: Sequence[str], columns: Sequence[str], facts: Mapping[str, Mapping[str, str]]
) -> Colouring | None:
    """Choose the first suitable column; None where there is none.

    Parameters
    ----------
    labels : sequence of str
        Subjects who are drawn, with their sessions.
    columns : sequence of str
        Columns that group subjects or order them.
    facts : mapping
        By label, then column.
    """
    ranks = {name: k for k, name in enumerate(PREFERRED)}
    for column in sorted(columns, key=lambda name: ranks.get(name.lower(), len(ranks))):
        cells = (facts.get(label, {}).get(column, "").strip() for label in labels)
        values = tuple("" if cell in ABSENT else cell for cell in cells)
        present = set(values) - {""}
        if len(present) < 2:
            continue
        is_numeric = all(map(is_number, present))
        if is_numeric and len(present) > MAX_CODES:
            return Colouring(column, values, is_numeric=True)
        if len(present) <= MAX_CATEGORIES:
            return Colouring(column, values)
    return None
