"""Foreign files whose reading can end or hang a process: they are read in a process apart.

Some damaged HDF5 and MATLAB files crash the libraries that read them, some are read without end,
some take all memory. One lasting process beside this one, started for the first such file, opens
them and sends back plain values. It is ended by limits of time and memory that the system keeps,
also while a library listens to nothing.
"""

import atexit
import io
import os
import pickle
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar, cast

import numpy as np

from kraken_bids.io.bounds import FREE_BYTES, MAX_RATIO
from kraken_bids.io.foreign_child import COUNT, TIMERS, Limits
from kraken_bids.io.foreign_kinds import Kind

Result = TypeVar("Result")

COMPUTE_S = 2.0
"""Time of computing that a file of any size has; good ones of some MB take hundredths of it."""
COMPUTE_S_PER_BYTE = 2e-6
"""More time for large files, by their size on disk: four times what HDF5 with thousands of small
datasets takes, a hundred times what one with large ones does."""
WAIT_S = 60.0
"""And for waiting, beside computing: a busy machine, a slow disk of a cluster."""
COPIES = 2
"""Of what a file may grow to (:mod:`kraken_bids.io.bounds`): as read, and as given back."""
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
START = (
    "import sys; sys.path[:] = sys.argv[2:]; "
    "from kraken_bids.io.foreign_child import serve; serve(sys.argv[1])"
)
NUMPY_NAMES = {"_frombuffer", "_reconstruct", "ndarray", "dtype", "scalar"}
"""What rebuilds arrays; nothing else is made of what comes back."""


def read_apart(kind: Kind, function: Callable[..., Result], path: Path, *args: object) -> Result:
    """Call ``function(path, *args)`` in the process for foreign files, and return what it does.

    Parameters
    ----------
    kind : Kind
        For the message.
    function : callable
        Of a module, found there by its name. It returns arrays, numbers, words, and tuples, lists
        and dicts of these. What its module imports is imported before time is taken.
    path : Path
        A file. The larger it is, the more time and memory there is for it.

    Raises
    ------
    KrakenBidsError
        Of ``kind``: if there is no such file, the function raises whatever it be, takes too long
        or too much memory, or the process ends.
    """
    try:
        n_bytes = path.stat().st_size
        seconds = COMPUTE_S + COMPUTE_S_PER_BYTE * n_bytes
        n_allowed = COPIES * max(FREE_BYTES, MAX_RATIO * n_bytes)
        limits = Limits(seconds, WAIT_S + seconds, n_allowed)
        request = (function, (path.absolute(), *args), limits)
        with _lock:
            return cast(Result, _ask(request))
    except (OSError, _FailureError) as error:
        raise kind.refuse(path, error) from None


def start_reading(*modules: str) -> None:
    """Start the process for foreign files before it is needed, while this one does other things.

    Parameters
    ----------
    modules : str
        Of the functions that will be called there, and what these need; imported meanwhile.
    """
    with _lock, suppress(_DeathError):  # said where a file is read
        if not _lasting:
            _lasting.append(_Apart(modules))


class _FailureError(Exception):
    """A file could not be read; the message says why."""


class _DeathError(_FailureError):
    """The process has ended while it read, or has not begun."""

    def __init__(self, reason: str, *, code: int = -signal.SIGKILL) -> None:
        super().__init__(reason)
        self.is_timeout = -code in TIMERS
        self.is_killed = code == -signal.SIGKILL
        """Whether the system, or somebody, has ended it, and no fault of the file's."""


class _Apart:
    """The process that reads foreign files, seen from the one that needs them."""

    def __init__(self, modules: Sequence[str] = ()) -> None:
        self._is_ready = False
        try:
            # -P: no module of the working folder, which may be foreign as well, gets in
            self.process = subprocess.Popen(  # noqa: S603 - Python itself
                [sys.executable, "-P", "-c", START, ",".join(modules), *sys.path],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env={**os.environ, **ONE_THREAD},
                process_group=0,  # Ctrl-C is for us
            )
        except OSError as error:
            raise _DeathError(
                f"no process to read it in, since starting one gave: {error}"
            ) from error
        self._requests = cast(io.BufferedWriter, self.process.stdin)
        self._replies = cast(io.BufferedReader, self.process.stdout)

    def ask(self, request: tuple[Any, ...]) -> Any:
        """Return the result of a request (function, arguments, limits)."""
        self._is_ready = self._is_ready or bool(self._replies.read(1))
        if not self._is_ready:
            raise _DeathError(f"no process to read it in: {sys.executable} has ended at once")
        try:
            pickle.dump(request, self._requests, 5)
            self._requests.flush()
            buffers = [self._receive() for _ in range(COUNT.unpack(self._read(COUNT.size))[0])]
            content = self._receive()
        except (BrokenPipeError, EOFError):
            code = self.process.wait()
            raise _DeathError(_explain(code), code=code) from None
        is_sound, answer = _Plain(io.BytesIO(content), buffers=buffers).load()
        if not is_sound:
            raise _FailureError(answer)
        return answer

    def end(self) -> None:
        """End the process, and wait until it has."""
        self.process.kill()
        self.process.wait()
        for stream in (self._requests, self._replies):
            with suppress(BrokenPipeError):
                stream.close()

    def forget(self) -> None:
        """Let it be another process's, of which this one is a copy."""
        self.process.returncode = 0
        self._requests.raw.close()
        self._replies.raw.close()

    def _receive(self) -> memoryview:
        return self._read(COUNT.unpack(self._read(COUNT.size))[0])

    def _read(self, n_bytes: int) -> memoryview:
        buffer = np.empty(n_bytes, np.uint8).data
        if self._replies.readinto(buffer) < n_bytes:
            raise EOFError
        return buffer


_lasting: list[_Apart] = []
_lock = threading.Lock()


def _ask(request: tuple[Any, ...], *, again: bool = True) -> Any:
    """Ask the lasting process; where that has ended, a fresh one, and where it was killed too."""
    is_fresh = not _lasting
    try:
        if is_fresh:
            _lasting.append(_Apart())
        return _lasting[0].ask(request)
    except _DeathError as error:
        _end()
        if error.is_timeout or (is_fresh and not (again and error.is_killed)):
            raise
    except _FailureError:
        raise
    except BaseException:
        _end()  # what it would still send is no answer to the next question
        raise
    # it had read others before, and may have suffered from one or been ended while it waited
    return _ask(request, again=not is_fresh and again)


@atexit.register
def _end() -> None:
    while _lasting:
        _lasting.pop().end()


def _forget() -> None:
    """After a fork: the process is that of the original."""
    global _lock  # noqa: PLW0603 - some other thread of the original may have held it
    _lock = threading.Lock()
    while _lasting:
        _lasting.pop().forget()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)


def _explain(code: int) -> str:
    if -code in TIMERS:
        return (
            "a file that is read without end: reading was stopped, far beyond what its size needs"
        )
    if code == -signal.SIGKILL:
        return "that the system ended its reading, as it does where memory runs out"
    name = signal.Signals(-code).name if code < 0 else f"status {code}"
    return f"content at which the library that reads it crashes ({name})"


class _Plain(pickle.Unpickler):
    """Rebuilds arrays, numbers and words, and nothing else."""

    def find_class(self, module: str, name: str) -> Any:
        if (module.partition(".")[0] == "numpy" and name in NUMPY_NAMES) or (
            (module, name) == ("builtins", "complex")
        ):
            return super().find_class(module, name)
        raise _FailureError(f"a value of {module}.{name}, which is no array")
