"""What the group's report shows of quality: one row per session, and what to look at."""

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kraken_bids.io.facts import read_table
from kraken_bids.pipeline.pages.tables import (
    WHOSE,
    Columns,
    label_rows,
    read_group_table,
    read_or_none,
)
from kraken_bids.pipeline.pages.written import Written
from kraken_bids.report.pages import QualityRow

LOW_BOTH_ENDS = 0.3
HIGH_FD = 0.5
NUMBERS = ("mean_fd", "minutes", "both_ends", "used_as_input", "n_missing_regions")


def read_quality(output_dir: Path) -> dict[str, Columns]:
    """Rows of ``group/qc.tsv`` by the label of their session; none where it has not run."""
    columns = read_group_table(output_dir, "qc.tsv", numbers=NUMBERS, texts=(*WHOSE, "flavor"))
    places: dict[str, list[int]] = {}
    for row, label in enumerate(label_rows(columns) if columns else ()):
        places.setdefault(label, []).append(row)
    return {
        label: {key: values[rows] for key, values in columns.items()}
        for label, rows in places.items()
    }


def summarise_quality(written: Written, rows: Columns, *, href: str) -> QualityRow:
    """Sum up one session's rows of ``group/qc.tsv``, with what to look at."""
    fd, minutes = _worst(rows["mean_fd"], np.max), _worst(rows["minutes"], np.min)
    ends = _worst(rows["both_ends"], np.min)
    unused = [str(name) for name in rows["flavor"][rows["used_as_input"] == 0]]
    model_flavors = {flavor.name for flavor in written.list_targets()}
    flags = [f"{name} not used" for name in unused if name in model_flavors]
    flags += _say_short(written)
    if fd is not None and fd > HIGH_FD:
        flags.append(f"mean FD {fd:.2f} mm")
    if ends is not None and ends < LOW_BOTH_ENDS:
        flags.append(f"only {ends:.0%} of streamlines end in regions")
    return QualityRow(
        participant=written.member.label,
        n_measured=len(model_flavors & set(map(str, rows["flavor"]))) or len(rows["flavor"]),
        n_inputs=int(np.nansum(rows["used_as_input"])),
        minutes_kept=minutes,
        mean_fd=fd,
        mean_dvars=_worst(rows.get("mean_dvars"), np.max),
        median_tsnr=_worst(rows.get("median_tsnr"), np.min),
        lowest_coverage=_lowest_coverage(written),
        n_imputed=int(np.nan_to_num(rows["n_missing_regions"]).max()),
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
