"""Downloads of published files: resumed, from any of their addresses, none used unverified.

A file grows as ``.<name>.part`` beside its place and takes its name only once its SHA-256 is
right. A lock per file lets one process of many download it while the others wait.
"""

import logging
import os
import secrets
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from kraken_bids.exceptions import InputError
from kraken_bids.io.digests import compute_sha256
from kraken_bids.io.file_control import open_locked
from kraken_bids.io.files import FILE_MODE
from kraken_bids.published.cache import PublishedFile, check_copy, explain_by_hand
from kraken_bids.published.transfers import (
    AddressFailed,
    Patience,
    append_from,
    disk_errors,
    measure,
)

logger = logging.getLogger(__name__)


def fetch_file(file: PublishedFile, folder: Path, patience: Patience | None = None) -> bool:
    """Make sure that a sound copy of a file is in a folder; True where it was downloaded.

    A copy that is there is read and verified, and replaced only if it is damaged.

    Parameters
    ----------
    folder : Path
        Made if it does not exist.

    Raises
    ------
    InputError
        If no address gave the file, the disk is full, or the folder cannot be written to.
    """
    path = folder / file.name
    with disk_errors(file, folder):
        # Sound files of a cache that may only be read need neither lock nor folder.
        if path.is_file() and not check_copy(path, file.sha256, read_again=True):
            return False
        folder.mkdir(parents=True, exist_ok=True)
        with _locked(folder, file.name) as part:
            if path.is_file():
                if not check_copy(path, file.sha256, read_again=True):
                    return False
                logger.warning("%s is damaged (wrong SHA-256): downloading it again", path)
            _download(file, part, patience or Patience())
            part.replace(path)
            check_copy(path, file.sha256)
    return True


def find_part(path: Path) -> Path | None:
    """Return what an interrupted download of ``path`` left, to be resumed; None if nothing."""
    part = path.with_name(f".{path.name}.part")
    return part if part.is_file() else None


@contextmanager
def _locked(folder: Path, name: str) -> Iterator[Path]:
    """Give the path of the growing file, to one process at a time."""
    descriptor = _take_lock(folder / f".{name}.lock")
    if descriptor is not None:
        try:
            yield folder / f".{name}.part"
        finally:
            os.close(descriptor)
        return
    # No locks on this file system, or another user's lock file: a part of our own then.
    part = folder / f".{name}.{os.getpid()}-{secrets.token_hex(4)}.part"
    try:
        yield part
    finally:
        part.unlink(missing_ok=True)


def _take_lock(lock: Path) -> int | None:
    """Wait for the lock; None where there are no locks."""

    def say_waiting() -> None:
        logger.info("%s: another process is downloading it; waiting", lock.stem[1:])

    try:
        return open_locked(lock, FILE_MODE, say_waiting=say_waiting)
    except OSError:
        return None


def _download(file: PublishedFile, part: Path, patience: Patience) -> None:
    """Fill ``part`` from the addresses in turn until its SHA-256 is right."""
    failures: dict[str, AddressFailed] = {}
    vain = 0
    most = measure(part)
    while vain < patience.rounds:
        urls = [u for u in file.urls if u not in failures or not failures[u].for_good]
        if not urls:
            break
        if failures:
            time.sleep(patience.pause * max(vain, 1))
        for url in urls:
            try:
                whole = url in failures and failures[url].no_parts
                _download_from(url, file, part, patience, whole=whole)
            except AddressFailed as failure:
                logger.warning("%s from %s: %s", file.name, url, failure)
                failures[url] = failure
            else:
                return
        # A line that breaks now and then gets a large file in the end.
        vain = 0 if measure(part) > most else vain + 1
        most = max(most, measure(part))
    raise InputError(_explain_failure(file, part, failures))


def _explain_failure(
    file: PublishedFile, part: Path, failures: Mapping[str, AddressFailed]
) -> str:
    tried = "\n".join(f"  {url}: {failure}" for url, failure in failures.items())
    size = measure(part)
    kept = f" What has arrived ({size} bytes) is kept and resumed." if size else ""
    return (
        f"expected to download {file.name}; none of its addresses gave it:\n{tried}\n"
        f"Check the network (and https_proxy) and run the same command again.{kept} "
        f"{explain_by_hand(file, part.parent)}"
    )


def _download_from(
    url: str, file: PublishedFile, part: Path, patience: Patience, *, whole: bool
) -> None:
    """Take one address; a resumed file with a wrong SHA-256 gets a second chance, from scratch."""
    while True:
        offset = measure(part)
        resumed = append_from(url, file, part, patience, whole=whole)
        found = compute_sha256(part)
        if found == file.sha256:
            return
        size = part.stat().st_size
        part.unlink()
        if not (offset and resumed):
            raise AddressFailed(
                f"gave another file ({size} bytes, SHA-256 {found})", for_good=True
            )
        logger.warning("%s: the resumed file is not the published one; from scratch", file.name)
