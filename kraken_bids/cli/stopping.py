"""How a command ends when it is stopped, or may run out of memory."""

import os
import signal
import sys
import threading
import time
from contextlib import suppress
from functools import partial
from pathlib import Path
from types import FrameType

from kraken_bids.resources import is_memory_limited, reserve_for_algebra, start_thread

STOPPED: dict[object, signal.Signals] = {128 + s: s for s in (signal.SIGTERM, signal.SIGHUP)}
"""Exit codes of a command that was stopped."""


COMMANDS = {"kraken-bids", "kraken-tools"}


PATIENCE_S = 4.0
"""Time that a command has to end by itself once it was told to."""


GRACE_S = 0.5
"""Time more until the system ends it, where Python is taking itself down and runs no thread."""


ASK_AGAIN_S = 0.1
"""Time until it is told again, where Python passed over the first one."""


def reserve_where_limited() -> None:
    """Take the memory of linear algebra at once where a limit of the process could refuse it."""
    if is_memory_limited():
        reserve_for_algebra()


def end_cleanly_when_stopped() -> None:
    """End as by an error at Ctrl-C, SIGTERM and SIGHUP, so that unfinished files go along.

    Python passes over an error that comes up in a destructor: then it is asked again. What does
    not end within :data:`PATIENCE_S`, such as a large file in the middle of a write, ends at once;
    its unfinished file goes when the next command writes there. A signal that whoever started the
    command has had ignored (``nohup``) stays ignored.
    """
    if threading.current_thread() is not threading.main_thread():
        return
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _stop)


def _stop(number: int, frame: FrameType | None) -> None:  # noqa: ARG001
    if Path(sys.argv[0]).stem in COMMANDS:  # else somebody else's process, a notebook perhaps
        start_thread(_end_at_last, number)
        _have_the_system_end_it(PATIENCE_S + GRACE_S)
        sys.unraisablehook = partial(_ask_again, number)
    if number == signal.SIGINT:
        raise KeyboardInterrupt
    sys.exit(128 + number)


def _ask_again(number: int, passed_over: "sys.UnraisableHookArgs") -> None:
    """Stop once more where Python passed over the error that was to stop it."""
    if isinstance(passed_over.exc_value, KeyboardInterrupt | SystemExit):
        with suppress(RuntimeError):
            threading.Timer(ASK_AGAIN_S, os.kill, (os.getpid(), number)).start()
    else:
        sys.__unraisablehook__(passed_over)


def _have_the_system_end_it(seconds: float) -> None:
    """Have the system end this process after a time; nothing in Python can delay that."""
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_REAL, seconds)


def _end_at_last(number: int) -> None:
    time.sleep(PATIENCE_S)
    workers = sys.modules.get("multiprocessing")  # not loaded for this
    for worker in workers.active_children() if workers else ():
        worker.kill()
    os._exit(128 + number)
