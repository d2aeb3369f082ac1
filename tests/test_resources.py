"""What happens where memory or threads run out."""

import errno
import subprocess
import sys
import threading

import numpy as np
import pytest

from kraken_bids import resources
from kraken_bids.cohort.read_ahead import read_ahead, write_behind
from kraken_bids.exceptions import InputError
from kraken_bids.models.devices import CPU, run_parts
from kraken_bids.resources import MEMORY, THREADS, Threads, explain_shortage, start_thread


@pytest.fixture
def no_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """As under ``ulimit -u``."""

    def refuse(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)


@pytest.mark.usefixtures("no_threads")
def test_reading_ahead_without_threads_reads_all_in_order() -> None:
    """One item after the other, each once."""
    assert list(read_ahead(iter(range(5)))) == [0, 1, 2, 3, 4]


@pytest.mark.usefixtures("no_threads")
def test_writing_behind_without_threads_writes_all_once() -> None:
    """In their order."""
    written: list[int] = []

    write_behind(iter(range(5)), written.append)

    assert written == [0, 1, 2, 3, 4]


@pytest.mark.usefixtures("no_threads")
def test_writing_behind_without_threads_says_what_went_wrong() -> None:
    """As a thread would."""

    def fail(_item: int) -> None:
        raise InputError("the disk is full")

    with pytest.raises(InputError, match="the disk is full"):
        write_behind(iter(range(5)), fail)


@pytest.mark.usefixtures("no_threads")
def test_threads_that_cannot_be_had_change_no_result() -> None:
    """Multiplications are done here."""
    with Threads(4) as threads:
        found = list(threads.map(abs, range(-4, 0)))

    assert found == [4, 3, 2, 1]
    assert run_parts(abs, [-1, 2], CPU) == [1, 2]


def test_what_numpy_says_of_memory_is_understood() -> None:
    """Its own class of error, as it raises it."""
    with pytest.raises(MemoryError) as caught:
        np.empty(1 << 60, np.uint8)

    assert explain_shortage(caught.value) == MEMORY


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (BlockingIOError(11, "Resource temporarily unavailable"), THREADS),
        (ImportError("x.so: failed to map segment from shared object"), MEMORY),
        (InputError("damaged: it declares more than there is: cannot allocate memory"), ""),
        (KeyError("out of memory"), ""),
        (RuntimeError("no luck"), ""),
    ],
)
def test_only_a_shortage_is_taken_for_one(error: Exception, words: str) -> None:
    """An error of ours says by itself what to do."""
    assert explain_shortage(error) == words


def test_a_compiled_module_that_could_not_begin_had_no_memory() -> None:
    """Its own error says only that it failed; what it was raised from says why."""
    failed = ImportError("initialization failed")
    assert explain_shortage(failed) == ""
    failed.__cause__ = ImportError("x.so: undefined symbol: y")
    assert explain_shortage(failed) == ""

    failed.__cause__ = MemoryError()

    assert explain_shortage(failed) == MEMORY


def test_a_thread_that_cannot_begin_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Which ``Thread.start`` does without end where beginning fails for want of memory."""

    def fail(_thread: threading.Thread) -> None:
        raise MemoryError

    monkeypatch.setattr(threading.Thread, "_bootstrap_inner", fail)
    began = threading.Event()

    start_thread(began.set)

    assert began.wait(10)


@pytest.mark.parametrize("is_limited", [True, False])
def test_compiled_code_that_fails_without_a_word_lacks_memory_under_a_limit_alone(
    monkeypatch: pytest.MonkeyPatch, is_limited: bool
) -> None:
    """Python says SystemError where an allocation failed and nobody looked."""
    monkeypatch.setattr(resources, "is_memory_limited", lambda: is_limited)

    said = explain_shortage(SystemError("error return without exception set"))

    assert said == (MEMORY if is_limited else "")


LIMITED = """
import resource
from pathlib import Path
import numpy as np, scipy.linalg
from kraken_bids.resources import reserve_for_algebra

def limit(room):
    data = next(x for x in Path("/proc/self/status").read_text().splitlines() if "VmData" in x)
    used = int(data.split()[1]) << 10
    resource.setrlimit(resource.RLIMIT_DATA, (used + room, resource.RLIM_INFINITY))
"""
needs_linux = pytest.mark.skipif(sys.platform != "linux", reason="limits of memory as of Linux")


def run_limited(code: str) -> str:
    command = [sys.executable, "-c", LIMITED + code]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=60, check=False
    ).stdout.strip()


@needs_linux
def test_too_little_room_for_algebra_is_an_error_at_once() -> None:
    """OpenBLAS itself would ask for it without end."""
    code = """
limit(20 << 20)
try:
    reserve_for_algebra()
except OSError as error:
    print(error.errno)
"""
    assert int(run_limited(code)) == errno.ENOMEM


@needs_linux
def test_what_was_reserved_serves_under_a_limit() -> None:
    """The libraries take their 32 MiB each once, and find them again."""
    code = """
reserve_for_algebra()
limit(10 << 20)
x = np.random.default_rng(0).standard_normal((200, 200))
print(round(scipy.linalg.eigh(x @ x.T)[0].sum() - (x * x).sum()))
"""
    assert run_limited(code) == "0"
