"""Work that threads share: part by part, and all of it ends where one of them fails."""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import CancelledError, wait
from contextvars import ContextVar
from functools import lru_cache
from typing import TypeVar

from kraken_bids.resources import Threads

Part = TypeVar("Part")
Result = TypeVar("Result")

_ERRORS: ContextVar[tuple[list[BaseException], ...]] = ContextVar("_ERRORS", default=())
"""What ended the work on any part, here and wherever this work is itself a part."""


def share_parts(
    work: Callable[[Part], Result], parts: Iterable[Part], n_threads: int
) -> list[Result]:
    """Results of all parts in their order; threads, this one among them, take part by part.

    Whoever waits for others while they compute is woken at each result, and disturbs them. Work
    that is shared may share parts of its own: threads that are idle take these too.
    """
    parts = list(parts)
    if min(n_threads, len(parts)) <= 1:
        return [work(part) for part in parts]
    results: dict[int, Result] = {}
    left = deque(enumerate(parts))

    def take() -> None:
        try:
            while left:
                try:
                    k, part = left.popleft()
                except IndexError:  # another one was faster
                    return
                results[k] = work(part)
        except BaseException:
            left.clear()
            raise

    # one more than compute: whoever shares parts of a part waits for them
    threads = _start_threads(n_threads)
    others = [threads.submit(take) for _ in range(min(n_threads, len(parts)) - 1)]
    try:
        take()
    finally:
        # a thread that is still busy elsewhere comes too late
        others = [other for other in others if not other.cancel()]
        wait(others)
    for other in others:
        other.result()
    return [results[k] for k in range(len(parts))]


def share_work(
    work: Callable[[Part], Result], parts: Iterable[Part], n_threads: int
) -> list[Result]:
    """Share parts of which each takes long, as :func:`share_parts` does.

    Raises
    ------
    Exception
        What was raised first; the work on other parts ends at its next :func:`check_wanted`.
    """
    errors: list[BaseException] = []

    def do(part: Part) -> Result:
        try:
            return work(part)
        except BaseException as error:
            errors.append(error)
            raise

    before = _ERRORS.set((*_ERRORS.get(), errors))
    try:
        return share_parts(do, parts, n_threads)
    except BaseException as error:  # noqa: BLE001 - the first one is raised, whatever it was
        errors.append(error)  # of this thread, while it waited for the others
        raise errors[0]  # noqa: B904 - which has its own cause
    finally:
        _ERRORS.reset(before)


def check_wanted() -> None:
    """Raise CancelledError if the work on another part has ended with an error."""
    if any(_ERRORS.get()):
        raise CancelledError("the work on another part has ended with an error")


def while_wanted(items: Iterable[Part]) -> Iterator[Part]:
    """Give items as long as no other part has ended with an error (:func:`check_wanted`)."""
    for item in items:
        check_wanted()
        yield item


@lru_cache(maxsize=1)
def _start_threads(n_threads: int) -> Threads:
    """Threads that stay: starting them for each of many multiplications costs a tenth of all."""
    return Threads(n_threads)


if hasattr(os, "register_at_fork"):
    # a forked process has the pool, and none of its threads
    os.register_at_fork(after_in_child=_start_threads.cache_clear)
