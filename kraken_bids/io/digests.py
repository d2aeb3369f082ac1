"""Digests of values and files, which tell whether a result is up to date."""

import hashlib
import json
from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

HASHED_BYTES = 1 << 20
MAX_RECALLED = 1 << 15
"""Digests that a process remembers: 10 MB."""


def compute_sha256(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def recall_sha256(path: Path) -> str:
    """SHA-256 of a file that this process may have read before.

    It is read again where its node, size or a time of change is another; a check of what is on
    the disk asks :func:`compute_sha256`.
    """
    status = path.stat()
    stamps = status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns
    return _recall_sha256(path, stamps)


@lru_cache(maxsize=MAX_RECALLED)
def _recall_sha256(path: Path, _stamps: tuple[int, ...]) -> str:
    return compute_sha256(path)


def fingerprint(path: Path) -> dict[str, Any]:
    """Say which file was read: its name, size, and SHA-256 of its first and last MiB."""
    size = path.stat().st_size
    if not path.is_file():
        return {"Path": path.resolve().name}
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        digest.update(stream.read(HASHED_BYTES))
        stream.seek(max(HASHED_BYTES, size - HASHED_BYTES))
        digest.update(stream.read())
    return {"Path": str(path), "Bytes": size, "SHA256OfEnds": digest.hexdigest()}


def digest(*parts: object) -> str:
    """SHA-256 over values that JSON can hold, for telling whether a result is up to date."""
    text = json.dumps(parts, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def _list_files(paths: Iterable[Path | None]) -> Iterator[Path]:
    for path in paths:
        if path is not None and path.is_dir():
            yield from sorted(inner for inner in path.rglob("*") if inner.is_file())
        elif path is not None:
            yield path


def file_stamps(paths: Iterable[Path | None]) -> list[tuple[str, int, int]]:
    """Name, size and time of change of each file: what tells that an input changed.

    Of a folder (an unpacked ``.trx``) the files in it count.
    """
    stamps = []
    for path in _list_files(paths):
        if path.exists():
            status = path.stat()
            stamps.append((path.name, status.st_size, status.st_mtime_ns))
    return stamps
