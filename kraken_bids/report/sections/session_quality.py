"""Quality of every session, summed up over flavors, and what to look at."""

from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kraken_bids.io.facts import read_table
from kraken_bids.report.section import Section
from kraken_bids.report.written import Columns, Written, of_each_session, read_or_none
from kraken_bids.report.written_group import WHOSE, WrittenGroup, label_rows

LOW_BOTH_ENDS = 0.3
HIGH_FD = 0.5
NUMBERS = ("mean_fd", "minutes", "both_ends", "used_as_input", "n_missing_regions")


@dataclass(frozen=True)
class QualityRow:
    """Quality of one participant (and session), summarised over flavors."""

    label: str
    n_measured: int
    """Flavors of the model that were measured; all flavors where no model is known."""
    n_inputs: int
    """Flavors that entered the fusion."""
    minutes_kept: float | None = None
    mean_fd: float | None = None
    lowest_coverage: float | None = None
    """Lowest coverage of any region, 0 to 1."""
    n_imputed: int | None = None
    """Most regions imputed in any flavor."""
    both_ends: float | None = None
    """Lowest share of streamlines with both ends in regions, 0 to 1."""
    flags: tuple[str, ...] = ()
    """What to look at, in plain words."""
    href: str = ""
    mean_dvars: float | None = None
    """Standardised; about 1 in a quiet scan."""
    median_tsnr: float | None = None
    """Lowest of any parcellation."""


def read_quality(group: WrittenGroup) -> dict[str, Columns]:
    """Rows of ``group/qc.tsv`` by the label of their session; none where it has not run."""
    columns = group.read_table("qc.tsv", numbers=NUMBERS, texts=(*WHOSE, "flavor"))
    places: dict[str, list[int]] = {}
    for row, label in enumerate(label_rows(columns) if columns else ()):
        places.setdefault(label, []).append(row)
    return {
        label: {key: values[rows] for key, values in columns.items()}
        for label, rows in places.items()
    }


def list_quality(group: WrittenGroup) -> list[QualityRow]:
    """List the sessions that ``group/qc.tsv`` knows."""
    tables = read_quality(group)
    own = zip(group.members, group.of_each(look_at_session), strict=True)
    return [
        summarise_quality(member.label, tables[member.label], found, group.pages[member.label])
        for member, found in own
        if member.label in tables
    ]


@of_each_session
def look_at_session(written: Written) -> tuple[set[str], list[str], float | None]:
    """Names of the model's flavors, what is too short, and the lowest coverage of any region."""
    targets = {flavor.name for flavor in written.list_targets()}
    return targets, _say_short(written), _lowest_coverage(written)


def summarise_quality(
    label: str, rows: Columns, found: tuple[set[str], list[str], float | None], href: str
) -> QualityRow:
    """Sum up one session's rows of ``group/qc.tsv``, with what to look at."""
    fd, minutes = _worst(rows["mean_fd"], np.max), _worst(rows["minutes"], np.min)
    ends = _worst(rows["both_ends"], np.min)
    targets, flags, lowest_coverage = found
    unused = [str(name) for name in rows["flavor"][rows["used_as_input"] == 0]]
    flags = [*(f"{name} not used" for name in unused if name in targets), *flags]
    if fd is not None and fd > HIGH_FD:
        flags.append(f"mean FD {fd:.2f} mm")
    if ends is not None and ends < LOW_BOTH_ENDS:
        flags.append(f"only {ends:.0%} of streamlines end in regions")
    return QualityRow(
        label=label,
        n_measured=len(targets & set(map(str, rows["flavor"]))) or len(rows["flavor"]),
        n_inputs=int((rows["used_as_input"] == 1).sum()),
        minutes_kept=minutes,
        mean_fd=fd,
        mean_dvars=_worst(rows.get("mean_dvars"), np.max),
        median_tsnr=_worst(rows.get("median_tsnr"), np.min),
        lowest_coverage=lowest_coverage,
        n_imputed=int(_worst(rows["n_missing_regions"], np.max) or 0),
        both_ends=ends,
        flags=tuple(flags),
        href=href,
    )


def _say_short(written: Written) -> list[str]:
    """Say that fewer minutes are left than were wanted when they were measured."""
    lengths = [
        (own.effective_duration / 60, own.minutes_minimum)
        for own in written.member.measurements.values()
        if own.effective_duration is not None and own.minutes_minimum is not None
    ]
    minutes, wanted = min(lengths, default=(0.0, 0.0))
    return [f"too short: {minutes:.1f} of {wanted:g} minutes"] if minutes < wanted else []


def _worst(values: NDArray[Any] | None, pick: Any) -> float | None:
    if values is None or values.dtype.kind != "f":
        return None
    numbers = values[np.isfinite(values)]
    return float(pick(numbers)) if numbers.size else None


def _lowest_coverage(written: Written) -> float | None:
    tables = (
        read_or_none(partial(read_table, path, numbers=("coverage",)))
        for path in written.list_files("func/*_coverage.tsv")
    )
    shares = [_worst(table["coverage"], np.min) for table in tables if table is not None]
    return min((share for share in shares if share is not None), default=None)


def gather(group: WrittenGroup) -> dict[str, Any]:
    """List the sessions, and say whether anything is known of their runs and tractograms."""
    rows = group.once(list_quality)
    return {
        "rows": rows,
        "has_bold": any(row.minutes_kept is not None for row in rows),
        "has_tracts": any(row.both_ends is not None for row in rows),
    }


SECTION = Section("quality", "Quality control", "session_quality.html", gather)
