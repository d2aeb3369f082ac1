"""The process in which foreign files are read: it answers until nobody is there to ask."""

import mmap
import os
import pickle
import signal
import struct
import sys
from collections.abc import Callable
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import IO, Any, NamedTuple

from kraken_bids.io.file_control import widen_pipe
from kraken_bids.resources import leave_no_core, limit_memory

TIMERS = {signal.SIGPROF: signal.ITIMER_PROF, signal.SIGALRM: signal.ITIMER_REAL}
"""Of computing and of waiting; unless it is caught, their signal ends a process at once."""
PIPE_BYTES = 1 << 20
COUNT = struct.Struct("<Q")


class Limits(NamedTuple):
    """What reading a file may take; 0: anything."""

    compute_s: float = 0
    wait_s: float = 0
    n_bytes: int = 0
    """Of memory, beside what is taken before."""


def serve(modules: str) -> None:
    """Answer requests until nobody is there to ask; in the process apart.

    ``modules``, with commas between them, are imported before anybody asks.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for number in TIMERS:
        signal.signal(number, signal.SIG_DFL)
    leave_no_core()
    replies = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints is no reply
    with suppress(OSError):  # its pipes hold much already
        widen_pipe(replies, PIPE_BYTES)
    replies.write(b"!")
    replies.flush()
    for module in filter(None, modules.split(",")):
        import_module(module)
    while True:
        try:
            request = pickle.load(sys.stdin.buffer)  # noqa: S301 - ours
        except EOFError:
            os._exit(0)
        _reply(replies, *_answer(*request))


def _reply(replies: IO[bytes], content: bytes, buffers: list[memoryview]) -> None:
    replies.write(COUNT.pack(len(buffers)))
    for buffer in (*buffers, memoryview(content)):
        replies.write(COUNT.pack(len(buffer)))
        replies.write(buffer)
    replies.flush()


def _answer(
    function: Callable[..., Any], args: tuple[Any, ...], limits: Limits
) -> tuple[bytes, list[memoryview]]:
    """Call the function under limits; its result, or what was wrong, packed."""
    buffers: list[Any] = []
    answer: tuple[bool, Any]
    _set_limits(limits)
    try:
        answer = True, function(*args)
        content = pickle.dumps(answer, 5, buffer_callback=buffers.append)
    except MemoryError:
        answer = (
            False,
            f"a file that takes more than {limits.n_bytes // 10**6:,} MB of memory to read",
        )
    except Exception as error:  # noqa: BLE001 - what libraries raise at damaged files is anything
        answer = False, str(error) or type(error).__name__
    _set_limits(Limits())
    if not answer[0]:
        return pickle.dumps(answer, 5), []
    return content, [buffer.raw() for buffer in buffers]


def _set_limits(limits: Limits) -> None:
    """End this process after so long; bound the memory that it takes."""
    signal.setitimer(signal.ITIMER_PROF, limits.compute_s)
    signal.setitimer(signal.ITIMER_REAL, limits.wait_s)
    n_allowed = None
    with suppress(OSError, ValueError):  # a system that does not say what is taken: no bound
        if limits.n_bytes:
            n_pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[5])
            n_allowed = n_pages * mmap.PAGESIZE + limits.n_bytes
    limit_memory(n_allowed)
