"""Outputs that are no regular files: pipes, devices, what a process holds open."""

import os
import re
import shutil
import stat
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

OWN_DESCRIPTOR = re.compile(r"/(?:dev|proc/self|proc/thread-self)/(?:fd/)?(stdout|stderr|[0-9]+)")
NUMBERS = {"stdout": 1, "stderr": 2}
HELD_OPEN = re.compile(r"/proc/[^/]+/fd/[^/]+|/dev/(?:fd/[^/]+|stdin|stdout|stderr)")
MAX_LINKS = 40

SENT_BYTES = 1 << 28
"""Behind the place of a file, where what was sent before is forgotten once it is on the disk."""


def is_stream(path: Path) -> bool:
    """Whether a path is a pipe, a device, or a name of what a process holds open.

    Such a path is written through: a new file in its place would take it away from everyone.
    """
    place = Path(path)
    for _ in range(MAX_LINKS):
        if HELD_OPEN.fullmatch(str(place.absolute())):
            return True
        if not place.is_symlink():
            break
        place = place.parent / place.readlink()
    try:
        mode = Path(path).stat().st_mode
    except OSError:
        return False
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))


@contextmanager
def write_through(path: Path) -> Iterator[Path]:
    """Give a temporary file whose content goes into a stream if the block ends well.

    Parameters
    ----------
    path : Path
        The stream.

    Yields
    ------
    Path
        Where to write; it keeps the suffix. Formats that go back and forth can be written so.

    Raises
    ------
    OSError
        If nobody reads the pipe any more, or the device takes nothing.
    """
    with tempfile.TemporaryDirectory(prefix="kraken-") as folder:
        temporary = Path(folder) / (path.name or "output")
        yield temporary
        with temporary.open("rb") as source, _open(path) as target:
            shutil.copyfileobj(source, target)


def _open(path: Path) -> IO[bytes]:
    """Open a stream for writing; a descriptor of this process where it stands, not anew."""
    own = OWN_DESCRIPTOR.fullmatch(str(Path(path).absolute()))
    if own is None:
        return path.open("wb")
    sys.stdout.flush()
    number = own.group(1)
    return os.fdopen(os.dup(NUMBERS.get(number) or int(number)), "wb")


def send_to_disk(file: IO[bytes]) -> None:
    """Begin to put onto the disk what lies before the place of a file, without waiting for it.

    Otherwise a large file fills the memory for pages, and is put onto the disk when it is whole,
    while nothing is computed.
    """
    if not hasattr(os, "posix_fadvise"):
        return
    with suppress(OSError):  # no file of a disk
        stop = file.tell()
        start = max(0, stop - SENT_BYTES)
        os.posix_fadvise(file.fileno(), start, stop - start, os.POSIX_FADV_DONTNEED)
