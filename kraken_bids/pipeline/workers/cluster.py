"""Participants on a cluster: handed to the workers of its jobs, or of a running dask scheduler."""

import logging
import shutil
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from concurrent.futures import BrokenExecutor, Executor, Future
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from importlib.util import find_spec
from itertools import count
from pathlib import Path
from typing import Any, TypeVar

from kraken_bids.exceptions import InputError, SettingsError
from kraken_bids.pipeline.workers.jobs import CLUSTERS, Jobs, start_jobs
from kraken_bids.run_settings import RunSettings

logger = logging.getLogger(__name__)

Result = TypeVar("Result")

CONNECT_SECONDS = 60
WATCH_SECONDS = 2.0
"""Time between two looks at the jobs."""
FIRST_WORD_SECONDS = 60
"""Time without a worker after which that is said; then ten times as rarely."""
MOST_STARTS = 3
"""A participant that a job's time limit has cut off this often is given up."""
MOST_GIVEN = 10
"""Workers that may die before they have begun what was assigned to them."""
FOREIGN_SLOTS = 1000
"""Participants that a scheduler of the user's own is given at once."""
TOPIC = "kraken_bids-begun"
LOST = (
    "its job or process ended: memory ran out, the job's time was over (--walltime), or the "
    "cluster ended it; logs/jobs holds what the job wrote last"
)


class NoWorkersError(InputError):
    """No process computes, and none will: the run ends for everyone."""


def check_scheduler(run: RunSettings) -> None:
    """Refuse a scheduler that cannot be used on this machine.

    Raises
    ------
    SettingsError
        If it is unknown, its command is not there, or an extra is not installed.
    """
    if run.scheduler == "local":
        return
    is_ours = run.scheduler in CLUSTERS
    if not is_ours and "://" not in run.scheduler and not Path(run.scheduler).is_file():
        raise SettingsError(
            f"--scheduler: expected local, {', '.join(CLUSTERS)}, the address of a running dask "
            f"scheduler (tcp://…) or its scheduler file; found {run.scheduler!r}."
        )
    if not find_spec("distributed") or (is_ours and not find_spec("dask_jobqueue")):
        raise SettingsError(
            f"--scheduler {run.scheduler}: expected dask and dask-jobqueue; did not find both. "
            "Install them: pip install 'kraken_bids[cluster]'."
        )
    command = CLUSTERS[run.scheduler].submit if is_ours else ""
    if command and not shutil.which(command):
        raise SettingsError(
            f"--scheduler {run.scheduler}: expected its command {command} on PATH; {command} not "
            "found. Start kraken-bids where jobs are submitted (a login node, outside of a "
            "container that has not this command), or compute here with --scheduler local."
        )


@contextmanager
def open_cluster(
    run: RunSettings, log: Path, start_logs: Callable[[], None]
) -> Iterator["ClusterExecutor"]:
    """Executor of a dask cluster: one that this run starts, or one that is running.

    Parameters
    ----------
    log : Path
        Log file of the run; what jobs write goes beside it.
    start_logs : callable
        What every worker calls first.

    Raises
    ------
    SettingsError
        As :func:`check_scheduler`.
    InputError
        If a running scheduler does not answer.
    """
    check_scheduler(run)
    import distributed

    with ExitStack() as stack:
        jobs = stack.enter_context(start_jobs(run, log)) if run.scheduler in CLUSTERS else None
        connect: Any = distributed.Client
        client = connect(jobs.cluster) if jobs else _join(run.scheduler)
        stack.enter_context(client)
        _prepare(client, start_logs)
        slots = run.n_procs if jobs else FOREIGN_SLOTS
        yield stack.enter_context(ClusterExecutor(client, slots=slots, jobs=jobs))


def _join(scheduler: str) -> Any:
    """Client of a running scheduler, by its address or its file."""
    import distributed

    connect: Any = distributed.Client
    where = {"address" if "://" in scheduler else "scheduler_file": scheduler}
    try:
        return connect(**where, timeout=CONNECT_SECONDS)
    except OSError as error:
        raise InputError(
            f"--scheduler: expected a running dask scheduler at {scheduler}; found: {error}."
        ) from error


@dataclass(eq=False)
class _Work:
    """One call that a worker is to make."""

    name: str
    call: Callable[[], Any]
    future: Future[Any] = field(default_factory=Future)
    task: Any = None
    """Future of dask, while it is there."""
    n_given: int = 0
    """How often it was given to a worker."""


class ClusterExecutor(Executor):
    """Runs each call once on a worker; one that was cut off by a job's planned end, again.

    dask counts the death of a worker against everything that was assigned to it. What had not
    begun there is assigned anew, so that only what was being computed fails.
    """

    def __init__(self, client: Any, *, slots: int, jobs: Jobs | None = None) -> None:
        self.slots = slots
        self._client, self._jobs = client, jobs
        self._lock = threading.RLock()
        self._waiting: deque[_Work] = deque()
        self._open: dict[str, _Work] = {}
        self._starts: Counter[str] = Counter()
        self._numbers = count()
        self._failure: NoWorkersError | None = None
        self._is_over = threading.Event()
        client.subscribe_topic(TOPIC, self._note_start)
        self._watch = threading.Thread(target=self._look_after, daemon=True)
        self._watch.start()

    def submit(
        self, fn: Callable[..., Result], /, *args: object, **kwargs: object
    ) -> Future[Result]:
        """Run ``fn`` on one of the workers."""
        name = f"kraken_bids-{next(self._numbers)}-{id(self):x}"
        work = _Work(name, partial(fn, *args, **kwargs))
        with self._lock:
            if self._failure is not None:
                work.future.set_exception(self._failure)
            else:
                self._waiting.append(work)
        self._fill()
        return work.future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:  # noqa: ARG002, FBT001, FBT002 - as the class above has it
        """End the watch; what is not done is taken back."""
        self._is_over.set()
        self._watch.join()
        with self._lock:
            tasks = [work.task for work in self._open.values() if work.task is not None]
            self._waiting.clear()
            self._open.clear()
        with suppress(Exception):  # the scheduler may be gone
            self._client.cancel(tasks)

    def _fill(self) -> None:
        """Hand over as much as may be computed at once."""
        with self._lock:
            while self._waiting and len(self._open) < self.slots:
                work = self._waiting.popleft()
                if work.future.set_running_or_notify_cancel():
                    self._open[work.name] = work
                    self._hand_over(work)

    def _hand_over(self, work: _Work) -> None:
        work.n_given += 1
        work.task = self._client.submit(
            _call, work.name, work.call, key=f"{work.name}-{next(self._numbers)}", retries=0
        )
        work.task.add_done_callback(partial(self._take_back, work))

    def _take_back(self, work: _Work, task: Any) -> None:
        """Pass on what came of a call; the worker need not keep it any longer."""
        from distributed import KilledWorker

        result, error, is_killed = None, None, False
        try:
            result = task.result()
        except BaseException as raised:  # noqa: BLE001 - the caller reads it from the future
            is_killed = isinstance(raised, KilledWorker)
            error = BrokenExecutor(LOST) if is_killed or task.status == "cancelled" else raised
        with self._lock:
            if self._open.get(work.name) is not work or work.task is not task:
                return
            if is_killed and not self._starts[work.name] and work.n_given < MOST_GIVEN:
                self._hand_over(work)
                return
            del self._open[work.name]
        task.release()
        _finish(work.future, result, error)
        self._fill()

    def _note_start(self, event: tuple[float, dict[str, str]]) -> None:
        self._starts[event[1]["name"]] += 1

    def _look_after(self) -> None:
        """Replace jobs, give up what none is long enough for, say that workers are waited for."""
        alone_since, next_word = time.monotonic(), float(FIRST_WORD_SECONDS)
        while not self._is_over.wait(WATCH_SECONDS):
            for name in [n for n, starts in list(self._starts.items()) if starts > MOST_STARTS]:
                self._give_up(name)
            try:
                n_workers = len(self._client.nthreads())
                failure = self._jobs.look_after(n_workers, len(self._open)) if self._jobs else ""
            except Exception as error:  # noqa: BLE001 - the next look may succeed
                logger.debug("looking after the jobs: %s", error)
                continue
            if failure:
                self._fail(failure)
            if n_workers or not self._open:
                alone_since, next_word = time.monotonic(), float(FIRST_WORD_SECONDS)
            elif time.monotonic() - alone_since > next_word:
                logger.info("waiting for a worker since %.0f min", next_word / 60)
                next_word *= 10 if next_word == FIRST_WORD_SECONDS else 2

    def _give_up(self, name: str) -> None:
        with self._lock:
            work = self._open.pop(name, None)
        if work is None:
            return
        with suppress(Exception):
            self._client.cancel([work.task])
        _finish(
            work.future,
            None,
            BrokenExecutor(
                f"it was begun {MOST_STARTS} times, and no job lasted as long as it takes; give "
                "jobs more time with --walltime"
            ),
        )
        self._fill()

    def _fail(self, reason: str) -> None:
        """End everything that is waited for."""
        with self._lock:
            self._failure = NoWorkersError(reason)
            works = [*self._open.values(), *self._waiting]
            self._open.clear()
            self._waiting.clear()
        for work in works:
            _finish(work.future, None, self._failure)


def _finish(future: Future[Any], result: object, error: BaseException | None) -> None:
    with suppress(Exception):  # it may have been taken back by its caller
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(result)


def _call(name: str, call: Callable[[], Result]) -> Result:
    """Say that a call has begun, and make it; runs on a worker."""
    from distributed import get_worker

    get_worker().log_event(TOPIC, {"name": name})
    return call()


def _prepare(client: Any, start_logs: Callable[[], None]) -> None:
    """Give every worker, now and later, its log."""
    from distributed import WorkerPlugin

    class Logs(WorkerPlugin):
        """Starts the logs of a worker."""

        def setup(self, worker: object) -> None:  # noqa: ARG002
            start_logs()

    client.register_plugin(Logs())
