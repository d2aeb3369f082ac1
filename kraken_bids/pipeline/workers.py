"""Where participants are computed: in this process, in a pool of processes, or on a cluster."""

import logging
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import (
    FIRST_COMPLETED,
    BrokenExecutor,
    Executor,
    Future,
    ProcessPoolExecutor,
    wait,
)
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
from kraken_bids.pipeline.clusters import NoWorkersError, open_cluster
from kraken_bids.settings import RunSettings

logger = logging.getLogger(__name__)

Item = TypeVar("Item")
Result = TypeVar("Result")

AHEAD = 2
"""Items per process that are handed over before one has finished."""
WARNED = "kraken_bids_warned"
"""Attribute of an error: what was warned of before it."""
STOP_SECONDS = 10
"""Time that a worker has to take its unfinished files along."""


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


class LastingPool(Executor):
    """A pool of processes that starts anew where the system has ended one of them."""

    def __init__(self, start: Callable[[], ProcessPoolExecutor], *, slots: int) -> None:
        self.slots = slots
        self._start = start
        self._pool = start()

    def submit(
        self, fn: Callable[..., Result], /, *args: object, **kwargs: object
    ) -> Future[Result]:
        """Run ``fn`` in one of the processes."""
        call: Callable[[], Result] = partial(_call, partial(fn, *args, **kwargs))
        try:
            return self._pool.submit(call)
        except BrokenExecutor:
            self._pool.shutdown(wait=True)
            self._pool = self._start()
            return self._pool.submit(call)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:  # noqa: FBT001, FBT002 - as the class above has it
        """End the processes."""
        self._pool.shutdown(wait, cancel_futures=cancel_futures)

    def stop(self) -> None:
        """End the processes in the middle of their work; they take unfinished files along."""
        # nothing public ends them before Python 3.14
        for process in list((self._pool._processes or {}).values()):
            process.terminate()
        # no future is cancelled: a pool that is broken meets cancelled ones with an exception
        self.shutdown(wait=True)


@contextmanager
def open_executor(run: RunSettings, log: Path) -> Iterator[Executor]:
    """Executor for the participants of a run; one that ends early ends what it has started.

    Parameters
    ----------
    run : RunSettings
        ``scheduler`` local: ``n_procs`` 1 runs inline, more start that many fresh processes. A
        cluster's name starts ``n_procs`` jobs there (dask-jobqueue; its own configuration file
        names queue and account). An address or a scheduler file joins a running dask scheduler.
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
    if run.scheduler != "local":
        with open_cluster(run, log, start_logs) as executor:
            yield executor
    elif run.n_procs == 1:
        yield InlineExecutor()
    else:
        # fresh processes: a fork of a process with threads may hang
        start = partial(
            ProcessPoolExecutor,
            run.n_procs,
            mp_context=multiprocessing.get_context("spawn"),
            initializer=_start_worker,
            initargs=(start_logs,),
        )
        pool = LastingPool(start, slots=run.n_procs)
        try:
            yield pool
        except BaseException:
            pool.stop()
            raise
        pool.shutdown()


def run_tasks(
    executor: Executor, function: Callable[[Item], Result], items: Iterable[Item]
) -> Iterator[tuple[Item, Result | None, BaseException | None]]:
    """Run ``function`` on every item; yields item, result and error as each one finishes.

    Items are taken as they are needed, so that they may be made while others are computed. Where
    the system ends a process of a pool (out of memory), the pool is lost, and with it what others
    were doing there; these are run again, one at a time, so that only the one that is too much
    fails.

    Raises
    ------
    NoWorkersError
        If a cluster gives no process to compute with.
    """
    if isinstance(executor, InlineExecutor):
        for item in items:
            yield item, *_outcome(executor.submit(function, item))
        return
    lost = []
    is_pool = isinstance(executor, LastingPool)
    for item, future in _hand_over(executor, partial(_tell, function), items):
        if is_pool and isinstance(future.exception(), BrokenExecutor):
            lost.append(item)
        else:
            yield item, *_unpack(*_outcome(future))
    for item in lost:
        yield item, *_unpack(*_outcome(executor.submit(_tell, function, item)))


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


def _start_worker(start_logs: Callable[[], None]) -> None:
    """Start the logs of a process of the pool, and see to it that it ends with the run."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the main process, which ends us
    signal.signal(signal.SIGTERM, _stop)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    start_logs()


_is_stopped = threading.Event()


def _stop(number: int, _frame: object) -> None:
    _is_stopped.set()
    sys.exit(128 + number)


def _call(call: Callable[[], Result]) -> Result:
    """Make a call, and end the process after it where that was asked for meanwhile."""
    try:
        return call()
    finally:
        if _is_stopped.is_set():  # the pool would take SystemExit for the outcome of the call
            logging.shutdown()
            os._exit(128 + signal.SIGTERM)


def _end_with_parent() -> None:
    """Wait until the main process is gone, killed perhaps, and end this one."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(STOP_SECONDS)  # for what is being computed without looking at signals
    os._exit(128 + signal.SIGTERM)
