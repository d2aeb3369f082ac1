"""Processes beside this one, and what becomes of a task whose process ends."""

import errno
import io
import json
import logging
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from kraken_bids.cohort.failures import failure_of
from kraken_bids.pipeline.workers.local import Processes
from kraken_bids.pipeline.workers.process import LostProcessError, can_fork

Found = dict[object, tuple[object, BaseException | None]]


def run(slots: int, function: object, items: object) -> Found:
    """Outcome of each item."""
    with Processes(slots) as processes:
        return {
            item: (result, error)
            for item, result, error in processes.run(function, items)  # type: ignore[arg-type]
        }


def end(number: int) -> int:
    """Do as the system does to a process that is out of memory, where the number is 2."""
    if number == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def test_who_is_too_much_fails_alone() -> None:
    """Whoever was computed beside it is not lost."""
    found = run(2, end, range(7))

    failed = {item: error for item, (_, error) in found.items() if error is not None}
    assert set(found) == set(range(7))
    assert list(failed) == [2]
    assert isinstance(failed[2], LostProcessError)


def end_once(marker: Path) -> str:
    """Be killed the first time."""
    if not marker.exists():
        marker.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return "done"


def test_who_was_killed_beside_others_is_computed_again_alone(tmp_path: Path) -> None:
    """Together they may have been too much for the memory, and each by itself is not."""
    markers = [tmp_path / "a", tmp_path / "b", tmp_path / "c"]

    found = run(2, end_once, markers)

    assert found == dict.fromkeys(markers, ("done", None))


ALONE = """
import json, os, signal, sys
from kraken_bids.pipeline.workers.local import Processes

def end(number):
    if number == 2:
        os.kill(os.getpid(), getattr(signal, sys.argv[1]))
    return number

if __name__ == "__main__":
    with Processes(1) as processes:
        print(json.dumps([[i, r, str(e)] for i, r, e in processes.run(end, range(4))]))
"""


@pytest.mark.parametrize(
    ("name", "words"), [("SIGKILL", "the system ended it"), ("SIGSEGV", "library (SIGSEGV)")]
)
def test_one_process_is_enough_to_keep_the_run(tmp_path: Path, name: str, words: str) -> None:
    """Computed one after the other, the one whose process ends fails, in its turn."""
    script = tmp_path / "run.py"
    script.write_text(ALONE)
    done = subprocess.run(
        [sys.executable, script, name], check=True, capture_output=True, text=True
    )

    found = json.loads(done.stdout)
    assert [item for item, _, _ in found] == [0, 1, 2, 3]
    assert [result for _, result, _ in found] == [0, 1, None, 3]
    assert words in found[2][2]
    assert done.stderr == ""


def test_what_a_lost_process_was_computing_is_told_what_to_do() -> None:
    """Memory is named, and nobody is asked to report a fault."""
    (error,) = (error for _, error in run(2, end, [2]).values())
    assert error is not None

    message = failure_of(error, subject="01", session=None, stage="connectomes").message

    assert "most often because memory ran out. Give more memory (--mem-gb" in message
    assert "report" not in message


class OddError(Exception):
    """An error that cannot be pickled and made again."""

    def __init__(self, one: int, two: int) -> None:
        super().__init__(f"{one} and {two}")


def fail_oddly(_item: int) -> None:
    """Raise it."""
    raise OddError(1, 2)


def fail(_item: int) -> None:
    """Raise what nobody expects."""
    raise KeyError("n_both")


def test_an_error_arrives_with_the_place_where_it_was_raised() -> None:
    """The log of the main process holds the traceback of the other."""
    (error,) = (error for _, error in run(2, fail, [0]).values())

    assert isinstance(error, KeyError)
    assert "in fail" in "".join(error.__notes__)


def test_an_error_that_cannot_travel_arrives_in_words() -> None:
    """Its class and what it says."""
    (error,) = (error for _, error in run(2, fail_oddly, [0]).values())

    assert repr(error) == "RuntimeError('OddError: 1 and 2')"


def have_child(item: int) -> int | None:
    """Compute in a process of the process."""
    child = multiprocessing.get_context("spawn").Process(target=abs, args=(item,))
    child.start()
    child.join()
    return child.exitcode


def test_processes_may_have_processes() -> None:
    """Readers of files that may crash, for one."""
    assert run(2, have_child, [1]) == {1: (0, None)}


def test_without_processes_this_one_computes_and_says_so_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Where the system allows no more of them (ulimit -u)."""

    def refuse(*_args: object) -> None:
        raise BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")

    monkeypatch.setattr("kraken_bids.pipeline.workers.local.Process", refuse)
    with caplog.at_level(logging.WARNING, "kraken_bids"):
        found = run(2, abs, [-1, -2, -3])

    assert found == {-1: (1, None), -2: (2, None), -3: (3, None)}
    assert len(caplog.messages) == 1
    assert "the system allows no process beside this one" in caplog.messages[0]


def test_a_program_with_threads_is_not_forked() -> None:
    """A lock that one of them holds would stay locked in the copy."""
    over = threading.Event()
    other = threading.Thread(target=over.wait)
    other.start()
    try:
        assert not can_fork()
    finally:
        over.set()
        other.join()


def test_a_program_whose_log_is_in_memory_is_not_forked(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a copy of it says would be lost."""
    monkeypatch.setattr("sys.stderr", io.StringIO())

    assert not can_fork()


DEAF = """
import os, signal, sys, time
from pathlib import Path
from kraken_bids.pipeline.workers.local import Processes

def compute(folder):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    (folder / "begun").write_text(str(os.getpid()))
    time.sleep(600)

if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    with Processes(1) as processes:
        list(processes.run(compute, [Path(sys.argv[1])]))
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_process_that_does_not_listen_ends_too(tmp_path: Path, number: int) -> None:
    """One that computes inside a library, say; nobody waits for it for ever."""
    script = tmp_path / "run.py"
    script.write_text(DEAF)
    with subprocess.Popen(
        [sys.executable, script, tmp_path], stderr=subprocess.PIPE, text=True
    ) as main:
        while not (tmp_path / "begun").exists():
            assert main.poll() is None
        main.send_signal(number)
        # its stderr is closed when the last process that has inherited it is gone
        _, said = main.communicate(timeout=60)

    assert said == ""
