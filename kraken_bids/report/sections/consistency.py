"""How well each file of a subject fits the subject's other files, and what is unusual of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from kraken_bids.flavors import Flavor
from kraken_bids.report import theme
from kraken_bids.report.section import Floats, Section
from kraken_bids.report.theme import draw_png
from kraken_bids.report.written import Written, of_each_session, sort_flavors
from kraken_bids.scores.quality_control import Entry, read_inputs

if TYPE_CHECKING:
    from matplotlib.axes import Axes


MAX_ROWS = 40
"""Above this many participants only those with something to check are drawn."""
MISFIT = theme.WARM
FITS = theme.ACCENT
FULL_COLOUR = 10.0
"""Log odds at which a colour is full."""


@dataclass(frozen=True)
class ConsistencyRow:
    """One measured connectome of one participant (and session)."""

    label: str
    flavor: Flavor
    entry: Entry
    href: str = ""
    """Address of the participant's page."""

    @property
    def verdict(self) -> str:
        """``ok``, ``check``, or ``n/a`` where the cohort is too small to say."""
        return self.entry.conclusion.trust or "n/a"

    @property
    def note(self) -> str:
        """What is unusual, in plain words."""
        return self.entry.conclusion.note or ""


@of_each_session
def list_consistency(written: Written) -> tuple[ConsistencyRow, ...]:
    """List what is known of each input of a session; empty before there are predictions."""
    entries = read_inputs(written.predicted)
    return tuple(
        ConsistencyRow(written.member.label, flavor, entry, written.href)
        for flavor in sort_flavors(entries)
        if (entry := entries.get(flavor.name))
    )


def draw_consistency(rows: Sequence[ConsistencyRow]) -> bytes:
    """PNG heatmap, participants by flavors: colour is the fit, a number the rank if not the first.

    Files to check are framed. With more than :data:`MAX_ROWS` participants only those with one
    are drawn, at most so many.
    """
    subjects = _choose_subjects(rows)
    flavors = list(dict.fromkeys(row.flavor for row in rows))
    cell = (46.0, 19.0)
    left, top = 110.0, 150.0
    size = (cell[0] * len(flavors), cell[1] * len(subjects))
    figure = theme.new_figure(left + size[0] + 130, top + size[1] + 12, scale=1.6)
    axes = theme.add_box(figure, left, top, *size)
    fit = np.full((len(subjects), len(flavors)), np.nan)
    for row in rows:
        own = row.entry.quality.latent_fit
        if row.label in subjects and own is not None:
            fit[subjects.index(row.label), flavors.index(row.flavor)] = own
    axes.imshow(_colour(fit), aspect="auto", interpolation="nearest")
    for row in rows:
        if row.label in subjects:
            _mark(axes, row, subjects.index(row.label), flavors.index(row.flavor))
    theme.name_cells(axes, subjects, [flavor.name for flavor in flavors], gap=1.0)
    for label, flavor in zip(axes.get_xticklabels(), flavors, strict=True):
        label.set_color(theme.GROUP_COLOURS[flavor.group])
    return draw_png(figure)


def _choose_subjects(rows: Sequence[ConsistencyRow]) -> list[str]:
    everyone = list(dict.fromkeys(row.label for row in rows))
    if len(everyone) <= MAX_ROWS:
        return everyone
    unusual = list(dict.fromkeys(row.label for row in rows if row.verdict == "check"))
    return (unusual or everyone)[:MAX_ROWS]


def _colour(fit: Floats) -> Floats:
    """White at even odds, petrol where a file fits, orange where it does not, grey if unknown."""
    strength = np.clip(np.abs(np.nan_to_num(fit)) / FULL_COLOUR, 0, 1)[..., None] * 0.85
    full = np.where(fit[..., None] < 0, theme.colors.to_rgb(MISFIT), theme.colors.to_rgb(FITS))
    colours: Floats = 1 - strength * (1 - full)
    colours[~np.isfinite(fit)] = 0.93
    return colours


def _mark(axes: "Axes", row: ConsistencyRow, i: int, j: int) -> None:
    quality = row.entry.quality
    if quality.latent_rank is not None and quality.latent_rank > 1:
        dark = abs(quality.latent_fit or 0) > 0.6 * FULL_COLOUR
        colour = "white" if dark else theme.TEXT
        style = {"ha": "center", "va": "center", "fontsize": theme.SMALL - 0.5}
        theme.add_text(axes, j, i, str(quality.latent_rank), color=colour, **style)
    if row.verdict == "check":
        frame = theme.patches.Rectangle(
            (j - 0.5, i - 0.5), 1, 1, fill=False, edgecolor=theme.TEXT, linewidth=1.6, zorder=5
        )
        frame.set_clip_on(False)
        axes.add_patch(frame)


def draw(rows: Sequence[ConsistencyRow]) -> dict[str, bytes]:
    """Draw the heatmap, where the fit of any file is known."""
    is_known = any(row.entry.quality.latent_fit is not None for row in rows)
    return {"trust": draw_consistency(rows)} if is_known else {}


SUBJECT = Section(
    "trust",
    "Trust",
    "consistency_of_subject.html",
    lambda written: written.once(list_consistency) or None,
    heading="How far to trust each input",
)
GROUP = Section(
    "trust",
    "Trust",
    "consistency_of_group.html",
    lambda group: [row for rows in group.of_each(list_consistency) for row in rows],
    heading="How far to trust each connectome",
    draw=draw,
    figures=("trust",),
    words={"max_rows": MAX_ROWS},
)
