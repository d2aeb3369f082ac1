"""Byte streams of track files, compressed or not, and what to say when one was cut."""

from pathlib import Path
from typing import BinaryIO, cast

from kraken_bids.files import explain_absence

MAX_TRACK_VERTICES = 1 << 24
"""More vertices in one track than any tracking makes: the file is damaged."""


def open_stream(path: Path) -> BinaryIO:
    """Open a file to read its bytes, unpacked where its name ends with ``.gz``."""
    if path.name.lower().endswith(".gz"):
        from isal import igzip

        return cast(BinaryIO, igzip.open(path, "rb"))  # type: ignore[no-untyped-call]
    return path.open("rb")


def explain_cut(path: Path, error: Exception) -> str:
    """Say that a track file was cut or damaged, and what to do."""
    size = path.stat().st_size if path.is_file() else 0
    return (
        f"expected a whole track file at {path}; it is cut in the middle: {size} bytes, and then: "
        f"{error}. {explain_absence(path) or 'Copy it again, or write it again.'}"
    )
