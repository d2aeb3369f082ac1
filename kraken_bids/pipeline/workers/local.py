"""Tasks for processes beside this one; what ends a process fails the task that it had."""

import logging
import signal
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor
from functools import partial
from itertools import islice
from multiprocessing.connection import wait as wait_for
from typing import TypeVar

from kraken_bids.pipeline.workers.process import (
    ASKED_TO_STOP,
    LOOK_SECONDS,
    STOP_SECONDS,
    LostProcessError,
    Outcome,
    Process,
    can_fork,
    try_call,
)

logger = logging.getLogger(__name__)

Item = TypeVar("Item")
Result = TypeVar("Result")


class Processes(Executor):
    """Computes in processes of its own, and in this one where the system allows none.

    They are forked from this process where that is safe, at their first task: they begin within
    milliseconds, with all that is imported here and in the same memory. Elsewhere (macOS, a
    program with threads) they are fresh ones; one alone is not worth that.

    Nothing but pipes joins them to this process: queues and locks need a /dev/shm.

    Parameters
    ----------
    slots : int
        Processes at once.
    start : callable, optional
        What each calls first.
    """

    def __init__(self, slots: int, start: Callable[[], None] | None = None) -> None:
        self.slots = slots
        self._start = start
        self._processes: list[Process] = []
        self._has_said = False

    def run(
        self,
        function: Callable[[Item], Result],
        items: Iterable[Item],
        *,
        here: Callable[[Item], Result] | None = None,
    ) -> Iterator[tuple[Item, Result | None, BaseException | None]]:
        """Run ``function`` on every item; yields item, result and error as each one finishes.

        As many items as there are processes are taken before one of these can compute them. One
        whose process was killed while others computed is run again, alone, at the end: together
        they may have been too much.

        Parameters
        ----------
        here : callable, optional
            What is called in its place where this process computes.
        """
        lost: list[tuple[Item, BaseException]] = []
        try:
            for item, result, error in self._run(function, items, here or function):
                if isinstance(error, LostProcessError) and self._may_be_innocent(error):
                    lost.append((item, error))
                else:
                    yield item, result, error
            for item, error in lost:
                yield item, *self._run_alone(function, item, error)
        except GeneratorExit:  # whoever stops early wants nothing more of them
            self.shutdown()
            raise

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:  # noqa: ARG002, FBT001, FBT002 - as the class above has it
        """End the processes, in the middle of their work too; they take unfinished files along."""
        ending, self._processes = self._processes, []
        for one in ending:
            one.ask_to_end()
        deadline = time.monotonic() + STOP_SECONDS
        for one in ending:
            one.end(max(0.0, deadline - time.monotonic()))

    def _may_be_innocent(self, error: LostProcessError) -> bool:
        return error.code == ASKED_TO_STOP or (self.slots > 1 and error.code == -signal.SIGKILL)

    def _run(
        self,
        function: Callable[[Item], Result],
        items: Iterable[Item],
        here: Callable[[Item], Result],
    ) -> Iterator[tuple[Item, Result | None, BaseException | None]]:
        coming, waiting, is_dry = iter(items), deque[Item](), False
        while True:
            while waiting and (idle := self._find_idle()):
                idle.give(function, waiting.popleft())
            busy = [one for one in self._processes if one.is_busy]
            if waiting and not busy:  # no process can be had
                item = waiting.popleft()
                yield item, *try_call(partial(here, item))
            elif not is_dry and len(waiting) < self.slots:  # made here while others compute
                more = list(islice(coming, 1))
                waiting.extend(more)
                is_dry = not more
            elif busy:
                wait_for([one.pipe for one in busy], LOOK_SECONDS)
            else:
                return
            for one in busy:
                if (outcome := one.take()) is not None:
                    yield one.item, *outcome

    def _run_alone(
        self, function: Callable[[Item], Result], item: Item, error: BaseException
    ) -> Outcome:
        """Run what was lost again, while nothing else runs; not here, which may be lost too."""
        one = self._find_idle()
        if one is None:
            return None, error
        one.give(function, item)
        while (outcome := one.take()) is None:
            one.wait(LOOK_SECONDS)
        return outcome

    def _find_idle(self) -> Process | None:
        """Process that has nothing to do, started if need be; None where there is none."""
        self._processes = [one for one in self._processes if one.is_busy or one.is_alive]
        idle = next((one for one in self._processes if not one.is_busy), None)
        is_worth_it = self.slots > 1 or can_fork()
        if idle is not None or len(self._processes) >= self.slots or not is_worth_it:
            return idle
        try:
            new = Process(self._start, self._processes)
        except OSError as error:
            if not self._processes and not self._has_said:
                self._has_said = True
                logger.warning(
                    "the system allows no process beside this one (%s): participants are computed "
                    "in this one, and if one of them needs too much memory, all end with it",
                    error.strerror,
                )
            return None
        self._processes.append(new)
        return new
