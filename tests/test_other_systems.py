"""Nothing but Linux's own features is missed on macOS, and none of them at import."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from kraken_bids import resources
from kraken_bids.io import file_control, files, foreign_child
from kraken_bids.io.files import take_lock

LINUX_ONLY = (
    "sched_getaffinity", "sched_setaffinity", "memfd_create", "eventfd", "posix_fadvise",
    "posix_fallocate", "copy_file_range", "splice", "getrandom", "pidfd_open", "unshare",
    "O_TMPFILE", "O_PATH", "O_DIRECT", "fdatasync", "getxattr", "register_at_fork",
)  # fmt: skip
"""Functions and flags of ``os`` that macOS lacks, and one more that no system need have."""
IMPORT_ALL = """
import builtins, importlib, os, pkgutil, sys, warnings
warnings.simplefilter("ignore")
import kraken_bids

def import_all():
    import kraken_bids
    names = [one.name for one in pkgutil.walk_packages(kraken_bids.__path__, "kraken_bids.")]
    for name in names:
        if not name.endswith("__main__"):
            importlib.import_module(name)
    return len(names)

first = import_all()  # other people's packages have what they need
for name in [name for name in sys.modules if name.partition(".")[0] == "kraken_bids"]:
    del sys.modules[name]
for name in sys.argv[1:]:
    if hasattr(os, name):
        delattr(os, name)
plain = builtins.__import__

def refuse(name, globals=None, *args, **kwargs):
    ours = str((globals or {}).get("__name__")).startswith("kraken_bids")
    if ours and name in ("fcntl", "resource"):
        raise ImportError(name)
    return plain(name, globals, *args, **kwargs)

builtins.__import__ = refuse
assert import_all() == first > 300
from kraken_bids.io import file_control
from kraken_bids import resources
assert file_control.fcntl is None and resources.resource is None
resources.limit_memory(1), resources.leave_no_core()
assert not resources.is_memory_limited() and resources.count_cores() >= 1
"""


def test_every_module_is_imported_without_what_linux_alone_has() -> None:
    """Neither fcntl nor resource, and none of the functions of ``os`` that macOS lacks."""
    done = subprocess.run(
        [sys.executable, "-c", IMPORT_ALL, *LINUX_ONLY],
        capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def test_fcntl_and_resource_stand_behind_one_door_each() -> None:
    """So that what happens without them is said in one place."""
    package = Path(files.__file__).parents[1]
    found = {
        name: [
            str(path.relative_to(package))
            for path in sorted(package.rglob("*.py"))
            if f"import {name}\n" in path.read_text(encoding="utf-8")
        ]
        for name in ("fcntl", "resource")
    }
    assert found == {"fcntl": ["io/file_control.py"], "resource": ["resources.py"]}


def test_without_locks_it_is_said_once_what_not_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A system without any is as a file system without any."""
    files._say_once.cache_clear()
    monkeypatch.setattr(file_control, "fcntl", None)
    assert take_lock(tmp_path / ".lock") is None
    assert take_lock(tmp_path / ".other") is None
    (said,) = [record.getMessage() for record in caplog.records]
    assert "do not run two jobs on the same participants at once" in said
    with pytest.raises(OSError, match="Python") as caught:
        file_control.open_locked(tmp_path / ".lock", 0o600)
    assert caught.value.errno == errno.ENOSYS


def test_cores_are_those_that_this_process_may_use(monkeypatch: pytest.MonkeyPatch) -> None:
    """All of the machine's, where the system does not say."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: {0, 5, 7}, raising=False)
    assert resources.count_cores() == 3
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: 11)
    assert resources.count_cores() == 11


def test_without_proc_memory_of_foreign_files_is_not_bounded_and_time_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As on macOS."""
    asked: list[int | None] = []
    times: list[float] = []

    def fail(*_: object, **__: object) -> str:
        raise FileNotFoundError

    monkeypatch.setattr(Path, "read_text", fail)
    monkeypatch.setattr(foreign_child, "limit_memory", asked.append)
    monkeypatch.setattr(foreign_child.signal, "setitimer", lambda _which, s: times.append(s))
    foreign_child._set_limits(foreign_child.Limits(2.0, 62.0, 10**8))
    assert (asked, times) == ([None], [2.0, 62.0])
