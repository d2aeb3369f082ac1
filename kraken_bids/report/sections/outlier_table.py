"""Subjects whose latents are far from the others'."""

from typing import Any

from kraken_bids.report.section import Section
from kraken_bids.report.subjects import read_outliers
from kraken_bids.report.written_group import WrittenGroup, label_rows


def list_outliers(group: WrittenGroup) -> dict[str, Any]:
    """Read the outliers, and how many sessions were compared, from ``group/outliers.tsv``."""
    columns = group.once(read_outliers)
    labels = label_rows(columns) if columns else []
    rows = [
        {
            "label": labels[k],
            "distance": float(columns["distance"][k]),
            "z": float(columns["z"][k]),
            "source": str(columns["source"][k]),
            "href": group.pages.get(labels[k], ""),
        }
        for k, is_outlier in enumerate(columns["outlier"] if columns else ())
        if is_outlier == 1
    ]
    return {"rows": rows, "n_judged": len(set(labels))}


SECTION = Section(
    "outliers", "Outliers", "outlier_table.html", lambda group: group.once(list_outliers)
)
