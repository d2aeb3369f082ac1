"""Files that finish together are whole, in their order, and lost only where one before them is."""

import errno
import os
import threading
from pathlib import Path

import pytest

from kraken_bids.exceptions import InputError
from kraken_bids.io.files import atomic_path
from kraken_bids.io.files_together import N_WAITING, finishing_together, stat_written
from kraken_bids.io.writing import write_json, write_text

MANY = 3 * N_WAITING


@pytest.fixture
def renamed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names that files got, in turn."""
    names: list[str] = []
    replace = Path.replace

    def note(path: Path, target: Path) -> Path:
        names.append(target.name)
        return replace(path, target)

    monkeypatch.setattr(Path, "replace", note)
    return names


def list_visible(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))


def test_all_files_have_their_names_at_the_end_of_a_block(tmp_path: Path) -> None:
    """What they replace is whole until then; nothing else is left."""
    for number in range(MANY):
        write_text(tmp_path / f"{number}", "old")
    with finishing_together():
        for number in range(MANY):
            write_text(tmp_path / f"{number}", f"new {number}")
            assert (tmp_path / f"{number}").read_text() in {"old", f"new {number}"}
    assert [(tmp_path / f"{k}").read_text() for k in range(MANY)] == [
        f"new {k}" for k in range(MANY)
    ]
    assert len(list(tmp_path.iterdir())) == MANY


def test_files_get_their_names_in_order_whichever_reaches_the_disk_first(
    tmp_path: Path, renamed: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A sidecar never stands beside a file that is not there."""
    is_sidecar_down, fsync = threading.Event(), os.fsync

    def wait(descriptor: int) -> None:
        if os.fstat(descriptor).st_size > 100:  # the matrix, which takes longest
            assert is_sidecar_down.wait(20)
            assert not renamed
        fsync(descriptor)
        is_sidecar_down.set()

    monkeypatch.setattr(os, "fsync", wait)
    with finishing_together():
        write_text(tmp_path / "a.tsv", "1" * 1000)
        write_json(tmp_path / "a.json", {})
    assert renamed == ["a.tsv", "a.json"]


def test_so_many_wait_at_most(tmp_path: Path) -> None:
    """A run that is killed loses no more."""
    with finishing_together():
        for number in range(MANY):
            write_text(tmp_path / f"{number}", "new")
            assert len(list_visible(tmp_path)) >= number + 1 - N_WAITING


def test_a_file_that_cannot_reach_the_disk_takes_those_after_it_along(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """None of these says anything of it; the older one stays."""
    fsync = os.fsync

    def refuse(descriptor: int) -> None:
        if os.fstat(descriptor).st_size == 3:
            raise OSError(errno.ENOSPC, "No space left on device")
        fsync(descriptor)

    write_text(tmp_path / "b", "old")
    monkeypatch.setattr(os, "fsync", refuse)

    def write_all() -> None:
        with finishing_together():
            for name, text in (("a", "whole"), ("b", "new"), ("c", "more"), ("d", "last")):
                write_text(tmp_path / name, text)

    with pytest.raises(InputError, match=r"room for .*b; the disk"):
        write_all()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b"]
    assert (tmp_path / "b").read_text() == "old"


def test_what_was_finished_before_an_error_is_kept(tmp_path: Path) -> None:
    def write_some() -> None:
        with finishing_together():
            write_text(tmp_path / "a", "whole")
            with atomic_path(tmp_path / "b") as temporary:
                temporary.write_text("half")
                raise ValueError("in between")

    with pytest.raises(ValueError, match="in between"):
        write_some()
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_a_process_that_is_to_end_waits_for_no_disk(tmp_path: Path) -> None:
    """It takes unfinished files along."""

    def write_some() -> None:
        with finishing_together():
            write_text(tmp_path / "a", "whole")
            raise SystemExit(1)

    with pytest.raises(SystemExit):
        write_some()
    assert not list(tmp_path.iterdir())


def test_the_status_of_a_file_on_its_way_is_the_final_one(tmp_path: Path) -> None:
    """Of one that is written twice, that of the second."""
    path = tmp_path / "a"
    write_text(path, "of an earlier run")
    with finishing_together():
        write_text(path, "once")
        write_text(path, "twice")
        with finishing_together():  # a part of the same
            found = stat_written(path)
        assert path.read_text() != "twice"
    assert (found.st_size, found.st_mtime_ns) == (5, path.stat().st_mtime_ns)
    assert stat_written(path).st_size == 5
