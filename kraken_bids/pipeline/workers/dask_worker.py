"""What happens on a worker of dask: each call is made in a process beside it."""

import logging
import os
import signal
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from kraken_bids import __version__
from kraken_bids.exceptions import SettingsError
from kraken_bids.pipeline.workers.process import (
    ASKED_TO_STOP,
    LOOK_SECONDS,
    STOP_SECONDS,
    LostProcessError,
    Process,
    allow_children,
    try_call,
)
from kraken_bids.resources import start_thread

logger = logging.getLogger(__name__)

Result = TypeVar("Result")

TOPIC = "kraken_bids-begun"
PLUGIN = "kraken_bids"
LAST_SECONDS = 2.0
"""Time after the death of the process beside a worker until the worker's own would have come."""
CLOSE_SECONDS = 3 * STOP_SECONDS
"""Time that a worker of a job has to close; where it takes longer its process is ended."""
CARRIED = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "TMPDIR",
    "KRAKEN_BIDS_DATA",
)
"""Variables of the run that hold on workers too; not every scheduler hands them on."""


@dataclass(frozen=True)
class Surroundings:
    """What a call finds on a worker as it would beside the run itself."""

    folder: Path
    """Working folder, from which paths of the user start."""
    variables: dict[str, str]
    start: Callable[[], None]
    """Starts the log, and bounds the memory."""

    def enter(self) -> None:
        """Take them over, in the process that calls."""
        with suppress(OSError):  # a folder of the login node alone; paths are absolute then
            os.chdir(self.folder)
        os.environ.update(self.variables)
        self.start()


def describe_surroundings(start: Callable[[], None]) -> Surroundings:
    """Describe those of this process."""
    variables = {name: os.environ[name] for name in CARRIED if name in os.environ}
    return Surroundings(Path.cwd(), variables, start)


class Neighbour:
    """The process beside a worker, which computes one participant at a time.

    Where the system ends it, for want of memory most often, the worker lives on and says who it
    was that failed.
    """

    def __init__(self, surroundings: Surroundings) -> None:
        self._surroundings = surroundings
        self._process: Process | None = None
        self._lock = threading.Lock()
        self._is_over = False
        self.is_fresh = True
        """Whether it has computed nothing yet, so that all of its job's time is left."""

    def run(self, call: Callable[[], Result]) -> Result:
        """Make a call in the process, which is started if need be.

        Raises
        ------
        LostProcessError
            If the process ended in the middle.
        """
        self.is_fresh = False
        with self._lock:  # a scheduler of the user's own may give a worker several threads
            result, error = self._run(call)
        if isinstance(error, LostProcessError) and error.code == -signal.SIGKILL:
            time.sleep(LAST_SECONDS)  # whoever ends both wants neither blamed
        if error is not None:
            raise error
        outcome: Result = result
        return outcome

    def _run(self, call: Callable[[], Any]) -> tuple[Any, BaseException | None]:
        if self._process is None or not self._process.is_alive:
            try:
                with allow_children():
                    self._process = Process(self._surroundings.enter, (), forks=False)
            except OSError as error:
                logger.warning(
                    "the system allows no process beside this worker (%s): it computes by itself",
                    error.strerror,
                )
                return try_call(call)
        from distributed.protocol import pickle

        send: Any = pickle.dumps  # as dask does it: functions of a script too
        one = self._process
        one.give(_call, send(call))
        while (outcome := one.take()) is None:
            if self._is_over:
                return None, LostProcessError("its worker has ended", ASKED_TO_STOP)
            one.wait(LOOK_SECONDS)
        return outcome

    def end(self) -> None:
        """End the process, in the middle of its work too."""
        self._is_over = True
        if self._process is not None:
            self._process.ask_to_end()
            self._process.end(STOP_SECONDS)


def _call(content: bytes) -> object:
    """Make a call that was pickled as dask does it."""
    from distributed.protocol import pickle

    receive: Any = pickle.loads
    result: object = receive(content)()
    return result


def call_beside(name: str, version: str, call: Callable[[], Result]) -> Result:
    """Say that a call has begun, and make it in the process beside this worker.

    Raises
    ------
    SettingsError
        If this worker has another version of the package: its numbers could be others.
    """
    from distributed import get_worker

    if version != __version__:
        raise SettingsError(
            f"--scheduler: expected workers with kraken_bids {version}, as here; found "
            f"{__version__} on {get_worker().address}. Install the same version there, or give "
            "the jobs this Python (--job-python)."
        )
    worker = get_worker()
    beside: Any = worker.plugins[PLUGIN]
    worker.log_event(TOPIC, {"name": name, "is_first": beside.neighbour.is_fresh})
    result: Result = beside.neighbour.run(call)
    return result


def give_surroundings(client: Any, surroundings: Surroundings, *, is_job: bool) -> None:
    """Give every worker, now and later, the process beside it.

    Parameters
    ----------
    is_job : bool
        Whether workers are jobs of this run, so that their processes may be ended with them.
    """
    from distributed import WorkerPlugin

    class Beside(WorkerPlugin):
        """Starts and ends the process beside a worker."""

        name = PLUGIN
        neighbour: Neighbour

        def setup(self, worker: object) -> None:
            self.neighbour = Neighbour(surroundings)
            if is_job:
                start_thread(_end_with_worker, worker)

        def teardown(self, worker: object) -> None:  # noqa: ARG002
            self.neighbour.end()

    client.register_plugin(Beside())


def _end_with_worker(worker: Any) -> None:
    """End this process some time after its worker began to close.

    dask's own way out waits for ever where SIGTERM comes while the worker closes because its
    scheduler has gone, as at the end of every run (distributed 2026.8: ``Worker.close`` is
    cancelled in the middle, and what waits for its end is never told).
    """
    while worker.status.name not in {"closing", "closed", "failed"}:
        time.sleep(LOOK_SECONDS)
    time.sleep(CLOSE_SECONDS)
    os._exit(ASKED_TO_STOP)
