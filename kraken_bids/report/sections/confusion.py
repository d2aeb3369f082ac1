"""Which labels are taken for which."""

from dataclasses import dataclass

import numpy as np

from kraken_bids.models.decoding_records import ConfusionCount
from kraken_bids.report import theme
from kraken_bids.report.section import Floats, Section
from kraken_bids.report.written_series import WrittenSeries

CELL = 34.0
MAX_NUMBERS = 24
"""Labels up to which every cell has its number."""


@dataclass(frozen=True)
class Confusion:
    """Counts of trials or volumes, labels in rows and what they were taken for in columns."""

    labels: tuple[str, ...]
    counts: Floats
    """[n_labels, n_labels]."""
    example: str = "trial"
    """What is counted."""

    @property
    def shares(self) -> Floats:
        """Counts over those of the row [n_labels, n_labels]; NaN where a label has no trials."""
        totals = self.counts.sum(axis=1, keepdims=True)
        with np.errstate(invalid="ignore"):
            found: Floats = self.counts / totals
        return found

    @property
    def worst(self) -> tuple[str, str, float] | None:
        """Label, the other one that it is most often taken for, and how often."""
        others = np.nan_to_num(self.shares)
        np.fill_diagonal(others, 0)
        row, column = np.unravel_index(int(others.argmax()), others.shape)
        share = float(others[row, column])
        return (self.labels[row], self.labels[column], share) if share > 0 else None


def gather(written: WrittenSeries) -> Confusion | None:
    """Read ``confusion.tsv``."""
    rows = written.read_records(ConfusionCount, "confusion.tsv")
    labels = tuple(dict.fromkeys([*(r.label for r in rows), *(r.predicted for r in rows)]))
    if not labels:
        return None
    place = {label: k for k, label in enumerate(labels)}
    counts = np.zeros((len(labels), len(labels)))
    for row in rows:
        counts[place[row.label], place[row.predicted]] += row.n_trials
    return Confusion(labels, counts, written.example)


def draw(confusion: Confusion) -> dict[str, bytes]:
    """Draw shares of each row."""
    n = len(confusion.labels)
    longest = max(map(len, confusion.labels))
    left, top, right = 24 + 6.6 * longest, 34 + 5.6 * longest, 8 + 4 * longest
    figure = theme.new_figure(left + n * CELL + right, top + n * CELL + 12, scale=1.6)
    axes = theme.add_box(figure, left, top, n * CELL, n * CELL)
    shares = confusion.shares
    axes.imshow(shares, cmap=theme.share_colours(), vmin=0, vmax=1, aspect="auto")
    for (row, column), share in np.ndenumerate(shares):
        if n <= MAX_NUMBERS and share >= 0.005:
            style = {"ha": "center", "va": "center", "fontsize": theme.SMALL}
            colour = "white" if share > 0.75 else theme.TEXT
            theme.add_text(axes, column, row, f"{100 * share:.0f}", color=colour, **style)
    theme.name_cells(axes, confusion.labels, confusion.labels, rotation=55)
    axes.spines[:].set_color(theme.LINE)
    return {"confusion": theme.draw_png(figure)}


SECTION = Section(
    "confusion",
    "Confusion",
    "confusion.html",
    gather,
    heading="Which states are taken for which",
    draw=draw,
    figures=("confusion",),
)
