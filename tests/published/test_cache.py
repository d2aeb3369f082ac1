"""Copies in the cache, and the stamps that remember sound ones."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from kraken_bids.published import cache
from kraken_bids.published.cache import check_copy

SHA256 = hashlib.sha256(b"published").hexdigest()


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    path = tmp_path / "file.npy"
    path.write_bytes(b"published")
    return path


def test_a_sound_copy_is_read_once(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The stamp stands in for reading gigabytes at each start."""
    assert check_copy(copy, SHA256) == ""
    monkeypatch.setattr(cache, "compute_sha256", lambda _: "read")

    assert check_copy(copy, SHA256) == ""
    assert check_copy(copy, SHA256, read_again=True) == "read"
    assert check_copy(copy, "0" * 64) == "read"


def test_a_changed_copy_is_read_again(copy: Path) -> None:
    """Another size or time of change voids the stamp."""
    check_copy(copy, SHA256)
    os.utime(copy, ns=(0, 0))
    copy.write_bytes(b"publishes")

    assert check_copy(copy, SHA256) == hashlib.sha256(b"publishes").hexdigest()


def test_a_damaged_copy_gets_no_stamp(copy: Path) -> None:
    """Only sound copies are remembered."""
    assert check_copy(copy, "0" * 64) == SHA256
    assert [p.name for p in copy.parent.iterdir()] == ["file.npy"]


def test_a_garbled_stamp_is_no_stamp(copy: Path) -> None:
    """It is replaced."""
    stamp = copy.with_name(".file.npy.sha256")
    stamp.write_bytes(b"\xff\xfe")

    assert check_copy(copy, SHA256) == ""
    assert SHA256 in stamp.read_text()


def test_a_cache_that_may_only_be_read(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No stamp can be written, and nothing is wrong with that."""

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "write_text", refuse)

    assert check_copy(copy, SHA256) == ""
    assert [p.name for p in copy.parent.iterdir()] == ["file.npy"]


def test_a_stamp_that_a_killed_process_began_goes(copy: Path) -> None:
    """The next stamp in that folder takes it along, as any half-written file of this package."""
    script = f"""
import os
from pathlib import Path
from kraken_bids.published.cache import check_copy

Path.replace = lambda *_: os._exit(1)
check_copy(Path({str(copy)!r}), {SHA256!r})
"""
    killed = subprocess.run([sys.executable, "-c", script], check=False)
    assert killed.returncode == 1
    assert len(list(copy.parent.iterdir())) == 2

    check_copy(copy, SHA256)

    assert {path.name for path in copy.parent.iterdir()} == {copy.name, ".file.npy.sha256"}
