"""Where participants are computed: in this process, in others beside it, or on a cluster."""

import logging
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from contextlib import contextmanager
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TypeVar

from kraken_bids.logs import (
    WarningList,
    leave_warnings_to_main,
    show_warnings,
    start_file_log,
    start_terminal_log,
)
from kraken_bids.pipeline.workers.cluster import open_cluster
from kraken_bids.pipeline.workers.cluster_executor import NoWorkersError
from kraken_bids.pipeline.workers.local import Processes
from kraken_bids.pipeline.workers.process import try_call
from kraken_bids.resources import limit_memory, reserve_for_algebra
from kraken_bids.run_settings import RunSettings

logger = logging.getLogger(__name__)

Item = TypeVar("Item")
Result = TypeVar("Result")

AHEAD = 2
"""Items per worker that are handed over before one has finished."""
PARTICIPANT_GB = 1.0
"""Memory that one participant may need."""
WARNED = "kraken_bids_warned"
"""Attribute of an error: what was warned of before it."""


class InlineExecutor(Executor):
    """Stands for this process, which computes each item when it is asked for."""


@contextmanager
def open_executor(run: RunSettings, log: Path) -> Iterator[Executor]:
    """Executor for the participants of a run; one that ends early ends what it has started.

    Parameters
    ----------
    run : RunSettings
        ``scheduler`` local: ``n_procs`` processes beside this one, as far as ``mem_gb`` allows. A
        cluster's name starts up to ``n_procs`` jobs there (dask-jobqueue). An address or a
        scheduler file joins a running dask scheduler.
    log : Path
        Log file that the workers append to.

    Raises
    ------
    SettingsError
        If the scheduler is unknown, its command is not there, or its extra is not installed.
    InputError
        If a running scheduler does not answer.
    """
    start_logs = partial(_start_logs, log, _level())
    start = partial(_start_process, start_logs, run.mem_gb)
    if run.scheduler != "local":
        with open_cluster(run, log, start) as executor:
            yield executor
    else:
        with Processes(_count_slots(run), start) as processes:
            yield processes


def run_tasks(
    executor: Executor, function: Callable[[Item], Result], items: Iterable[Item]
) -> Iterator[tuple[Item, Result | None, BaseException | None]]:
    """Run ``function`` on every item; yields item, result and error as each one finishes.

    Items are taken as they are needed, so that they may be made while others are computed. Where
    the system ends a process (out of memory), only what it was computing fails.

    Raises
    ------
    NoWorkersError
        If a cluster gives no process to compute with.
    """
    if isinstance(executor, InlineExecutor):
        for item in items:
            yield item, *try_call(partial(function, item))
        return
    if isinstance(executor, Processes):
        told = executor.run(
            partial(_tell, function), items, here=lambda item: (function(item), [])
        )
        for item, result, error in told:
            yield item, *_unpack(result, error)
        return
    for item, future in _hand_over(executor, partial(_tell, function), items):
        yield item, *_unpack(*_outcome(future))


def _hand_over(
    executor: Executor, function: Callable[[Item], Result], items: Iterable[Item]
) -> Iterator[tuple[Item, Future[Result]]]:
    """Submit a few items more than can be computed at once; give each one as it finishes."""
    coming = iter(items)
    futures: dict[Future[Result], Item] = {}
    try:
        while True:
            room = AHEAD * getattr(executor, "slots", 1) - len(futures)
            for item in islice(coming, max(room, 0)):
                futures[executor.submit(function, item)] = item
            if not futures:
                break
            for future in wait(futures, return_when=FIRST_COMPLETED).done:
                yield futures.pop(future), future
    except GeneratorExit:  # a caller that stops early takes back what has not begun
        for future in futures:
            future.cancel()
        raise


def _outcome(future: Future[Result]) -> tuple[Result | None, BaseException | None]:
    error = future.exception()
    if isinstance(error, NoWorkersError):
        raise error
    return (None, error) if error is not None else (future.result(), None)


def _tell(function: Callable[[Item], Result], item: Item) -> tuple[Result, list[str]]:
    """Run ``function`` on a worker; returns also what it has warned of."""
    told = WarningList()
    log = logging.getLogger("kraken_bids")
    log.addHandler(told)
    try:
        return function(item), told.texts
    except Exception as error:
        error.__dict__[WARNED] = told.texts
        raise
    finally:
        log.removeHandler(told)


def _unpack(
    told: tuple[Result, list[str]] | None, error: BaseException | None
) -> tuple[Result | None, BaseException | None]:
    """Show what a worker has warned of."""
    show_warnings(error.__dict__.get(WARNED, []) if error is not None else [])
    if told is None:
        return None, error
    result, warnings = told
    show_warnings(warnings)
    return result, error


def _level() -> int:
    handlers = logging.getLogger("kraken_bids").handlers
    return handlers[0].level if handlers else logging.INFO


def _start_logs(log: Path, level: int) -> None:
    start_terminal_log(1 if level <= logging.DEBUG else 0 if level <= logging.INFO else -1)
    leave_warnings_to_main()
    start_file_log(log)


def _count_slots(run: RunSettings) -> int:
    """Participants at once: as many as asked for, as far as the memory allows."""
    if run.mem_gb is None:
        return run.n_procs
    slots = max(1, min(run.n_procs, int(run.mem_gb / PARTICIPANT_GB)))
    if run.mem_gb < PARTICIPANT_GB:
        logger.warning(
            "--mem-gb %g: a participant may need %g GB; those that need more than %g GB fail",
            run.mem_gb, PARTICIPANT_GB, run.mem_gb,
        )  # fmt: skip
    elif slots < run.n_procs:
        logger.info(
            "--mem-gb %g: %d participant(s) at a time, %g GB for each",
            run.mem_gb, slots, PARTICIPANT_GB,
        )  # fmt: skip
    return slots


def _start_process(start_logs: Callable[[], None], mem_gb: float | None) -> None:
    """Start the logs of a process, and hold it to the memory that there is for all."""
    logging.getLogger("kraken_bids").handlers.clear()  # those of the process that it is a copy of
    start_logs()
    if mem_gb is not None:
        reserve_for_algebra()
        limit_memory(int(mem_gb * 1e9))
