"""Several multiplications at once, each by one thread, so that their number changes no bit.

A multiplication that is itself spread over threads is cut differently for each number of them,
and rounds differently. Waiting threads here also sleep, where those of OpenMP would spin.
"""

import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import lru_cache
from typing import TypeVar

import torch

Part = TypeVar("Part")
Result = TypeVar("Result")


@contextmanager
def single_thread() -> Iterator[int]:
    """Let torch use one thread per operation; gives the number it was allowed before."""
    n_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield n_threads
    finally:
        torch.set_num_threads(n_threads)


def run_parts(work: Callable[[Part], Result], parts: Iterable[Part]) -> list[Result]:
    """Results of all parts in their order, as many at once as torch may use threads."""

    def work_without_gradients(part: Part) -> Result:
        with torch.inference_mode():
            return work(part)

    with single_thread() as n_threads:
        if n_threads == 1:
            return [work_without_gradients(part) for part in parts]
        return list(_start_threads(n_threads).map(work_without_gradients, parts))


@lru_cache(maxsize=1)
def _start_threads(n_threads: int) -> ThreadPoolExecutor:
    """Threads that stay: starting them for each of many multiplications costs a tenth of all."""
    return ThreadPoolExecutor(n_threads)


# a forked process has the pool, and none of its threads
os.register_at_fork(after_in_child=_start_threads.cache_clear)
