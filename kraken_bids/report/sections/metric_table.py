"""Metrics of every source and target."""

from kraken_bids.report.section import Section
from kraken_bids.report.sections.identifiability import SOURCE_GROUPS, read_metric_rows
from kraken_bids.report.words import format_fixed
from kraken_bids.report.written_group import WrittenGroup
from kraken_bids.scores.quality_control import Metric

Row = tuple[str, str, dict[str, Metric]]


def gather(group: WrittenGroup) -> list[Row] | None:
    """List source, target and metrics of the fused sources; None where nothing was scored."""
    metrics = group.once(read_metric_rows)
    rows = [(s, t, values) for (s, t), values in metrics.items() if s in SOURCE_GROUPS]
    return rows or None


def show_value(values: dict[str, Metric], name: str) -> str:
    """Write the value of a metric; a dash where it is not known."""
    return format_fixed(values[name].value if name in values else None)


def show_uncertain(values: dict[str, Metric], name: str) -> str:
    """Write a value with its interval."""
    row = values.get(name)
    if row is None or row.low is None or row.high is None:
        return show_value(values, name)
    return f"{format_fixed(row.value)} [{format_fixed(row.low)}, {format_fixed(row.high)}]"


def show_p(values: dict[str, Metric], name: str) -> str:
    """Write the permutation p-value of a metric, to stand behind it; nothing without one."""
    p = values[name].p if name in values else None
    return "" if p is None else "p < 0.001" if p < 0.001 else f"p = {p:.3f}"


def show_ceiling(values: dict[str, Metric], name: str) -> str:
    """Write a ceiling and what it rests on."""
    row = values.get(name)
    if row is None or row.basis in {None, "unknown"}:
        return "unknown"
    return f"{format_fixed(row.value)} ({row.basis})"


SECTION = Section(
    "metrics",
    "Metrics",
    "metric_table.html",
    gather,
    words={
        "show_value": show_value,
        "show_uncertain": show_uncertain,
        "show_p": show_p,
        "show_ceiling": show_ceiling,
    },
)
