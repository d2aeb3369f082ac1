"""What every room needs of the file system: whole files or none, and the cache folder."""

import errno
import hashlib
import logging
import os
import platform
import re
import secrets
import shutil
import sys
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

from kraken_bids.exceptions import InputError
from kraken_bids.io.file_control import open_locked
from kraken_bids.io.files_together import find_together
from kraken_bids.io.output_streams import is_stream, write_through
from kraken_bids.resources import run_at_once

logger = logging.getLogger(__name__)

CACHE_VARIABLE = "KRAKEN_BIDS_DATA"
_UMASK = os.umask(0o077)
os.umask(_UMASK)
FILE_MODE = 0o666 & ~_UMASK
"""What the user's umask gives new files; some libraries write theirs for their owner alone."""
DISK_FULL = (errno.ENOSPC, errno.EDQUOT)
NOT_THERE = (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EPERM)
"""What a file system answers to a call that it does not have (SMB, FUSE, vfat)."""
LEFTOVER = re.compile(r"\..+\.(\d+)-([0-9a-f]{8})(?:[0-9a-f]{8})?\.tmp(\..+)?")
"""Names of files that are being written: process, machine and a random part."""
LEFTOVER_AGE_S = 24 * 3600
"""Nobody writes a file for longer."""
POINTERS = (b"/annex/objects/", b"version https://git-lfs")
"""How a file begins in whose place git-annex or git LFS left a note."""


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Give a temporary path that becomes ``path`` if the block ends well, and vanishes if not.

    It lies in the same folder (which is made), starts with a dot and keeps the suffix: a killed
    run leaves at most such a file (:func:`remove_leftovers`), never half a file under its final
    name. A pipe or a device stays what it is: the content is written through it. Within
    :func:`~kraken_bids.io.files_together.finishing_together` it gets its name a little later.

    Parameters
    ----------
    path : path
        The file to be.

    Yields
    ------
    path
        Where to write.

    Raises
    ------
    InputError
        If the disk is full or the folder cannot be written to.
    """
    path = Path(path)
    with explaining_writes(path):  # nobody may look into a closed folder
        is_open = is_stream(path)
    if is_open:
        with explaining_writes(path), write_through(path) as temporary:
            yield temporary
        return
    token = f"{os.getpid()}-{_machine()}{secrets.token_hex(4)}"
    temporary = path.with_name(f".{path.stem}.{token}.tmp{path.suffix}")
    together, is_on_its_way = find_together(), False
    try:
        with explaining_writes(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            _clear(path.parent)
            yield temporary
            with _where_there_is_such("modes of files"):
                temporary.chmod(FILE_MODE)
            if together is None:
                _place(temporary, path, run_at_once(_flush, temporary))
            else:
                is_on_its_way = True
                together.add(temporary, path, flush=_flush, place=_place)
    finally:
        if not is_on_its_way:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)


def _place(temporary: Path, path: Path, flushed: Future[None]) -> None:
    """Give a file its name, once its bytes are on the disk."""
    with explaining_writes(path):
        flushed.result()
        if path.is_dir() and not path.is_symlink():
            path.rmdir()  # an empty one: a container's mount of a file that was not there
        temporary.replace(path)


def make_folder(path: Path) -> None:
    """Make a folder for results, with those above it, unless it is there.

    Raises
    ------
    InputError
        If something else has its name (a file, a pipe, a device), or it cannot be made.
    """
    with explaining_writes(Path(path)):
        Path(path).mkdir(parents=True, exist_ok=True)


@contextmanager
def explaining_writes(path: Path) -> Iterator[None]:
    """Turn what goes wrong while something is written into an error that says what to do."""
    try:
        yield
    except InputError:
        raise
    except OSError as error:
        raise InputError(_explain(path, error)) from error


def remove_leftovers(folder: Path, *, deep: bool = True) -> list[Path]:
    """Remove what killed runs left half-written in a folder.

    Files of a process of this machine that is gone go at once, others after a day.

    Parameters
    ----------
    deep : bool, optional
        Whether the folders in it are searched too.

    Returns
    -------
    list of Path
        What stays: somebody writes it, or is just about to end.
    """
    found: list[Path] = []
    for place, folders, names in os.walk(folder):
        found += [Path(place, name) for name in [*names, *folders] if LEFTOVER.fullmatch(name)]
        if not deep:
            folders.clear()
    return remove_orphans(found)


def remove_orphans(paths: Iterable[Path]) -> list[Path]:
    """Remove half-written files of processes that are gone; returns the others."""
    kept = []
    for path in paths:
        with suppress(OSError):  # somebody else may remove it, or own it
            if not _is_orphan(path):
                kept.append(path)
            elif path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()
    return kept


def take_lock(path: Path) -> int | None:
    """Wait for a lock, and give the descriptor whose closing lets it go.

    None where there are no locks (:func:`~kraken_bids.io.file_control.open_locked`), which is
    said once: then nothing keeps two jobs from writing the same participants' files at once.
    """
    try:
        return open_locked(path, FILE_MODE)
    except OSError as error:
        _say_once(
            f"locks ({error.strerror}): do not run two jobs on the same participants at once"
        )
        return None


def find_cache_folder() -> Path:
    """Folder of downloaded files: ``$KRAKEN_BIDS_DATA``, else in the user's cache folder."""
    if os.environ.get(CACHE_VARIABLE):
        return Path(os.environ[CACHE_VARIABLE]).expanduser()
    if os.environ.get("XDG_CACHE_HOME"):
        return Path(os.environ["XDG_CACHE_HOME"]) / "kraken_bids"
    try:
        home = Path("~").expanduser()
    except RuntimeError:  # a container's user without a name and without HOME
        home = Path("/")
    caches = home / "Library" / "Caches" if sys.platform == "darwin" else home / ".cache"
    return caches / "kraken_bids"


def explain_absence(path: Path) -> str:
    """Say what to do where a file is listed and its content was never fetched; else ''.

    So it is with links of git-annex and DataLad to nowhere, and with what they or git LFS leave
    in place of a file.
    """
    path = Path(path)
    if not os.access(path.parent, os.X_OK):  # nobody may look
        return ""
    if path.is_symlink() and not path.exists():
        found = f"a link to {path.readlink()}, where nothing is"
    elif path.is_file() and _starts_as_pointer(path):
        found = "a note in place of the content"
    else:
        return ""
    return (
        f"It is {found}: get the content, in a DataLad or git-annex dataset with datalad get "
        f"{path.name}, in one of git LFS with git lfs pull. In a container, mount also the folder "
        "that links lead to."
    )


def _starts_as_pointer(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(max(map(len, POINTERS))).startswith(POINTERS)
    except OSError:
        return False


@cache
def _machine() -> str:
    """Eight letters for where process numbers mean something: a boot of a host, or a container."""
    parts = [platform.node()]
    with suppress(OSError):
        parts.append(Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii"))
        parts.append(str(Path("/proc/self/ns/pid").readlink()))
    return hashlib.sha256(" ".join(parts).encode()).hexdigest()[:8]


def _is_orphan(path: Path) -> bool:
    """Whether nobody writes a half-written file any more."""
    found = LEFTOVER.fullmatch(path.name)
    assert found is not None
    if found[2] == _machine() and _has_ended(int(found[1])):
        return True
    return path.stat().st_mtime < time.time() - LEFTOVER_AGE_S


def _has_ended(pid: int) -> bool:
    """Whether a process is gone; a killed one keeps its number until its parent asks for it."""
    try:
        os.kill(pid, 0)
        state = Path(f"/proc/{pid}/stat").read_text(encoding="latin-1").rpartition(")")[2]
    except ProcessLookupError:
        return True
    except (OSError, OverflowError):
        return False
    return state.split()[:1] in (["Z"], ["X"])


@cache
def _clear(folder: Path) -> None:
    """Remove what killed runs left half-written in a folder, before the first file goes there."""
    remove_leftovers(folder, deep=False)


@cache
def _say_once(what: str) -> None:
    logger.warning("the file system of the results has no %s", what)


def _flush(path: Path) -> None:
    """Make sure that the bytes are on the disk before the name is."""
    what = "fsync: what is written may be lost with the power"
    with _where_there_is_such(what), path.open("rb") as file:
        os.fsync(file.fileno())


@contextmanager
def _where_there_is_such(what: str) -> Iterator[None]:
    """Pass over a call that the file system does not have, and say so."""
    try:
        yield
    except OSError as error:
        if error.errno not in NOT_THERE:
            raise
        _say_once(what)


def is_disk_full(error: BaseException | None) -> bool:
    """Whether an error of writing means that there was no room; h5py says so in words only."""
    return isinstance(error, OSError) and (
        error.errno in DISK_FULL or os.strerror(errno.ENOSPC) in str(error)
    )


def _explain(path: Path, error: OSError) -> str:
    if is_disk_full(error):
        return (
            f"expected room for {path}; the disk (or the quota) is full, so {path.name} was not "
            "written. Free some space and rerun the same command: finished files are kept."
        )
    return (
        f"expected to write {path}; writing gave: {error}. Check that the output folder may be "
        "written to (in a container: that it is mounted, and for this user)."
    )
