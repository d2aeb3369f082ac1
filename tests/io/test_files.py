"""Whole files or none, and the cache folder."""

import errno
import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from kraken_bids.exceptions import InputError
from kraken_bids.io import files
from kraken_bids.io.files import (
    atomic_path,
    explain_absence,
    find_cache_folder,
    remove_leftovers,
    remove_orphans,
    take_lock,
)

LEAVE = """
import os, sys
from pathlib import Path
from kraken_bids.io.files import atomic_path
with atomic_path(Path(sys.argv[1])) as path:
    path.touch()
    os._exit(1)
"""


def leave_half(path: Path) -> None:
    """Have a process that is killed leave a file half-written."""
    done = subprocess.run([sys.executable, "-c", LEAVE, path], check=False)
    assert done.returncode == 1


def test_a_file_appears_whole(tmp_path: Path) -> None:
    """It replaces an older one, and nothing else is left."""
    path = tmp_path / "x.npz"
    path.write_text("old")

    with atomic_path(path) as temporary:
        temporary.write_text("new")

    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    "error", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt()]
)
def test_a_full_disk_or_a_killed_run_leaves_the_old_file(
    tmp_path: Path, error: BaseException
) -> None:
    """What was there stays as it was; the half-written file is removed."""
    path = tmp_path / "x.npz"
    path.write_text("old")

    def write_half() -> None:
        with atomic_path(path) as temporary:
            temporary.write_text("half")
            raise error

    with pytest.raises(InputError if isinstance(error, OSError) else KeyboardInterrupt):
        write_half()

    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_only_old_leftovers_are_removed(tmp_path: Path) -> None:
    """A killed run's file goes a day later; files of now, of others and finished ones stay."""
    folder = tmp_path / "sub-01" / "func"
    with suppress(KeyboardInterrupt), atomic_path(folder / "x.tsv") as temporary:
        temporary.write_text("half")
        old = temporary.with_name(temporary.name.replace(".x.", ".y."))
        os.link(temporary, old)
        new = temporary.with_name(temporary.name.replace(".x.", ".z."))
        new.write_text("being written")
        raise KeyboardInterrupt
    others = [folder / ".bidsignore", folder / "a.tmp", folder / ".a.tmp"]
    for path in others:
        path.write_text("")
    for path in (old, *others):
        os.utime(path, (0, 0))

    assert remove_leftovers(tmp_path) == [new]
    assert sorted(folder.iterdir()) == sorted([new, *others])

    os.utime(new, (0, 0))  # its writer has ended since
    assert remove_orphans([new, new.with_name(new.name.replace(".z.", ".gone."))]) == []
    assert sorted(folder.iterdir()) == sorted(others)


def test_the_cache_is_where_the_user_keeps_caches(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The variable first, then XDG's, then the platform's folder in the home folder."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.delenv("KRAKEN_BIDS_DATA", raising=False)

    assert find_cache_folder() == tmp_path / ".cache" / "kraken_bids"
    monkeypatch.setenv("XDG_CACHE_HOME", "/x")
    assert find_cache_folder() == Path("/x/kraken_bids")
    monkeypatch.setenv("KRAKEN_BIDS_DATA", "/data")
    assert find_cache_folder() == Path("/data")


def test_a_file_may_be_read_by_whom_the_umask_allows(tmp_path: Path) -> None:
    """Libraries that write files for their owner alone would keep a container's user out."""
    plain = tmp_path / "plain"
    plain.touch()

    with atomic_path(tmp_path / "x") as temporary:
        temporary.touch(mode=0o600)

    assert (tmp_path / "x").stat().st_mode == plain.stat().st_mode


@pytest.mark.parametrize("call", ["chmod", "fsync", "flock"])
@pytest.mark.parametrize("code", [errno.EPERM, errno.EINVAL, errno.ENOSYS, errno.ENOTSUP])
def test_a_file_system_that_lacks_a_call_is_written_to(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    call: str,
    code: int,
) -> None:
    """SMB and FUSE mounts refuse modes, some disks fsync, Lustre locks."""

    def refuse(*_: object, **__: object) -> None:
        raise OSError(code, os.strerror(code))

    files._say_once.cache_clear()
    where = {"chmod": "pathlib.Path.chmod", "fsync": "os.fsync", "flock": "fcntl.flock"}
    monkeypatch.setattr(where[call], refuse)

    lock = take_lock(tmp_path / ".lock")
    with atomic_path(tmp_path / "x") as temporary:
        temporary.write_text("whole")

    assert (tmp_path / "x").read_text() == "whole"
    assert (lock is None) == (call == "flock")
    with atomic_path(tmp_path / "y") as temporary:
        temporary.touch()
    if call == "flock":
        take_lock(tmp_path / ".lock")
    said = [record.getMessage() for record in caplog.records]
    assert len(said) == 1, "once, however many files are written"
    assert said[0].startswith("the file system of the results has no ")


def test_a_disk_that_fails_is_no_call_that_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bytes that did not reach the disk do not get their final name."""

    def fail(_: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr("os.fsync", fail)

    with (
        pytest.raises(InputError, match="Input/output error"),
        atomic_path(tmp_path / "x") as temporary,
    ):
        temporary.write_text("half")

    assert list(tmp_path.iterdir()) == []


def test_the_lock_file_is_no_way_to_empty_another_file(tmp_path: Path) -> None:
    """A link in its place is not followed; what it leads to stays."""
    (tmp_path / "thesis").write_text("years of work")
    (tmp_path / ".lock").symlink_to(tmp_path / "thesis")

    assert take_lock(tmp_path / ".lock") is None
    assert (tmp_path / "thesis").read_text() == "years of work"


def test_what_a_killed_process_of_this_machine_left_goes_at_once(tmp_path: Path) -> None:
    """That of a living one stays, and so does that of another machine, for a day."""
    leave_half(tmp_path / "x.tsv")
    (left,) = tmp_path.iterdir()
    elsewhere = left.with_name(left.name[: left.name.index("-")] + "-" + 16 * "0" + ".tmp.tsv")
    elsewhere.touch()
    (tmp_path / "deep").mkdir()
    deep = tmp_path / "deep" / left.name
    deep.touch()

    with atomic_path(tmp_path / "y.tsv") as mine:
        mine.touch()
        remove_leftovers(tmp_path, deep=False)
        found = set(tmp_path.iterdir())

    assert found == {mine, elsewhere, tmp_path / "deep"}
    assert deep.exists()
    remove_leftovers(tmp_path)
    assert not deep.exists()


@pytest.mark.skipif(sys.platform != "linux", reason="states of processes as of Linux")
def test_a_killed_process_that_nobody_asked_for_yet_writes_no_more(tmp_path: Path) -> None:
    """Its number is taken as long as its parent has not seen its end."""
    with atomic_path(tmp_path / "y.tsv") as mine:
        mine.touch()
        name = mine.name
    with subprocess.Popen([sys.executable, "-c", "pass"]) as process:
        left = tmp_path / name.replace(f".{os.getpid()}-", f".{process.pid}-")
        left.touch()
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # it has ended, and stays listed

        remove_leftovers(tmp_path)

        assert not left.exists()


def test_the_first_file_of_a_folder_finds_it_tidied(tmp_path: Path) -> None:
    """Tools have no run that begins by looking round: what was left goes as they write."""
    leave_half(tmp_path / "x.zip")
    (left,) = tmp_path.iterdir()
    folder = left.with_name(f"{left.name}.d")
    (folder / "sub-01").mkdir(parents=True)
    (folder / "sub-01" / "y.tsv").touch()

    with atomic_path(tmp_path / "z.tsv") as temporary:
        temporary.write_text("whole")

    assert [path.name for path in tmp_path.iterdir()] == ["z.tsv"]


def test_a_user_without_a_home_has_the_cache_at_the_root(monkeypatch: pytest.MonkeyPatch) -> None:
    """As where a container sets HOME to / for a user without a name."""

    def no_home(_: Path) -> Path:
        raise RuntimeError("Could not determine home directory.")

    for name in ("KRAKEN_BIDS_DATA", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setattr(Path, "expanduser", no_home)

    assert find_cache_folder() == Path("/.cache/kraken_bids")


def test_a_file_in_a_closed_folder_is_no_absence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody may look there: what is wrong with it is said by whoever tried to read it."""
    (tmp_path / "x").symlink_to(tmp_path / "nowhere")
    assert "link" in explain_absence(tmp_path / "x")
    monkeypatch.setattr("kraken_bids.io.files.os.access", lambda *_: False)
    assert not explain_absence(tmp_path / "x")
