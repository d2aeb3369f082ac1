"""Metrics of every source and target."""

from kraken_bids.report.section import Section
from kraken_bids.report.sections.identifiability import SOURCE_GROUPS, read_metrics
from kraken_bids.report.written_group import WrittenGroup


def gather(group: WrittenGroup) -> list[tuple[str, str, dict[str, float]]] | None:
    """List source, target and metrics of the fused sources; None where nothing was scored."""
    metrics = group.once(read_metrics)
    rows = [(s, t, values) for (s, t), values in metrics.items() if s in SOURCE_GROUPS]
    return rows or None


SECTION = Section("metrics", "Metrics", "metric_table.html", gather)
