"""The group's tables, read back for the reports."""

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from numpy.typing import NDArray

from kraken_bids.bids.outputs import group_path
from kraken_bids.exceptions import KrakenBidsError
from kraken_bids.io.facts import read_table

logger = logging.getLogger(__name__)

Columns = dict[str, NDArray[Any]]
WHOSE = ("participant_id", "session_id")
"""Columns of text that say whose row it is."""
T = TypeVar("T")


def read_group_table(
    output_dir: Path, name: str, *, numbers: Sequence[str] = (), texts: Sequence[str] = ()
) -> Columns:
    """Columns of a table that the group level has written; none where it has not.

    Those named are there, and are numbers or texts; a table that is damaged is passed over.
    """
    path = group_path(output_dir, name)
    if not path.exists():
        return {}
    return read_or_none(lambda: read_table(path, numbers=numbers, texts=texts)) or {}


def read_or_none(read: Callable[[], T]) -> T | None:
    """Read something; None where it is damaged, which is said, so that the rest can be shown."""
    try:
        return read()
    except (KrakenBidsError, OSError) as error:
        logger.warning("left out of the report: %s", error)
        return None


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
