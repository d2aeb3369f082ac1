"""How the commands end where they are stopped: by Ctrl-C, a cluster, a container, a lost line."""

import signal
import sys
import threading
from types import FrameType


def end_cleanly_when_stopped() -> None:
    """End as by an error at SIGTERM and SIGHUP, so that unfinished files and processes go along.

    A signal that whoever started the command has had ignored (``nohup``) stays ignored. Ctrl-C
    does as much by itself.
    """
    if threading.current_thread() is not threading.main_thread():
        return
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _stop)


def _stop(number: int, frame: FrameType | None) -> None:  # noqa: ARG001
    sys.exit(128 + number)
