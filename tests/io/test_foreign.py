"""What reads foreign files apart: plain values come back, and nothing takes the run along."""

import multiprocessing
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from kraken_bids.exceptions import CheckpointError, InputError
from kraken_bids.io import foreign
from kraken_bids.io.foreign import read_apart
from kraken_bids.io.foreign_kinds import Kind

KIND = Kind("a stand-in", "Copy it again.")
READERS = """
import ctypes, os, signal, sys, time
import numpy as np

def give(path, value): return value
def read(path): return path.read_text()
def name(path): return os.getpid()
def list_modules(path): return sorted(sys.modules)
def fail(path): raise ZeroDivisionError("division by zero")
def fail_without_words(path): raise RecursionError
def leave(path): os._exit(3)
def leave_politely(path): sys.exit("3")
def crash(path): os.kill(os.getpid(), signal.SIGSEGV)
def be_ended(path): os.kill(os.getpid(), signal.SIGKILL)
def compute(path):
    while True: pass
def compute_without_signals(path):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    ctypes.PyDLL(None).pause()
def wait(path): time.sleep(600)
def take(path, n_bytes): return len(np.ones(n_bytes, np.uint8))
def print_much(path): os.write(1, bytes(1000)); print("hello"); return 1
def give_object(path): return path
def crash_once(path, mark):
    if not mark.exists(): mark.touch(); os.kill(os.getpid(), signal.SIGSEGV)
    return "read"
def be_ended_once(path, mark):
    if not mark.exists(): mark.touch(); os.kill(os.getpid(), signal.SIGKILL)
    return "read"
"""


@pytest.fixture
def readers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """Harmless stand-ins for libraries, in a module that the process apart can import."""
    foreign._end()
    (tmp_path / "stand_ins.py").write_text(READERS)
    monkeypatch.syspath_prepend(tmp_path)
    yield import_module("stand_ins")
    foreign._end()
    del sys.modules["stand_ins"]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    found = tmp_path / "x.mat"
    found.write_text("content")
    return found


def objects(*values: Any) -> np.ndarray:
    array = np.empty(len(values), dtype=object)
    array[:] = values
    return array


@pytest.mark.parametrize(
    "value",
    [
        np.arange(6.0).reshape(2, 3), np.asfortranarray(np.arange(6).reshape(2, 3)),
        np.arange(12)[::2], np.zeros((0, 3), ">f4"), np.float32(3), np.array(5, np.uint8),
        np.array(["a", "bé"]), np.array([b"a"]), np.array([1j]), 2j, "word", b"bytes", None,
        10**30,
        {"a": [1, (2, 3.5)], "b": {"c": True}}, np.array([(1, 2.0)], [("x", "i4"), ("y", "f8")]),
        np.dtype(">f4"),
    ],
)  # fmt: skip
def test_plain_values_come_back_as_they_are(
    readers: ModuleType, path: Path, value: object
) -> None:
    """Numbers of every kind and order, words, and what holds them."""
    found = read_apart(KIND, readers.give, path, value)
    assert type(found) is type(value)
    np.testing.assert_equal(found, value)
    if isinstance(value, np.ndarray):
        assert found.dtype == value.dtype
        assert found.flags.writeable
        assert value.flags.f_contiguous <= found.flags.f_contiguous


def test_cells_come_back(readers: ModuleType, path: Path) -> None:
    """Arrays of arrays and of dicts."""
    found = read_apart(KIND, readers.give, path, objects(np.eye(2), {"a": np.arange(3)}, "x"))
    np.testing.assert_array_equal(found[0], np.eye(2))
    np.testing.assert_array_equal(found[1]["a"], np.arange(3))
    assert found[2] == "x"


def test_nothing_but_plain_values_comes_back(readers: ModuleType, path: Path) -> None:
    """What a damaged library might send, nobody rebuilds."""
    with pytest.raises(InputError, match=r"x\.mat; found: a value of pathlib"):
        read_apart(KIND, readers.give_object, path)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("fail", "division by zero"),
        ("fail_without_words", "RecursionError"),
        ("leave", r"library that reads it crashes \(status 3\)"),
        ("leave_politely", r"library that reads it crashes \(status 1\)"),
        ("crash", r"library that reads it crashes \(SIGSEGV\)"),
        ("be_ended", "the system ended its reading"),
        ("compute", "read without end"),
        ("compute_without_signals", "read without end"),
        ("wait", "read without end"),
    ],
)
def test_whatever_befalls_a_reader_is_an_error_that_names_the_file(
    readers: ModuleType, path: Path, monkeypatch: pytest.MonkeyPatch, name: str, reason: str
) -> None:
    """Exceptions of any kind, crashes and endless waiting; the next file is read."""
    monkeypatch.setattr(foreign, "COMPUTE_S", 0.2)
    monkeypatch.setattr(foreign, "WAIT_S", 0.4)
    assert read_apart(KIND, readers.read, path) == "content"
    with pytest.raises(InputError) as caught:
        read_apart(KIND, getattr(readers, name), path)
    assert caught.match(rf"expected a stand-in in {path}; found: .*{reason}.*Copy it again\.")
    assert read_apart(KIND, readers.read, path) == "content"


def test_memory_is_bounded_by_the_size_of_the_file(readers: ModuleType, tmp_path: Path) -> None:
    """A small file may take less than 0.2 GB, one of 2 MB as much as it may hold."""
    small, large = tmp_path / "small", tmp_path / "large"
    small.write_bytes(b"x")
    with large.open("wb") as file:
        file.truncate(2_000_000)
    with pytest.raises(InputError, match="small; found: a file that takes more than 128 MB"):
        read_apart(KIND, readers.take, small, 200_000_000)
    assert read_apart(KIND, readers.take, large, 200_000_000) == 200_000_000
    assert read_apart(KIND, readers.take, small, 60_000_000) == 60_000_000


def test_the_error_is_of_the_kind_that_is_asked_for(readers: ModuleType, tmp_path: Path) -> None:
    """A file of the model is none of the dataset; one that is not there is said."""
    kind = Kind("a model", "Download it again.", CheckpointError)
    with pytest.raises(
        CheckpointError, match=r"expected a model in .*no\.h5; found: .*No such file"
    ):
        read_apart(kind, readers.read, tmp_path / "no.h5")


def test_what_a_library_prints_is_no_reply(readers: ModuleType, path: Path) -> None:
    """It is lost."""
    assert read_apart(KIND, readers.print_much, path) == 1
    assert read_apart(KIND, readers.read, path) == "content"


def test_one_process_reads_all_until_one_file_ends_it(readers: ModuleType, path: Path) -> None:
    """It lasts, also where a file cannot be read; behind one that ends it comes a fresh one."""
    process = read_apart(KIND, readers.name, path)
    with pytest.raises(InputError):
        read_apart(KIND, readers.fail, path)
    assert read_apart(KIND, readers.name, path) == process
    with pytest.raises(InputError):
        read_apart(KIND, readers.crash, path)
    assert read_apart(KIND, readers.name, path) != process


def test_a_file_is_not_blamed_for_what_came_before(
    readers: ModuleType, path: Path, tmp_path: Path
) -> None:
    """A process that was ended while it waited, or falls once, is replaced."""
    os.kill(read_apart(KIND, readers.name, path), signal.SIGKILL)
    assert read_apart(KIND, readers.read, path) == "content"
    assert read_apart(KIND, readers.crash_once, path, tmp_path / "mark") == "read"


def test_a_file_is_read_again_where_somebody_killed_its_reader(
    readers: ModuleType, path: Path, tmp_path: Path
) -> None:
    """Also by a process that has read nothing else; what is killed twice is too much."""
    assert read_apart(KIND, readers.be_ended_once, path, tmp_path / "mark") == "read"
    foreign._end()
    with pytest.raises(InputError, match="where memory runs out"):
        read_apart(KIND, readers.be_ended, path)


def test_ctrl_c_does_not_reach_it(readers: ModuleType, path: Path) -> None:
    """Neither from the terminal, whose group it leaves, nor sent to it."""
    process = read_apart(KIND, readers.name, path)
    assert os.getpgid(process) != os.getpgid(0)
    os.kill(process, signal.SIGINT)
    assert read_apart(KIND, readers.name, path) == process


def test_an_interrupt_while_it_reads_ends_it(
    readers: ModuleType, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it would still send is no answer to the next question."""
    process = read_apart(KIND, readers.name, path)

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    previous = signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, 0.3)
    try:
        with pytest.raises(KeyboardInterrupt):
            read_apart(KIND, readers.wait, path)
    finally:
        signal.signal(signal.SIGALRM, previous)
    assert not is_there(process)
    assert read_apart(KIND, readers.read, path) == "content"


def test_a_file_is_found_after_the_working_folder_changed(
    readers: ModuleType, path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process apart stays where it was started."""
    read_apart(KIND, readers.read, path)
    monkeypatch.chdir(tmp_path)
    assert read_apart(KIND, readers.read, Path(path.name)) == "content"


def test_modules_of_the_working_folder_do_not_get_in(
    readers: ModuleType, path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A dataset may hold a numpy.py."""
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "numpy.py").write_text("raise SystemExit(1)")
    monkeypatch.chdir(tmp_path / "folder")
    assert read_apart(KIND, readers.read, path) == "content"


def test_a_system_that_starts_no_process_is_named(
    readers: ModuleType, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The number of processes may be limited."""

    def refuse(*_: object, **__: object) -> None:
        raise BlockingIOError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(subprocess, "Popen", refuse)
    with pytest.raises(
        InputError, match=r"x\.mat; found: no process to read it in.*Resource temp"
    ):
        read_apart(KIND, readers.read, path)


def is_there(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


def wait_for(condition: Callable[[], bool], seconds: float = 10) -> bool:
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.02)
    return condition()


@pytest.mark.parametrize("reader", ["name", "wait"])
def test_it_ends_with_its_parent(
    readers: ModuleType, path: Path, tmp_path: Path, reader: str
) -> None:
    """Also where that is killed, while it waits for work or reads."""
    code = f"""
        import sys; from pathlib import Path; sys.path.insert(0, {str(tmp_path)!r})
        from kraken_bids.io import foreign; import stand_ins
        foreign.COMPUTE_S, foreign.WAIT_S = 0.3, 0.2
        kind = foreign.Kind("", "")
        print(foreign.read_apart(kind, stand_ins.name, Path({str(path)!r})), flush=True)
        foreign.read_apart(kind, stand_ins.{reader}, Path({str(path)!r}))
        sys.stdin.read()
    """
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment,
    ) as parent:  # fmt: skip
        assert parent.stdout is not None
        process = int(parent.stdout.readline())
        assert is_there(process)
        parent.kill()
    assert wait_for(lambda: not is_there(process))


def read_in_child(path: Path, queue: Any) -> None:
    import stand_ins  # type: ignore[import-not-found]

    queue.put((read_apart(KIND, stand_ins.read, path), read_apart(KIND, stand_ins.name, path)))


def test_a_forked_process_that_no_other_may_live_beside_has_its_own(
    readers: ModuleType, path: Path
) -> None:
    """Daemonic workers may have no children by multiprocessing; and pipes are shared by nobody."""
    own = read_apart(KIND, readers.name, path)
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    worker = context.Process(target=read_in_child, args=(path, queue), daemon=True)
    worker.start()
    content, process = queue.get(timeout=20)
    worker.join()
    assert worker.exitcode == 0
    assert content == "content"
    assert process != own
    assert wait_for(lambda: not is_there(process))
    assert read_apart(KIND, readers.name, path) == own


def test_it_imports_little(readers: ModuleType, path: Path) -> None:
    """Least of all torch; and it is not started before the first file."""
    assert not foreign._lasting
    modules = read_apart(KIND, readers.list_modules, path)
    assert foreign._lasting
    assert not {"torch", "scipy", "nibabel", "pandas", "matplotlib"} & set(modules)


def test_nothing_else_reads_such_files() -> None:
    """Modules that open HDF5 and MATLAB files do so in the process apart, or in memory."""
    package = Path(foreign.__file__).parents[1]
    found = {
        str(path.relative_to(package))
        for path in package.rglob("*.py")
        if "h5py.File(" in (text := path.read_text(encoding="utf-8")) or "loadmat(" in text
    }
    reading = {
        "io/foreign_hdf5.py",
        "io/hdf5_chunks.py",
        "io/matlab_hdf5.py",
        "io/matlab_child.py",
    }
    assert found == reading | {"io/hdf5.py", "demo/formats.py"}  # these write


def test_a_process_that_was_started_early_reads_what_is_asked(
    readers: ModuleType, tmp_path: Path
) -> None:
    """It imports meanwhile, and is the one that answers."""
    foreign.start_reading("stand_ins")
    (early,) = foreign._lasting
    assert "stand_ins" in read_apart(KIND, readers.list_modules, tmp_path)
    assert read_apart(KIND, readers.name, tmp_path) == early.process.pid


def test_an_early_process_that_has_ended_is_followed_by_another(
    readers: ModuleType, tmp_path: Path
) -> None:
    """Here for want of the module that it was to import."""
    foreign.start_reading("no_such_module")
    assert foreign._lasting[0].process.wait(60)
    assert read_apart(KIND, readers.give, tmp_path, 3) == 3
