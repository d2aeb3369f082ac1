"""Byte streams of files, compressed or not, and what to say when one was cut."""

import zlib
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


def damage_errors() -> tuple[type[Exception], ...]:
    """List what reading a cut or damaged stream raises, for an ``except``.

    A damaged block of compressed bytes raises isal's own error, which is none of zlib's.
    """
    from isal import isal_zlib

    damaged: type[Exception] = isal_zlib.IsalError  # type: ignore[assignment]
    return EOFError, OSError, zlib.error, damaged


def explain_cut(path: Path, error: Exception) -> str:
    """Say that a track file was cut or damaged, and what to do."""
    size = path.stat().st_size if path.is_file() else 0
    return (
        f"expected a whole track file at {path}; it is cut in the middle: {size} bytes, and then: "
        f"{error}. {explain_absence(path) or 'Copy it again, or write it again.'}"
    )
