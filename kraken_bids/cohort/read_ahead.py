"""Reading ahead and writing behind: one thread beside the one that computes."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeVar

from kraken_bids.resources import Threads

Item = TypeVar("Item")

WAITING = 2
"""Items that may wait to be written: bounds the memory."""

_ARE_ALL_BUSY = ContextVar("_ARE_ALL_BUSY", default=False)


@contextmanager
def keeping_threads_busy() -> Iterator[None]:
    """Let nothing be read ahead: every thread that may be used has work of its own."""
    before = _ARE_ALL_BUSY.set(True)
    try:
        yield
    finally:
        _ARE_ALL_BUSY.reset(before)


def read_ahead(items: Iterable[Item]) -> Iterator[Item]:
    """Give items one by one, while the next one is made in another thread."""
    if _ARE_ALL_BUSY.get():
        yield from items
        return
    iterator = iter(items)

    def take() -> list[Item]:
        return [item for _, item in zip(range(1), iterator, strict=False)]

    with Threads(1) as pool:
        taken = pool.submit(take)
        while found := taken.result():
            taken = pool.submit(take)
            yield from found


def write_behind(items: Iterable[Item], write: Callable[[Item], None]) -> None:
    """Write items in their order in another thread, while the next one is made here.

    Raises
    ------
    Exception
        What making or writing an item raises.
    """
    pending: deque[Future[None]] = deque()
    with Threads(1) as pool:
        for item in items:
            pending.append(pool.submit(write, item))
            if len(pending) > WAITING:
                pending.popleft().result()
        for future in pending:
            future.result()
