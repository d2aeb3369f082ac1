"""Several multiplications at once, each by one thread, so that their number changes no bit.

A multiplication that is itself spread over threads is cut differently for each number of them,
and rounds differently. Waiting threads here also sleep, where those of a BLAS may spin.
"""

import os
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import TypeVar

from threadpoolctl import ThreadpoolController

from kraken_bids.models.krakencoder.devices import Device
from kraken_bids.resources import Threads

Part = TypeVar("Part")
Result = TypeVar("Result")


@contextmanager
def single_thread() -> Iterator[int]:
    """Let numpy use one thread per multiplication; gives the number it was allowed before.

    That number is one for the whole process, so Python threads wait here for each other: each uses
    all that numpy may. Where numpy may use one thread anyway, they compute at once.
    """
    with _find_lock():
        blas = _find_blas()
        n_threads = max((library.num_threads for library in blas.lib_controllers), default=1)
        if n_threads > 1:
            with blas.limit(limits=1):
                yield n_threads
            return
    yield 1


def run_parts(
    work: Callable[[Part], Result], parts: Iterable[Part], device: Device
) -> list[Result]:
    """Results of all parts in their order; on a CPU as many at once as numpy may use threads."""
    if device.is_gpu:
        return [work(part) for part in parts]
    with single_thread() as n_threads:
        if n_threads == 1:
            return [work(part) for part in parts]
        return list(_start_threads(n_threads).map(work, parts))


@lru_cache(maxsize=1)
def _find_lock() -> threading.RLock:
    return threading.RLock()


@lru_cache(maxsize=1)
def _find_blas() -> ThreadpoolController:
    """Libraries that multiply for numpy; looking for them takes milliseconds."""
    return ThreadpoolController().select(user_api="blas")


@lru_cache(maxsize=1)
def _start_threads(n_threads: int) -> Threads:
    """Threads that stay: starting them for each of many multiplications costs a tenth of all."""
    return Threads(n_threads)


if hasattr(os, "register_at_fork"):
    # a forked process has the pool and the lock, and none of the threads that use them
    os.register_at_fork(after_in_child=_start_threads.cache_clear)
    os.register_at_fork(after_in_child=_find_lock.cache_clear)
