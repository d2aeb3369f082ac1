"""Downloads by many processes at once, from servers that hang, into folders that are closed."""

import errno
import hashlib
import os
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kraken_bids.exceptions import InputError
from kraken_bids.published import downloads
from kraken_bids.published.cache import PublishedFile
from kraken_bids.published.downloads import fetch_file
from kraken_bids.published.transfers import Patience

QUICK = Patience(silence=1.0, rounds=1, pause=0.0)
N_BYTES = 400_000


def make_content(name: str) -> bytes:
    return np.random.default_rng(list(name.encode())).bytes(N_BYTES)


class Handler(BaseHTTPRequestHandler):
    """Serves ``/<manner>/<name>``; its bytes follow from the name."""

    def do_GET(self) -> None:
        """Answer."""
        _, manner, name = self.path.split("/")
        requested = self.headers.get("Range")
        self.server.asked.append((manner, name, requested))  # type: ignore[attr-defined]
        offset = int(requested.removeprefix("bytes=").rstrip("-")) if requested else 0
        if manner == "mute":
            self.server.patience.wait(5)  # type: ignore[attr-defined]
            return
        self.send_response(206 if offset else 200)
        if offset:
            self.send_header("Content-Range", f"bytes {offset}-{N_BYTES - 1}/{N_BYTES}")
        self.send_header("Content-Length", str(N_BYTES - offset))
        self.end_headers()
        content = make_content(name)
        if manner == "stuck" and not offset:
            self.wfile.write(content[: N_BYTES // 2])
            self.wfile.flush()
            self.server.patience.wait(20)  # type: ignore[attr-defined]
            return
        for start in range(offset, N_BYTES, 50_000):
            self.wfile.write(content[start : start + 50_000])
            time.sleep(0.01)

    def log_message(self, *args: object) -> None:
        """Keep quiet."""


class Server(ThreadingHTTPServer):
    """Remembers what it was asked for; its stuck answers end when ``patience`` is set."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked: list[tuple[str, str, str | None]] = []
        self.patience = threading.Event()

    def file(self, name: str, *manners: str) -> PublishedFile:
        """File with an address per manner."""
        urls = tuple(f"http://127.0.0.1:{self.server_port}/{m}/{name}" for m in manners)
        return PublishedFile(name, urls, hashlib.sha256(make_content(name)).hexdigest())

    def handle_error(self, *args: Any) -> None:
        """Clients that go away are what is tested."""


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with Server() as running:
        thread = threading.Thread(target=running.serve_forever, args=(0.02,))
        thread.start()
        yield running
        running.patience.set()
        running.shutdown()
        thread.join()


def start(folder: Path, *files: PublishedFile) -> "subprocess.Popen[str]":
    """Start a process that fetches files."""
    code = (
        "from pathlib import Path\n"
        "from kraken_bids.published.cache import PublishedFile\n"
        "from kraken_bids.published.downloads import fetch_file\n"
        f"print(sum(fetch_file(file, Path({str(folder)!r})) for file in {list(files)!r}))"
    )
    return subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)


def wait_for(path: Path, size: int) -> None:
    """Wait until a file has grown to a size."""
    deadline = time.monotonic() + 20
    while not (path.is_file() and path.stat().st_size >= size):
        assert time.monotonic() < deadline, f"{path} did not grow"
        time.sleep(0.02)


def test_a_cluster_s_processes_fill_one_cache(server: Server, tmp_path: Path) -> None:
    """Of four that start with different files, each file is downloaded once and is whole."""
    files = [server.file(f"file{k}.bin", "good") for k in range(4)]
    orders = [files[k:] + files[:k] for k in range(4)]

    processes = [start(tmp_path, *order) for order in orders]
    counts = [int(process.communicate(timeout=60)[0]) for process in processes]

    assert sum(counts) == 4
    assert Counter(name for _, name, _ in server.asked) == {file.name: 1 for file in files}
    for file in files:
        assert (tmp_path / file.name).read_bytes() == make_content(file.name)
    assert list(tmp_path.glob(".*.part")) == []


def test_who_waits_goes_on_where_another_was_killed(server: Server, tmp_path: Path) -> None:
    """A killed job leaves its half and no lock; the next one asks for the rest."""
    file = server.file("model.bin", "stuck")
    killed = start(tmp_path, file)
    wait_for(tmp_path / ".model.bin.part", N_BYTES // 2)
    waiting = start(tmp_path, file)
    time.sleep(0.3)
    assert not (tmp_path / "model.bin").exists()
    killed.kill()
    killed.communicate()

    assert int(waiting.communicate(timeout=60)[0]) == 1
    assert [requested for *_, requested in server.asked] == [None, f"bytes={N_BYTES // 2}-"]
    assert (tmp_path / "model.bin").read_bytes() == make_content("model.bin")


def test_a_server_that_never_answers(server: Server, tmp_path: Path) -> None:
    """Without even a header, its time is up after some silence; the mirror gives the file."""
    assert fetch_file(server.file("model.bin", "mute", "good"), tmp_path, QUICK)
    assert [manner for manner, *_ in server.asked] == ["mute", "good"]

    with pytest.raises(InputError, match=r"silent for 1 s") as caught:
        fetch_file(server.file("other.bin", "mute"), tmp_path, QUICK)
    assert str(tmp_path / "other.bin") in str(caught.value)


def test_the_mirror_goes_on_where_an_address_fell_silent(server: Server, tmp_path: Path) -> None:
    """What came before the silence is not asked for again."""
    assert fetch_file(server.file("model.bin", "stuck", "good"), tmp_path, QUICK)

    assert [(manner, requested) for manner, _, requested in server.asked] == [
        ("stuck", None),
        ("good", f"bytes={N_BYTES // 2}-"),
    ]
    assert (tmp_path / "model.bin").read_bytes() == make_content("model.bin")


def forbid_writing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the file system as one that is mounted read-only (root would not heed permissions)."""
    open_descriptor, open_path = os.open, Path.open

    def refuse(path: object) -> OSError:
        return OSError(errno.EROFS, "Read-only file system", str(path))

    def guarded_descriptor(path: Any, flags: int, *rest: Any, **named: Any) -> int:
        if flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
            raise refuse(path)
        return open_descriptor(path, flags, *rest, **named)

    def guarded_path(path: Path, mode: str = "r", *rest: Any, **named: Any) -> Any:
        if set(mode) & set("wax+"):
            raise refuse(path)
        return open_path(path, mode, *rest, **named)

    monkeypatch.setattr(downloads.os, "open", guarded_descriptor)
    monkeypatch.setattr(Path, "open", guarded_path)


def test_a_cache_that_may_only_be_read(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is there is verified and used; what is not is said, with the way by hand."""
    here, absent = server.file("here.bin", "good"), server.file("absent.bin", "good")
    (tmp_path / "here.bin").write_bytes(make_content("here.bin"))
    forbid_writing(monkeypatch)

    assert not fetch_file(here, tmp_path, QUICK)
    with pytest.raises(InputError, match="Read-only file system") as caught:
        fetch_file(absent, tmp_path, QUICK)

    for word in (str(tmp_path / "absent.bin"), absent.urls[0], absent.sha256, "KRAKEN_BIDS_DATA"):
        assert word in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == ["here.bin"]


def test_a_damaged_copy_in_a_cache_that_may_only_be_read(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It cannot be replaced, and is not used."""
    (tmp_path / "model.bin").write_bytes(b"half a file")
    forbid_writing(monkeypatch)

    with pytest.raises(InputError, match="Read-only file system"):
        fetch_file(server.file("model.bin", "good"), tmp_path, QUICK)
