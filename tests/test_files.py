"""Whole files or none, and the cache folder."""

import errno
import os
from contextlib import suppress
from pathlib import Path

import pytest

from kraken_bids.exceptions import InputError
from kraken_bids.files import atomic_path, find_cache_folder, remove_leftovers


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

    remove_leftovers(tmp_path)

    assert sorted(folder.iterdir()) == sorted([new, *others])


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
