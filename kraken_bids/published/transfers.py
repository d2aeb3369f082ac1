"""One transfer over HTTP: a file grows by what an address gives, watched for speed and room."""

import errno
import logging
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.request import Request

from kraken_bids.exceptions import InputError
from kraken_bids.io.files import DISK_FULL, FILE_MODE
from kraken_bids.published.cache import PublishedFile, explain_by_hand
from kraken_bids.published.watched_answers import Watch

logger = logging.getLogger(__name__)

CHUNK = 1 << 20
ROUNDING = 1_000_000
"""Bytes by which a published size may be off: those of large files are rounded."""
LARGEST = 1 << 30
"""Bytes of a file whose size is not known; the largest that is published has half as many."""
FOR_GOOD = (400, 401, 403, 404, 405, 410, 451)
"""Answers that asking again does not change."""


@dataclass(frozen=True)
class Patience:
    """How long to wait for whom."""

    silence: float = 30.0
    """Seconds without a byte after which an address is given up for now."""
    slow_after: float = 60.0
    """Seconds after which ``slowest`` is asked of an address."""
    slowest: float = 2000.0
    """Bytes per second below which the next address is tried."""
    rounds: int = 3
    """How often all addresses are tried without a byte more than before."""
    pause: float = 2.0
    """Seconds before the second round; longer before each further one."""
    progress: float = 5.0
    """Seconds between two lines of progress."""


class AddressFailed(Exception):  # noqa: N818 - reads as what happened
    """An address that did not give the file; ``for_good`` where it never will.

    ``no_parts`` where it cannot go on with what has arrived: it is asked for the whole file next.
    """

    def __init__(self, reason: str, *, for_good: bool = False, no_parts: bool = False) -> None:
        super().__init__(reason)
        self.for_good = for_good
        self.no_parts = no_parts


def measure(part: Path) -> int:
    """Bytes that have arrived; 0 where nothing has."""
    return part.stat().st_size if part.is_file() else 0


def append_from(
    url: str, file: PublishedFile, part: Path, patience: Patience, *, whole: bool = False
) -> bool:
    """Append what is missing of ``part``; False if it was begun anew.

    Parameters
    ----------
    whole : bool, optional
        Ask for the whole file, whatever has arrived.

    Raises
    ------
    AddressFailed
        If the address gave an error, nothing, too little or too slowly.
    InputError
        If the disk is full or the folder cannot be written to.
    """
    offset = measure(part)
    headers = {"User-Agent": "kraken_bids", "Accept-Encoding": "identity"}
    if offset and not whole:
        headers["Range"] = f"bytes={offset}-"
    request = Request(url, headers=headers)  # noqa: S310 - addresses of the package's registry
    try:
        with (
            _network_errors(patience),
            Watch(2 * patience.silence) as watch,
            watch.open(request, patience.silence) as response,
        ):
            resumed = _check_answer(response, file, offset)
            begin = offset if resumed else 0
            _copy(response, file, part, offset=begin, patience=patience, watch=watch)
    except HTTPError as error:
        error.close()
        if error.code == 416 and offset:  # nothing follows: the part is whole, or wrong
            return True
        raise AddressFailed(
            f"HTTP {error.code} {error.reason}", for_good=error.code in FOR_GOOD
        ) from error
    return resumed


@contextmanager
def _network_errors(patience: Patience) -> Iterator[None]:
    """Say in what way an address failed; refusals (HTTPError) and errors of the disk pass."""
    try:
        yield
    except (HTTPError, InputError):
        raise
    except URLError as error:
        raise AddressFailed(f"cannot be reached ({error.reason})") from error
    except TimeoutError as error:
        raise AddressFailed(
            f"silent for {patience.silence:g} s, or nothing whole for twice as long"
        ) from error
    except (OSError, HTTPException, ValueError) as error:
        raise AddressFailed(f"broke off ({error!r})") from error


def _check_answer(response: HTTPResponse, file: PublishedFile, offset: int) -> bool:
    """Whether the answer is what is missing, and not the whole file; it may be neither."""
    # Before anything is written: another thing must not replace the half that has arrived.
    if response.headers.get_content_type() == "text/html":
        raise AddressFailed("gave a web page, perhaps one to log in to", for_good=True)
    is_part = response.status == 206
    found = response.headers.get("Content-Range", "")
    if is_part and not found.startswith(f"bytes {offset}-"):
        raise AddressFailed(
            f"gave another part ({found[:80]}) than that from byte {offset} on", no_parts=True
        )
    total = _read_total(response, offset if is_part else 0)
    if total is not None and not _can_be(total, file):
        raise AddressFailed(
            f"has a file of {total} bytes, where {file.size or 'fewer'} were published",
            for_good=True,
        )
    return is_part


def _read_total(response: HTTPResponse, offset: int) -> int | None:
    length = response.headers.get("Content-Length", "")
    return offset + int(length) if length.isdecimal() else None


def _can_be(total: int, file: PublishedFile) -> bool:
    return total <= LARGEST if file.size is None else abs(total - file.size) <= ROUNDING


def _copy(
    response: HTTPResponse,
    file: PublishedFile,
    part: Path,
    *,
    offset: int,
    patience: Patience,
    watch: Watch,
) -> None:
    """Write the body of an answer behind the first ``offset`` bytes of ``part``."""
    total = _read_total(response, offset)
    most = LARGEST if file.size is None else file.size + ROUNDING
    progress = _Progress(file.name, total, offset, patience)
    with disk_errors(file, part.parent):
        _check_room(part.parent, (total or 0) - offset)
        # a link in its place, which somebody else may have put there, is not followed
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW, FILE_MODE)
        out = os.fdopen(descriptor, "wb", buffering=0)
    with out:
        with disk_errors(file, part.parent):
            out.truncate(offset)
            out.seek(offset)
        # read1 gives what has arrived, so that a trickle is seen as one
        while chunk := response.read1(CHUNK):
            watch.ring()
            if progress.done + len(chunk) > most:
                out.truncate(offset)
                raise AddressFailed(f"gave more than {most} bytes", for_good=True)
            with disk_errors(file, part.parent):
                _write(chunk, out.fileno())
            progress.add(len(chunk))
        watch.ring()
        with disk_errors(file, part.parent):
            os.fsync(out.fileno())
    progress.say()
    if total is not None and progress.done < total:
        raise AddressFailed(f"broke off after {progress.done} of {total} bytes")


def _write(chunk: bytes, descriptor: int) -> None:
    rest = memoryview(chunk)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def _check_room(folder: Path, missing: int) -> None:
    free = shutil.disk_usage(folder).free
    if missing > free:
        raise OSError(errno.ENOSPC, f"{missing} bytes needed, {free} free")


@contextmanager
def disk_errors(file: PublishedFile, folder: Path) -> Iterator[None]:
    """Tell errors of the disk from those of the network."""
    try:
        yield
    except InputError:
        raise
    except OSError as error:
        raise InputError(_explain_disk(file, folder, error)) from error


def _explain_disk(file: PublishedFile, folder: Path, error: OSError) -> str:
    if error.errno in DISK_FULL:
        return (
            f"expected room for {file.name} in {folder}; the disk (or the quota) is full "
            f"({error.strerror}). Free some space, or set KRAKEN_BIDS_DATA to another folder, and "
            "run the same command again: what has arrived is kept and resumed."
        )
    return (
        f"expected to write {file.name} into {folder}; that gave: {error}. Check that the folder "
        f"may be written to, or set KRAKEN_BIDS_DATA to one that may. "
        f"{explain_by_hand(file, folder)}"
    )


class _Progress:
    """Lines of progress, and the judgement that an address is too slow."""

    def __init__(self, name: str, total: int | None, done: int, patience: Patience) -> None:
        self.name, self.total, self.done, self.patience = name, total, done, patience
        self.begin = self.said = self.since = time.monotonic()
        self.first = self.then = done
        verb = "resuming" if done else "downloading"
        logger.info("%s %s%s", verb, name, f" ({total / 1e6:.1f} MB)" if total else "")

    def add(self, n_bytes: int) -> None:
        """Count bytes; fails where too few came in the last while."""
        self.done += n_bytes
        now = time.monotonic()
        if now - self.said >= self.patience.progress:
            self.said = now
            self.say()
        if now - self.since >= self.patience.slow_after:
            speed = (self.done - self.then) / (now - self.since)
            if speed < self.patience.slowest:
                raise AddressFailed(f"too slow ({speed:.0f} bytes per second)")
            self.since, self.then = now, self.done

    def say(self) -> None:
        """Log one line."""
        total = self.total
        share = f" of {total / 1e6:.1f} MB ({self.done / total:.0%})" if total else " MB"
        speed = (self.done - self.first) / 1e6 / max(time.monotonic() - self.begin, 1e-6)
        logger.info("%s: %.1f%s, %.1f MB/s", self.name, self.done / 1e6, share, speed)
