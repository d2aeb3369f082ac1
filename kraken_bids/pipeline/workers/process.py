"""One process beside this one: started, given a task at a time, and ended."""

import gc
import multiprocessing
import os
import pickle
import signal
import sys
import threading
import time
import traceback
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import BrokenExecutor
from contextlib import contextmanager, suppress
from functools import partial
from multiprocessing.connection import Connection
from multiprocessing.connection import wait as wait_for
from pathlib import Path
from typing import Any, TypeVar

from kraken_bids.resources import Threads, start_thread

Item = TypeVar("Item")
Result = TypeVar("Result")
Outcome = tuple[Any, BaseException | None]
"""Result, or error, of a task."""

STOP_SECONDS = 3.0
"""Time that a process has to take its unfinished files along."""
LOOK_SECONDS = 0.5
"""Time between two looks at whether the others are still there."""
HELD = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""Signals that a process is not to meet before it knows what to do."""
ASKED_TO_STOP = 128 + signal.SIGTERM
FIRST_TO_GO = "500"
"""Where memory runs out, the system is to end a process that computes, not the one that waits."""


class LostProcessError(BrokenExecutor):
    """A process ended in the middle of its task."""

    def __init__(self, message: str, code: int | None = None) -> None:
        super().__init__(message)
        self.code = code
        """Exit code, or minus the signal."""


class Process:
    """One process, and what it is doing."""

    def __init__(
        self,
        start: Callable[[], None] | None,
        others: Sequence["Process"],
        *,
        forks: bool | None = None,
    ) -> None:
        forks = can_fork() if forks is None else forks
        context: Any = multiprocessing.get_context("fork" if forks else "spawn")
        self.item: Any = None
        self.is_busy = False
        self.pipe, theirs = context.Pipe()
        # with copies of these it would not see that this process is gone, nor others that they end
        ours = [self.pipe, *(other.pipe for other in others)] if forks else []
        self._process = context.Process(target=_serve, args=(theirs, ours, os.getpid(), start))
        try:
            with _hold_signals(), warnings.catch_warnings():
                # of threads of libraries, which know what a fork is
                warnings.simplefilter("ignore", DeprecationWarning)
                self._process.start()
        except BaseException:
            self.pipe.close()
            raise
        finally:
            theirs.close()

    @property
    def is_alive(self) -> bool:
        """Whether it has not ended."""
        return bool(self._process.is_alive())

    def give(self, function: Callable[[Item], Result], item: Item) -> None:
        """Let it compute; that it is gone is seen when its result is asked for."""
        self.item, self.is_busy = item, True
        with suppress(BrokenPipeError, ConnectionResetError):
            self.pipe.send(partial(function, item))

    def take(self) -> Outcome | None:
        """Take the result or the error of its task; None while there is neither."""
        is_alive = self.is_alive  # asked first: its last words may be in the pipe
        try:
            if self.pipe.poll():
                outcome: Outcome = self.pipe.recv()
                self.is_busy = False
                return outcome
        except (EOFError, OSError):
            is_alive = False
        if is_alive:
            return None
        self._process.join()
        self.pipe.close()
        self.is_busy = False
        return None, LostProcessError(_explain_end(self._process.exitcode), self._process.exitcode)

    def wait(self, seconds: float) -> None:
        """Wait until there is something to take, or so long."""
        wait_for([self.pipe], seconds)

    def ask_to_end(self) -> None:
        """Let it go, or stop it in the middle of its task."""
        self.pipe.close()
        if self.is_busy:
            self._process.terminate()

    def end(self, patience: float) -> None:
        """Wait so many seconds for it to end, then kill it."""
        deadline = time.monotonic() + patience
        while self.is_alive and (left := deadline - time.monotonic()) > 0:
            self._process.join(min(left, LOOK_SECONDS))
            if self.is_busy:  # a signal just before it began to wait would be seen only afterwards
                self._process.terminate()
        if self.is_alive:
            self._process.kill()
            self._process.join()


def can_fork() -> bool:
    """Whether a copy of this process can go on: no other thread is in it, and its log is seen."""
    here = threading.current_thread()
    others = [thread for thread in threading.enumerate() if thread is not here]
    try:
        sys.stderr.fileno()  # one in memory (a notebook, a test) would be a copy too
    except (AttributeError, OSError, ValueError):
        return False
    return sys.platform == "linux" and all(t.name.startswith(Threads.NAME) for t in others)


@contextmanager
def allow_children() -> Iterator[None]:
    """Let this process start one even where it was started as one that may not (a dask nanny's).

    What is started ends with it all the same (:func:`_end_with`).
    """
    own: dict[str, Any] = multiprocessing.process.current_process()._config  # type: ignore[attr-defined]
    before = own.get("daemon", False)
    own["daemon"] = False
    try:
        yield
    finally:
        own["daemon"] = before


@contextmanager
def _hold_signals() -> Iterator[None]:
    before = signal.pthread_sigmask(signal.SIG_BLOCK, HELD)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _explain_end(code: int | None) -> str:
    if code in (-signal.SIGKILL, ASKED_TO_STOP):
        return "the system ended it, most often because memory ran out"
    if code is not None and code < 0:
        return (
            f"it crashed inside a library ({signal.Signals(-code).name}): one of its files may be "
            "damaged, or memory ran out"
        )
    return f"it ended with exit code {code}"


_asked_to_stop: list[int] = []


def _serve(
    pipe: "Connection[Any, Any]",
    strangers: Sequence["Connection[Any, Any]"],
    parent: int,
    start: Callable[[], None] | None,
) -> None:
    """Compute what comes through a pipe, until it is closed or this process is asked to stop."""
    for one in strangers:
        one.close()
    for number in (signal.SIGINT, signal.SIGHUP):  # they reach the main process, which ends us
        signal.signal(number, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _stop)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, HELD)
    start_thread(_end_with, parent)
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(FIRST_TO_GO, encoding="ascii")
    gc.freeze()  # what a search for garbage does not touch stays in memory that all share
    if start is not None:
        start()
    with suppress(EOFError, OSError):  # the main process has closed the pipe, or is gone
        while not _asked_to_stop:
            pipe.send_bytes(_pack(*try_call(pipe.recv())))


def try_call(call: Callable[[], Any]) -> Outcome:
    """Call it; returns result and error, one of which is None."""
    try:
        return call(), None
    except Exception as error:  # noqa: BLE001 - whoever has given the task reads it
        return None, error


def _pack(result: object, error: BaseException | None) -> bytes:
    """Pickle an outcome, and where an error was raised; only its words if it does not survive."""
    if error is None:
        return pickle.dumps((result, None))
    try:
        error.add_note("".join(traceback.format_exception(error)))
        packed = pickle.dumps((None, error))
        pickle.loads(packed)  # noqa: S301 - our own
    except Exception:  # noqa: BLE001 - whatever an error's own class raises
        packed = pickle.dumps((None, RuntimeError(f"{type(error).__name__}: {error}")))
    return packed


def _stop(number: int, _frame: object) -> None:
    """End this process as an error would, so that unfinished files go."""
    signal.signal(number, signal.SIG_IGN)
    sys.unraisablehook = lambda _: None
    _asked_to_stop.append(number)
    sys.exit(128 + number)


def _end_with(parent: int) -> None:
    """Wait until the main process is gone, killed perhaps, and end this one."""
    while os.getppid() == parent:
        time.sleep(LOOK_SECONDS)
    deadline = time.monotonic() + STOP_SECONDS
    while time.monotonic() < deadline:  # for what is being computed without looking at signals
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(LOOK_SECONDS)
    os._exit(ASKED_TO_STOP)
