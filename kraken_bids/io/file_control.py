"""Locks between processes and wide pipes, on systems that have them."""

import errno
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

try:
    import fcntl
except ImportError:  # no Unix
    fcntl = None  # type: ignore[assignment]
HAS_LOCKS = fcntl is not None


def open_locked(path: Path, mode: int, *, say_waiting: Callable[[], None] = lambda: None) -> int:
    """Wait for a lock, and give the descriptor whose closing lets it go.

    The lock file stays: to remove it would let two processes lock two files.

    Parameters
    ----------
    path : Path
        Lock file, made where it is not there; a link in its place is not followed.
    mode : int
        Of the file.
    say_waiting : callable, optional
        Called where another process has the lock.

    Raises
    ------
    OSError
        If there are no locks: a system or a file system without them, another user's lock file,
        a link in its place.
    """
    if fcntl is None:
        raise OSError(errno.ENOSYS, "this system has none that Python knows")
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, mode)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say_waiting()
            fcntl.flock(descriptor, fcntl.LOCK_EX)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def lock_open(stream: IO[Any] | None) -> None:
    """Lock a file for as long as this process has it open, where there are locks."""
    with suppress(OSError):
        if HAS_LOCKS and stream is not None:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)


def is_locked(path: Path) -> bool | None:
    """Whether a process has locked a file; None where there are no locks."""
    if not HAS_LOCKS:
        return None
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return None
    finally:
        os.close(descriptor)
    return False


def widen_pipe(pipe: IO[Any], n_bytes: int) -> None:
    """Let a pipe hold more before its writer waits, on Linux.

    Raises
    ------
    OSError
        If pipes of this user hold too much already.
    """
    if hasattr(fcntl, "F_SETPIPE_SZ"):
        fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, n_bytes)
