"""Where participants are computed: in this process, in a pool of processes, or on a cluster."""

import logging
import multiprocessing
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import (
    BrokenExecutor,
    Executor,
    Future,
    ProcessPoolExecutor,
    as_completed,
)
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from kraken_bids.exceptions import InputError, SettingsError
from kraken_bids.logs import start_file_log, start_terminal_log
from kraken_bids.settings import RunSettings

logger = logging.getLogger(__name__)

Item = TypeVar("Item")
Result = TypeVar("Result")

CLUSTERS = {
    "slurm": "SLURMCluster",
    "pbs": "PBSCluster",
    "sge": "SGECluster",
    "lsf": "LSFCluster",
    "htcondor": "HTCondorCluster",
    "oar": "OARCluster",
}
"""Name of a scheduler to the class of dask-jobqueue that starts workers on it."""
DEFAULT_MEM_GB = 4.0
CONNECT_SECONDS = 60


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

    def __init__(self, start: Callable[[], ProcessPoolExecutor]) -> None:
        self._start = start
        self._pool = start()

    def submit(
        self, fn: Callable[..., Result], /, *args: object, **kwargs: object
    ) -> Future[Result]:
        """Run ``fn`` in one of the processes."""
        try:
            return self._pool.submit(fn, *args, **kwargs)
        except BrokenExecutor:
            self._pool.shutdown(wait=True)
            self._pool = self._start()
            return self._pool.submit(fn, *args, **kwargs)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:  # noqa: FBT001, FBT002 - as the class above has it
        """End the processes."""
        self._pool.shutdown(wait, cancel_futures=cancel_futures)


@contextmanager
def open_executor(run: RunSettings, log: Path) -> Iterator[Executor]:
    """Executor for the participants of a run.

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
        If the scheduler is unknown, or its extra is not installed.
    InputError
        If a running scheduler does not answer.
    """
    if run.scheduler != "local":
        with _open_dask(run, log) as executor:
            yield executor
    elif run.n_procs == 1:
        yield InlineExecutor()
    else:
        # fresh processes: a fork of a process with threads may hang
        context = multiprocessing.get_context("spawn")
        start = partial(
            ProcessPoolExecutor,
            run.n_procs,
            mp_context=context,
            initializer=_start_logs,
            initargs=(log, _level()),
        )
        with LastingPool(start) as pool:
            yield pool


def run_tasks(
    executor: Executor, function: Callable[[Item], Result], items: Iterable[Item]
) -> Iterator[tuple[Item, Result | None, BaseException | None]]:
    """Run ``function`` on every item; yields item, result and error as each one finishes.

    Where the system ends a process (out of memory), its pool is lost, and with it what others were
    doing there; these are run again, one at a time, so that only the one that is too much fails.
    """
    if isinstance(executor, InlineExecutor):
        for item in items:
            yield item, *_outcome(executor.submit(function, item))
        return
    futures = {executor.submit(function, item): item for item in items}
    lost = []
    try:
        for future in as_completed(futures):
            if isinstance(future.exception(), BrokenExecutor):
                lost.append(futures[future])
            else:
                yield futures[future], *_outcome(future)
        for item in lost:
            yield item, *_outcome(executor.submit(function, item))
    finally:  # a caller that stops early takes back what has not begun
        for future in futures:
            future.cancel()


def _outcome(future: Future[Result]) -> tuple[Result | None, BaseException | None]:
    error = future.exception()
    return (None, error) if error is not None else (future.result(), None)


@contextmanager
def _open_dask(run: RunSettings, log: Path) -> Iterator[Executor]:
    """Executor of a dask cluster: one that this run starts, or one that is running."""
    try:
        import distributed
    except ImportError as error:
        raise SettingsError(
            f"--scheduler {run.scheduler}: expected dask and dask-jobqueue; found neither. "
            "Install them: pip install 'kraken_bids[cluster]'."
        ) from error
    connect: Any = distributed.Client
    if run.scheduler in CLUSTERS:
        with _start_cluster(run, log) as cluster, connect(cluster) as client:
            yield _prepare(client, log)
        return
    where: dict[str, Any]
    if "://" in run.scheduler:
        where = {"address": run.scheduler}
    elif Path(run.scheduler).is_file():
        where = {"scheduler_file": run.scheduler}
    else:
        raise SettingsError(
            f"--scheduler: expected local, {', '.join(CLUSTERS)}, the address of a running dask "
            f"scheduler (tcp://…) or its scheduler file; found {run.scheduler!r}."
        )
    try:
        client = connect(**where, timeout=CONNECT_SECONDS)
    except OSError as error:
        raise InputError(
            f"--scheduler: expected a running dask scheduler at {run.scheduler}; found: {error}."
        ) from error
    with client:
        yield _prepare(client, log)


@contextmanager
def _start_cluster(run: RunSettings, log: Path) -> Iterator[Any]:
    import dask_jobqueue

    options = {
        "cores": run.omp_nthreads,
        "processes": 1,
        "memory": f"{run.mem_gb or DEFAULT_MEM_GB:g}GB",
        "log_directory": str(log.parent / "jobs"),
    }
    with getattr(dask_jobqueue, CLUSTERS[run.scheduler])(**options) as cluster:
        logger.info("starting %d %s job(s) with %s", run.n_procs, run.scheduler, options)
        cluster.scale(jobs=run.n_procs)
        yield cluster


def _prepare(client: Any, log: Path) -> Executor:
    """Give every worker, now and later, its log; tasks run once and are never tried again."""
    from distributed import WorkerPlugin

    class Logs(WorkerPlugin):
        """Starts the logs of a worker."""

        def __init__(self, level: int) -> None:
            self.level = level

        def setup(self, worker: object) -> None:  # noqa: ARG002
            _start_logs(log, self.level)

    client.register_plugin(Logs(_level()))
    executor: Executor = client.get_executor(retries=0, pure=False)
    return executor


def _level() -> int:
    handlers = logging.getLogger("kraken_bids").handlers
    return handlers[0].level if handlers else logging.INFO


def _start_logs(log: Path, level: int) -> None:
    start_terminal_log(1 if level <= logging.DEBUG else 0 if level <= logging.INFO else -1)
    start_file_log(log)
