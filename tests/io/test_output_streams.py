"""Pipes and devices that outputs are written to stay pipes and devices."""

import io
import os
import stat
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from kraken_bids.exceptions import InputError
from kraken_bids.io.files import atomic_path, make_folder
from kraken_bids.io.output_streams import is_stream, send_to_disk

CONTENT = bytes(range(256)) * 1000


@pytest.fixture
def pipe(tmp_path: Path) -> Path:
    os.mkfifo(tmp_path / "pipe.npz")
    return tmp_path / "pipe.npz"


def read_while(path: Path, write: Callable[[], None]) -> bytes:
    """Write in this thread what another one reads."""
    found: list[bytes] = []
    reader = threading.Thread(target=lambda: found.append(path.read_bytes()), daemon=True)
    reader.start()
    write()
    reader.join(timeout=30)
    return found[0]


def write(path: Path) -> None:
    with atomic_path(path) as temporary:
        assert temporary.suffix == path.suffix
        with temporary.open("wb") as file:
            file.seek(len(CONTENT) // 2)
            file.write(CONTENT[len(CONTENT) // 2 :])
            file.seek(0)
            file.write(CONTENT[: len(CONTENT) // 2])


def test_what_is_written_to_a_pipe_goes_through_it(pipe: Path) -> None:
    """Also what is written back and forth, as archives are; the pipe is still one."""
    assert read_while(pipe, lambda: write(pipe)) == CONTENT
    assert stat.S_ISFIFO(pipe.stat().st_mode)
    assert list(pipe.parent.iterdir()) == [pipe]


def test_a_link_to_a_pipe_is_a_pipe(pipe: Path) -> None:
    """It is not replaced by a file either."""
    link = pipe.with_name("link.npz")
    link.symlink_to(pipe.name)

    assert read_while(pipe, lambda: write(link)) == CONTENT
    assert link.is_symlink()


@pytest.mark.parametrize("name", ["/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"])
@pytest.mark.parametrize("is_file", [True, False])
def test_standard_output_is_written_where_it_stands(
    tmp_path: Path, name: str, is_file: bool
) -> None:
    """Into a pipe or a file that the shell opened, between what is printed before and after."""
    code = (
        "from pathlib import Path\nfrom kraken_bids.io.files import atomic_path\nprint('before')\n"
        f"with atomic_path(Path({name!r})) as path:\n    path.write_text('content\\n')\n"
        "print('after')\n"
    )
    with (tmp_path / "out").open("w+b") as out:
        done = subprocess.run(
            [sys.executable, "-c", code], check=True, stdout=out if is_file else subprocess.PIPE
        )
        out.seek(0)
        found = out.read() if is_file else done.stdout

    assert found == b"before\ncontent\nafter\n"


def test_files_folders_and_what_is_not_there_are_no_streams(tmp_path: Path) -> None:
    """Nor are links to them, or links to themselves."""
    (tmp_path / "file").write_text("")
    (tmp_path / "link").symlink_to("file")
    (tmp_path / "nowhere").symlink_to("absent")
    (tmp_path / "loop").symlink_to("loop")
    for path in ("file", "link", "nowhere", "loop", "absent", "."):
        assert not is_stream(tmp_path / path)
    assert is_stream(Path("/dev/stdout"))


def test_a_folder_cannot_be_made_of_a_pipe_or_file(pipe: Path) -> None:
    """The error names it."""
    for path in (pipe, pipe / "below"):
        with pytest.raises(InputError, match=r"pipe\.npz"):
            make_folder(path)
    assert stat.S_ISFIFO(pipe.stat().st_mode)


def test_nothing_goes_into_a_pipe_when_the_work_fails(pipe: Path) -> None:
    """Its reader sees nothing, rather than half of it."""

    def fail() -> None:
        with atomic_path(pipe) as temporary:
            temporary.write_bytes(CONTENT)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()

    descriptor = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        assert os.read(descriptor, 10) == b""
    finally:
        os.close(descriptor)


def test_what_is_sent_to_the_disk_stays_what_it_is(tmp_path: Path) -> None:
    """Again and again while a file grows; what is no file of a disk is passed over."""
    path, pieces = tmp_path / "x", [bytes([k]) * 300_000 for k in range(9)]
    with path.open("wb") as file:
        for piece in pieces:
            file.write(piece)
            send_to_disk(file)

    assert path.read_bytes() == b"".join(pieces)
    send_to_disk(io.BytesIO(b"x"))
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb"), os.fdopen(writing, "wb") as pipe:
        send_to_disk(pipe)
