"""The group's tables, read back for the reports."""

from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from kraken_bids.bids.outputs import group_path
from kraken_bids.bids.read import read_columns

Columns = dict[str, NDArray[Any]]


def read_group_table(output_dir: Path, name: str) -> Columns:
    """Columns of a table that the group level has written; none where it has not."""
    path = group_path(output_dir, name)
    return read_columns(path) if path.exists() else {}


def label_rows(columns: Columns) -> list[str]:
    """``sub-01`` or ``sub-01_ses-1`` of every row."""
    return [
        str(participant) + ("" if _is_absent(session) else f"_{session}")
        for participant, session in zip(
            columns["participant_id"], columns["session_id"], strict=True
        )
    ]


def _is_absent(value: object) -> bool:
    return str(value) in {"n/a", "nan"}
