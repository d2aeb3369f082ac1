"""Whole files or none."""

import errno
from pathlib import Path

import pytest

from kraken_bids.exceptions import InputError
from kraken_bids.model.atomic import write_atomically


def test_a_file_appears_whole(tmp_path: Path) -> None:
    """It replaces an older one, and nothing else is left."""
    path = tmp_path / "x.npz"
    path.write_text("old")

    write_atomically(path, lambda temporary: temporary.write_text("new"))

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

    def fail(temporary: Path) -> None:
        temporary.write_text("half")
        raise error

    with pytest.raises(InputError if isinstance(error, OSError) else KeyboardInterrupt):
        write_atomically(path, fail)

    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]
