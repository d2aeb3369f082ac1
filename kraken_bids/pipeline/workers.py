"""Where participants are computed: in this process, in a pool of processes, or on a cluster."""

import logging
import multiprocessing
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from kraken_bids.logs import start_file_log, start_terminal_log
from kraken_bids.settings import RunSettings

Item = TypeVar("Item")
Result = TypeVar("Result")


class InlineExecutor(Executor):
    """Runs each task at once in this process; an exception waits in the future, as in a pool."""

    def submit(
        self, fn: Callable[..., Result], /, *args: object, **kwargs: object
    ) -> Future[Result]:
        """Run ``fn`` and return a finished future."""
        future: Future[Result] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:  # noqa: BLE001 - the caller reads it from the future
            future.set_exception(error)
        return future


@contextmanager
def open_executor(run: RunSettings, log: Path) -> Iterator[Executor]:
    """Executor for the participants of a run.

    Parameters
    ----------
    run : RunSettings
        ``n_procs`` 1 runs inline; more start that many fresh processes.
    log : Path
        Log file that the processes append to.
    """
    if run.n_procs == 1:
        yield InlineExecutor()
        return
    # fresh processes: a fork of a process that has loaded torch may hang
    context = multiprocessing.get_context("spawn")
    level = logging.getLogger("kraken_bids").handlers[0].level
    with ProcessPoolExecutor(
        run.n_procs, mp_context=context, initializer=_start_worker, initargs=(log, level)
    ) as pool:
        yield pool


def run_tasks(
    executor: Executor, function: Callable[[Item], Result], items: Iterable[Item]
) -> Iterator[tuple[Item, Result | None, BaseException | None]]:
    """Run ``function`` on every item; yields item, result and error as each one finishes."""
    if isinstance(executor, InlineExecutor):
        for item in items:
            yield item, *_outcome(executor.submit(function, item))
        return
    futures = {executor.submit(function, item): item for item in items}
    try:
        for future in as_completed(futures):
            yield futures[future], *_outcome(future)
    finally:  # a caller that stops early takes back what has not begun
        for future in futures:
            future.cancel()


def _outcome(future: Future[Result]) -> tuple[Result | None, BaseException | None]:
    error = future.exception()
    return (None, error) if error is not None else (future.result(), None)


def _start_worker(log: Path, level: int) -> None:
    start_terminal_log(1 if level <= logging.DEBUG else 0 if level <= logging.INFO else -1)
    start_file_log(log)
