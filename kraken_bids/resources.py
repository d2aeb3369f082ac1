"""What a machine has and may run out of: memory, that of a GPU, cores, threads, processes."""

import _thread
import errno
import logging
import mmap
import os
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from contextvars import copy_context
from typing import TypeVar

from kraken_bids.exceptions import KrakenBidsError

try:
    import resource
except ImportError:  # no Unix
    resource = None  # type: ignore[assignment]
HAS_LIMITS = resource is not None

logger = logging.getLogger(__name__)

Result = TypeVar("Result")

NO_THREAD = "can't start new thread"
MEMORY = "there was no memory left"
GPU_MEMORY = "the GPU had no memory left (--device cpu needs none)"
THREADS = "the system allowed no further thread or process (ulimit -u)"
SAID = {
    NO_THREAD: THREADS,
    "cuda out of memory": GPU_MEMORY,
    "cuda error: out of memory": GPU_MEMORY,
    "cublas_status_alloc_failed": GPU_MEMORY,
    "defaultcpuallocator": MEMORY,
    "cannot allocate memory": MEMORY,
    "failed to map segment": MEMORY,
    "memory allocation failed": MEMORY,
}
"""What libraries say, in small letters, that have no error of their own for it."""
FAILED = "initialization failed"
"""What compiled modules (pybind11) say of any error while they are imported."""
ALGEBRA_ROOM = 1 << 27
"""Bytes; the libraries of linear algebra that numpy and scipy carry take 32 MiB each."""


def explain_shortage(error: BaseException) -> str:
    """Say what ran out, where an error means that anything did; else ''."""
    if isinstance(error, MemoryError) or getattr(error, "errno", None) == errno.ENOMEM:
        return MEMORY
    if isinstance(error, ImportError) and str(error) == FAILED and error.__cause__:
        return explain_shortage(error.__cause__)
    if isinstance(error, SystemError):  # compiled code that returned nothing, and did not say why
        return MEMORY if is_memory_limited() else ""
    if isinstance(error, BlockingIOError):  # of a fork
        return THREADS
    if isinstance(error, KrakenBidsError) or not isinstance(
        error, RuntimeError | OSError | ImportError
    ):
        return ""
    said = str(error).lower()
    return next((what for words, what in SAID.items() if words in said), "")


def reserve_for_algebra() -> None:
    """Let the libraries of linear algebra take their memory now.

    Where a limit of the process (``ulimit -v``, ``h_vmem``, ``--mem-gb``) leaves them none when
    they first want it, OpenBLAS asks for it again without end.

    Raises
    ------
    OSError
        If there is no room for it now.
    """
    import numpy as np
    from scipy.linalg import eigh

    kind = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
    mmap.mmap(-1, ALGEBRA_ROOM, flags=kind).close()
    square = np.eye(128)
    eigh(square @ square)


def count_cores() -> int:
    """Count the cores that this process may use; all there are, where the system does not say."""
    if hasattr(os, "sched_getaffinity"):  # Linux
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def is_memory_limited() -> bool:
    """Whether a limit of this process could refuse it memory."""
    if not HAS_LIMITS:
        return False
    limits = {resource.getrlimit(kind)[0] for kind in (resource.RLIMIT_AS, resource.RLIMIT_DATA)}
    return limits != {resource.RLIM_INFINITY}


def limit_memory(n_bytes: int | None) -> None:
    """Bound the memory of this process by so many bytes, or by what the system allows.

    Where the system has no such limit, or a lower one, nothing changes.
    """
    if not HAS_LIMITS:
        return
    with suppress(OSError, ValueError):
        _, hard = resource.getrlimit(resource.RLIMIT_DATA)
        resource.setrlimit(resource.RLIMIT_DATA, (hard if n_bytes is None else n_bytes, hard))


def leave_no_core() -> None:
    """Let this process leave no image of its memory on the disk where it crashes."""
    if HAS_LIMITS:
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def run_at_once(
    function: Callable[..., Result], *args: object, **kwargs: object
) -> Future[Result]:
    """Call a function here; its result or its exception waits in the future, as in a pool."""
    future: Future[Result] = Future()
    try:
        future.set_result(function(*args, **kwargs))
    except Exception as error:  # noqa: BLE001 - the caller reads it from the future
        future.set_exception(error)
    return future


def start_thread(work: Callable[..., object], *args: object) -> None:
    """Start a thread that nobody waits for; none where the system allows no further one.

    ``Thread.start`` waits until the thread has begun: without end where that finds no memory.
    """
    with suppress(RuntimeError):
        _thread.start_new_thread(work, args)


class Threads(ThreadPoolExecutor):
    """Threads that compute beside this one; where the system allows none, this one does it.

    What this one's context holds (:mod:`contextvars`) holds there too.
    """

    NAME = "kraken_bids"
    """How the names of all of them begin."""

    def __init__(self, n_threads: int) -> None:
        super().__init__(n_threads, thread_name_prefix=self.NAME)
        self._are_refused = False

    def submit(
        self, fn: Callable[..., Result], /, *args: object, **kwargs: object
    ) -> Future[Result]:
        """Run ``fn`` in a thread, or at once in this one; then its exception waits as well."""
        if not self._are_refused:
            try:
                context = copy_context()
                return super().submit(lambda: context.run(fn, *args, **kwargs))
            except RuntimeError as error:
                if NO_THREAD not in str(error):
                    raise
                logger.debug("%s: one computes alone", THREADS)
                self._are_refused = True
        return run_at_once(fn, *args, **kwargs)
