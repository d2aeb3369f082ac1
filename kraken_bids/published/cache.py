"""Published files in the cache: what a sound copy is, and how to get one by hand."""

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from kraken_bids.exceptions import InputError
from kraken_bids.io.digests import compute_sha256
from kraken_bids.io.files import atomic_path

STAMP_VERSION = 1
"""Another number makes every file be read again."""


@dataclass(frozen=True)
class PublishedFile:
    """One published file."""

    name: str
    """File name."""
    urls: tuple[str, ...]
    """Addresses that serve it, each the same bytes."""
    sha256: str
    """What a sound copy has."""
    size: int | None = None
    """Size in bytes, where it is known; of large files to the megabyte."""
    licence: str = ""
    """Terms of use in a few words."""


def check_copy(path: Path, sha256: str, *, read_again: bool = False) -> str:
    """Compare a file with its published SHA-256; '' where it is sound, else what was found.

    A stamp beside the file (``.<name>.sha256``) remembers a sound copy by size and time of
    change, so that gigabytes are not read at each start.

    Parameters
    ----------
    sha256 : str
        What the file must have.
    read_again : bool
        Read the whole file whatever the stamp says.
    """
    stamp, line = _stamp(path, sha256)
    if not read_again:
        with suppress(OSError, UnicodeDecodeError):
            if stamp.read_text(encoding="utf-8") == line:
                return ""
    found = compute_sha256(path)
    if found != sha256:
        return found
    _write_stamp(stamp, line)
    return ""


def remember_copy(path: Path, sha256: str) -> None:
    """Note that a file, as it is now, has this SHA-256; :func:`check_copy` need not read it."""
    _write_stamp(*_stamp(path, sha256))


def explain_by_hand(file: PublishedFile, folder: Path) -> str:
    """Say where to get a file by hand, and where to put it."""
    addresses = " or ".join(file.urls)
    return (
        f"By hand: get {addresses}, save it as {folder / file.name} "
        f"(SHA-256 {file.sha256}). KRAKEN_BIDS_DATA names another folder for all such files."
    )


def _stamp(path: Path, sha256: str) -> tuple[Path, str]:
    state = path.stat()
    line = f"{STAMP_VERSION} {sha256} {state.st_size} {state.st_mtime_ns}\n"
    return path.with_name(f".{path.name}.sha256"), line


def _write_stamp(stamp: Path, line: str) -> None:
    # A cache that may only be read has no stamps: its files are read at each start.
    with suppress(OSError, InputError), atomic_path(stamp) as temporary:
        temporary.write_text(line, encoding="utf-8")
