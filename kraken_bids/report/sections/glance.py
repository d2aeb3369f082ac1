"""How well the predictions of a session match what was measured, in one table."""

from collections.abc import Iterable
from typing import Any

from kraken_bids.report.panels import FlavorPanel, list_panels
from kraken_bids.report.section import Section
from kraken_bids.report.words import explain_source
from kraken_bids.scores.quality_control import CROSS_MODAL


def _name_column(panel: FlavorPanel, source: str) -> str:
    """Name the column of a prediction: those across modalities share one."""
    is_across = source == CROSS_MODAL[panel.group]
    words = explain_source(source).replace("Predicted f", "f")
    return "from the other modality alone" if is_across else words


def list_predictions(panels: Iterable[FlavorPanel]) -> dict[str, Any] | None:
    """List the predictions of every flavor by the column that they stand in; None without any."""
    rows = [
        (panel, {_name_column(panel, one.source): one for one in panel.predictions})
        for panel in panels
        if panel.predictions
    ]
    columns = tuple(dict.fromkeys(name for _, own in rows for name in own))
    return {"rows": rows, "columns": columns} if rows else None


SECTION = Section(
    "glance",
    "Predictions at a glance",
    "glance.html",
    lambda written: list_predictions(written.once(list_panels)),
)
