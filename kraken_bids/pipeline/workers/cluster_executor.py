"""Calls handed to workers of dask: each until it has an end, and none without one."""

import logging
import threading
import time
from collections import Counter, deque
from collections.abc import Callable
from concurrent.futures import BrokenExecutor, CancelledError, Executor, Future
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from typing import Any, TypeVar

from kraken_bids import __version__
from kraken_bids.exceptions import InputError
from kraken_bids.pipeline.workers.dask_worker import TOPIC, call_beside
from kraken_bids.pipeline.workers.jobs import Jobs
from kraken_bids.pipeline.workers.process import ASKED_TO_STOP, LostProcessError

logger = logging.getLogger(__name__)

Result = TypeVar("Result")

WATCH_SECONDS = 2.0
"""Time between two looks at the jobs."""
FIRST_WORD_SECONDS = 60
"""Time without a worker after which that is said; then ten times as rarely."""
MOST_STARTS = 3
"""How often a participant is begun whose worker ends in the middle; then it is given up."""
MOST_GIVEN = 10
"""Workers that may end before they have begun what was assigned, or with little time left."""
LOST = (
    f"it was begun {MOST_STARTS} times, and each time its worker ended in the middle: "
    "memory ran out (--mem-gb), the job's time was over (--walltime), or the cluster ended it; "
    "logs/jobs holds what the jobs wrote last"
)
GONE = (
    "--scheduler: expected the dask scheduler to go on until the run ends; it has ended, or its "
    "connection is lost. Start it again, and run the same command: finished files are kept."
)


class NoWorkersError(InputError):
    """No process computes, and none will: the run ends for everyone."""


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
    n_starts: int = 0
    """How often it had begun when its worker was last known to have ended."""
    n_lost: int = 0
    """Workers that have ended in its middle, for no reason that was planned."""


class ClusterExecutor(Executor):
    """Runs each call on a worker; where this ends in the middle, on another, a few times.

    dask counts the death of a worker against everything that was assigned to it. What had not
    begun there is assigned anew without being counted.
    """

    def __init__(self, client: Any, *, slots: int, jobs: Jobs | None = None) -> None:
        self.slots = slots
        self._client, self._jobs = client, jobs
        self._lock = threading.RLock()
        self._waiting: deque[_Work] = deque()
        self._open: dict[str, _Work] = {}
        self._starts: Counter[str] = Counter()
        self._first_starts: Counter[str] = Counter()
        """Those with all of a job's time before them."""
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
        try:
            work.task = self._client.submit(
                call_beside, work.name, __version__, work.call,
                key=f"{work.name}-{next(self._numbers)}", retries=0,
            )  # fmt: skip
        except Exception as error:  # of a client whose scheduler is gone
            logger.debug("handing over", exc_info=error)
            self._fail(GONE)
            return
        work.task.add_done_callback(partial(self._take_back, work))

    def _take_back(self, work: _Work, task: Any) -> None:
        """Pass on what came of a call; the worker need not keep it any longer."""
        result, error = None, None
        try:
            result = task.result()
        except BaseException as raised:  # noqa: BLE001 - the caller reads it from the future
            error = raised
        with self._lock:
            if self._open.get(work.name) is not work or work.task is not task:
                return
            if _is_of_worker(error):
                if self._may_begin_again(work):
                    self._hand_over(work)
                    return
                error = BrokenExecutor(LOST)
            elif isinstance(error, CancelledError) or task.status in {"cancelled", "lost"}:
                self._fail(GONE)  # nobody but the client itself takes calls back
                return
            del self._open[work.name]
        task.release()
        _finish(work.future, result, error)
        self._fill()

    def _may_begin_again(self, work: _Work) -> bool:
        starts = self._starts[work.name]
        if starts > work.n_starts:
            work.n_starts, work.n_lost = starts, work.n_lost + 1
            logger.warning(
                "a worker ended in the middle of its participant (%d of %d times)",
                work.n_lost, MOST_STARTS,
            )  # fmt: skip
        return work.n_lost < MOST_STARTS and work.n_given - work.n_lost < MOST_GIVEN

    def _note_start(self, event: tuple[float, dict[str, Any]]) -> None:
        self._starts[event[1]["name"]] += 1
        self._first_starts[event[1]["name"]] += event[1]["is_first"]

    def _list_too_long(self) -> list[str]:
        """List calls that no job was long enough for: what began late in a job may yet be."""
        many = [n for n, starts in list(self._starts.items()) if starts > MOST_GIVEN]
        return many + [n for n, k in list(self._first_starts.items()) if k > MOST_STARTS]

    def _look_after(self) -> None:
        """Replace jobs, give up what none is long enough for, say that workers are waited for."""
        alone_since, next_word = time.monotonic(), float(FIRST_WORD_SECONDS)
        while not self._is_over.wait(WATCH_SECONDS):
            for name in self._list_too_long():
                self._give_up(name)
            try:
                workers = self._client.processing()
                n_open = len(self._open) + len(self._waiting)
                failure = self._jobs.look_after(workers, n_open) if self._jobs else ""
            except Exception as error:  # noqa: BLE001 - the next look may succeed
                logger.debug("looking after the jobs: %s", error)
                failure = GONE if self._client.status == "closed" and self._open else ""
                if not failure:
                    continue
                workers = {}
            if failure:
                self._fail(failure)
            if workers or not self._open:
                alone_since, next_word = time.monotonic(), float(FIRST_WORD_SECONDS)
            elif time.monotonic() - alone_since > next_word:
                said = self._jobs.said if self._jobs else ""
                logger.info("waiting for a worker since %.0f min%s", next_word / 60, said)
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
                f"it was begun {self._starts[name] - 1} times, and no job lasted as long as it "
                "takes; give jobs more time with --walltime"
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


def _is_of_worker(error: BaseException | None) -> bool:
    """Whether a call ended because its worker did, and not for its own sake."""
    from distributed import KilledWorker

    return isinstance(error, KilledWorker) or (
        isinstance(error, LostProcessError) and error.code == ASKED_TO_STOP
    )


def _finish(future: Future[Any], result: object, error: BaseException | None) -> None:
    with suppress(Exception):  # it may have been taken back by its caller
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(result)
