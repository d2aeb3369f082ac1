"""Files that belong together: bytes of some go to the disk while the next ones are written.

Each takes its name after those before it, so that a sidecar never stands beside a file that is not
there yet; but nobody waits for the disk after every single one.
"""

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from os import stat_result
from pathlib import Path

from kraken_bids.resources import Threads

N_THREADS = 4
"""Waiting for the disk: a file system puts down together what is asked for at once."""
N_WAITING = 8
"""Files that are finished and have no name yet; so many more are lost where a run is killed."""

Flush = Callable[[Path], None]
Place = Callable[[Path, Path, Future[None]], None]


class FilesTogether:
    """Finished files on their way to their places."""

    def __init__(self, pool: Threads) -> None:
        self._pool = pool
        self._coming: deque[tuple[Path, Path, Future[None], Place]] = deque()

    def add(self, temporary: Path, path: Path, *, flush: Flush, place: Place) -> None:
        """Add a file that has been written under a temporary name.

        Parameters
        ----------
        temporary, path : Path
            Its name, and the one to come.
        flush : callable
            Brings its bytes to the disk, in another thread.
        place : callable
            Gives it its name, here, once the others have theirs; gets both names and what came of
            the flush.
        """
        self._coming.append((temporary, path, self._pool.submit(flush, temporary), place))
        self.place_all(but=N_WAITING)

    def place_all(self, *, but: int = 0) -> None:
        """Give files their names in turn, but the last ones; after an error no more get theirs."""
        try:
            while len(self._coming) > but:
                temporary, path, flushed, place = self._coming[0]
                place(temporary, path, flushed)
                self._coming.popleft()
        except BaseException:
            self.drop()
            raise

    def find(self, path: Path) -> Path:
        """Find where a file is: on its way, or in its place."""
        return next((t for t, other, *_ in reversed(self._coming) if other == path), path)

    def drop(self) -> None:
        """Remove what has no name yet."""
        while self._coming:
            with suppress(OSError):
                self._coming.popleft()[0].unlink(missing_ok=True)


_TOGETHER: ContextVar[FilesTogether | None] = ContextVar("_TOGETHER", default=None)


def find_together() -> FilesTogether | None:
    """Find what files of the block that is under way go to; None outside of any."""
    return _TOGETHER.get()


def stat_written(path: Path) -> stat_result:
    """Give the status of a file that was written: size and time of change are final."""
    together = _TOGETHER.get()
    return (path if together is None else together.find(path)).stat()


@contextmanager
def finishing_together() -> Iterator[None]:
    """Let the files that are written in a block finish together, in the order they are written.

    At its end all have their names. Until then they may lack them: their status is had by
    :func:`stat_written`. Of a block in which something fails, those before it get theirs.

    Raises
    ------
    InputError
        If the bytes of one cannot be brought to the disk; those after it are lost.
    """
    if _TOGETHER.get() is not None:  # part of a larger block
        yield
        return
    with Threads(N_THREADS) as pool:
        together = FilesTogether(pool)
        token = _TOGETHER.set(together)
        try:
            yield
            together.place_all()
        except Exception:
            with suppress(Exception):
                together.place_all()
            raise
        finally:
            _TOGETHER.reset(token)
            together.drop()
