"""Downloads against a server of our own that breaks off, trickles, lies and hides."""

import errno
import hashlib
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from kraken_bids.exceptions import InputError
from kraken_bids.published import transfers
from kraken_bids.published.cache import PublishedFile
from kraken_bids.published.downloads import fetch_file, find_part
from kraken_bids.published.transfers import Patience

CONTENT = np.random.default_rng(0).bytes(300_000)
HALF = len(CONTENT) // 2
QUICK = Patience(silence=1.0, slow_after=1.0, slowest=20_000, rounds=2, pause=0.0, progress=0.0)


class Handler(BaseHTTPRequestHandler):
    """Behaves as the first part of the path says."""

    def do_GET(self) -> None:
        """Answer."""
        manner = self.path.split("/")[1]
        requested = self.headers.get("Range")
        self.server.requests.append((manner, requested))  # type: ignore[attr-defined]
        offset = int(requested.removeprefix("bytes=").rstrip("-")) if requested else 0
        if manner in ("404", "503"):
            return self.send_error(int(manner))
        if manner in ("page", "other"):
            return self.answer(b"<html>Please log in</html>", 0, manner=manner)
        if manner == "no-range":
            return self.answer(CONTENT, 0)
        if manner == "redirect":
            self.send_response(302)
            self.send_header("Location", "/good/file")
            return self.end_headers()
        if offset >= len(CONTENT):
            return self.send_error(416)
        stop = {"half": HALF, "once": HALF if not offset else None, "drip": offset + 40_000}
        return self.answer(CONTENT, offset, stop.get(manner), manner)

    def answer(
        self, content: bytes, offset: int, stop: int | None = None, manner: str = ""
    ) -> None:
        """Send a file from an offset on, up to a stop that the headers do not tell."""
        self.send_response(206 if offset else 200)
        if offset:
            last = len(content) - 1
            self.send_header("Content-Range", f"bytes {offset}-{last}/{len(content)}")
        self.send_header("Content-Length", str(len(content) - offset))
        if manner == "page":
            self.send_header("Content-Type", "text/html; charset=utf-8")
        self.end_headers()
        if manner == "slow":
            return self.trickle(content)
        if manner == "silent":
            self.wfile.write(content[:1000])
            self.wfile.flush()
            time.sleep(1.8)
            return None
        if manner == "busy":
            time.sleep(0.3)
        self.wfile.write(content[offset:stop])
        return None

    def trickle(self, content: bytes) -> None:
        """Send 100 bytes every now and then, for as long as the client bears it."""
        try:
            for i in range(40):
                self.wfile.write(content[i * 100 : i * 100 + 100])
                self.wfile.flush()
                time.sleep(0.05)
        except OSError:
            pass

    def log_message(self, *args: object) -> None:
        """Keep quiet."""


class Server(ThreadingHTTPServer):
    """Remembers what it was asked for."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.requests: list[tuple[str, str | None]] = []

    def file(self, *manners: str, content: bytes = CONTENT) -> PublishedFile:
        """File with an address per manner."""
        urls = tuple(f"http://127.0.0.1:{self.server_port}/{m}/file" for m in manners)
        return PublishedFile("model.bin", urls, hashlib.sha256(content).hexdigest())

    @property
    def asked(self) -> list[str]:
        """Manners asked for, in order."""
        return [manner for manner, _ in self.requests]


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with Server() as running:
        thread = threading.Thread(target=running.serve_forever, args=(0.02,))
        thread.start()
        yield running
        running.shutdown()
        thread.join()


def leftovers(folder: Path) -> set[str]:
    """Names in a folder but the lock and the stamp."""
    return {p.name for p in folder.iterdir()} - {".model.bin.lock", ".model.bin.sha256"}


def test_a_file_comes_once(server: Server, tmp_path: Path) -> None:
    """A sound copy is verified and not asked for again."""
    file = server.file("good")

    assert fetch_file(file, tmp_path / "models", QUICK)
    assert not fetch_file(file, tmp_path / "models", QUICK)

    assert (tmp_path / "models/model.bin").read_bytes() == CONTENT
    assert server.asked == ["good"]
    assert leftovers(tmp_path / "models") == {"model.bin"}


@pytest.mark.parametrize("manner", ["404", "503", "page", "other", "slow", "silent"])
def test_the_mirror_stands_in(server: Server, tmp_path: Path, manner: str) -> None:
    """Missing, failing, wrong, trickling or silent: the second address gives the file."""
    assert fetch_file(server.file(manner, "good"), tmp_path, QUICK)

    assert (tmp_path / "model.bin").read_bytes() == CONTENT
    assert server.asked == [manner, "good"]


def test_redirects_are_followed(server: Server, tmp_path: Path) -> None:
    """As those of OSF's download addresses."""
    assert fetch_file(server.file("redirect"), tmp_path, QUICK)
    assert (tmp_path / "model.bin").read_bytes() == CONTENT


def test_the_mirror_resumes_what_broke_off(server: Server, tmp_path: Path) -> None:
    """The bytes that came are not asked for again."""
    assert fetch_file(server.file("half", "good"), tmp_path, QUICK)

    assert server.requests == [("half", None), ("good", f"bytes={HALF}-")]
    assert (tmp_path / "model.bin").read_bytes() == CONTENT


def test_a_later_run_resumes(server: Server, tmp_path: Path) -> None:
    """What an interrupted run left has no final name, and is the beginning of the next."""
    with pytest.raises(InputError, match=f"broke off after {HALF} of 300000 bytes") as caught:
        fetch_file(server.file("half"), tmp_path, QUICK)
    assert f"{HALF} bytes) is kept" in str(caught.value)
    assert not (tmp_path / "model.bin").exists()
    part = find_part(tmp_path / "model.bin")
    assert part is not None
    assert part.read_bytes() == CONTENT[:HALF]
    server.requests.clear()

    assert fetch_file(server.file("good"), tmp_path, QUICK)

    assert server.requests == [("good", f"bytes={HALF}-")]
    assert (tmp_path / "model.bin").read_bytes() == CONTENT


def test_a_line_that_breaks_again_and_again_gets_there(server: Server, tmp_path: Path) -> None:
    """Rounds that bring bytes do not count as vain."""
    assert fetch_file(server.file("drip"), tmp_path, QUICK)

    assert len(server.requests) == 8
    assert (tmp_path / "model.bin").read_bytes() == CONTENT


def test_a_login_page_does_not_replace_what_came(server: Server, tmp_path: Path) -> None:
    """A network that wants a login costs no bytes."""
    (tmp_path / ".model.bin.part").write_bytes(CONTENT[:HALF])

    with pytest.raises(InputError, match="gave a web page"):
        fetch_file(server.file("page"), tmp_path, QUICK)

    assert (tmp_path / ".model.bin.part").read_bytes() == CONTENT[:HALF]


def test_a_server_without_ranges_starts_over(server: Server, tmp_path: Path) -> None:
    """An answer with the whole file replaces the part."""
    (tmp_path / ".model.bin.part").write_bytes(CONTENT[:HALF])

    assert fetch_file(server.file("no-range"), tmp_path, QUICK)
    assert (tmp_path / "model.bin").read_bytes() == CONTENT


@pytest.mark.parametrize("length", [HALF, len(CONTENT), len(CONTENT) + 5])
def test_a_rotten_part_is_thrown_away(server: Server, tmp_path: Path, length: int) -> None:
    """A resumed file with a wrong SHA-256 is fetched from scratch from the same address."""
    (tmp_path / ".model.bin.part").write_bytes(b"x" * length)

    assert fetch_file(server.file("good"), tmp_path, QUICK)

    assert server.requests == [("good", f"bytes={length}-"), ("good", None)]
    assert (tmp_path / "model.bin").read_bytes() == CONTENT


def test_a_whole_part_only_needs_its_name(server: Server, tmp_path: Path) -> None:
    """A run that died before renaming has nothing left to download."""
    (tmp_path / ".model.bin.part").write_bytes(CONTENT)

    assert fetch_file(server.file("good"), tmp_path, QUICK)
    assert (tmp_path / "model.bin").read_bytes() == CONTENT


def test_another_file_is_never_used(server: Server, tmp_path: Path) -> None:
    """Wrong bytes everywhere: an error with what was found, and no file, not even a part."""
    file = server.file("other", "good", content=b"what was published")

    with pytest.raises(InputError, match="gave another file") as caught:
        fetch_file(file, tmp_path, QUICK)

    assert server.asked == ["other", "good"]  # not asked again: the answer would be the same
    assert hashlib.sha256(CONTENT).hexdigest() in str(caught.value)
    assert leftovers(tmp_path) == set()


def test_a_damaged_copy_is_replaced(
    server: Server, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """One byte, same size and time of change: found, said, and fetched again."""
    file = server.file("good")
    fetch_file(file, tmp_path, QUICK)
    path = tmp_path / "model.bin"
    times = path.stat()
    path.write_bytes(CONTENT[:-1] + bytes([CONTENT[-1] ^ 1]))
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))

    assert fetch_file(file, tmp_path, QUICK)
    assert path.read_bytes() == CONTENT
    assert "model.bin is damaged" in caplog.text


def test_offline_says_what_where_and_how(tmp_path: Path) -> None:
    """The message is enough to do it by hand."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as closed:
        url = f"http://127.0.0.1:{closed.server_port}/file"
    file = PublishedFile("model.bin", (url,), "0" * 64)

    with pytest.raises(InputError, match="cannot be reached") as caught:
        fetch_file(file, tmp_path, QUICK)

    message = str(caught.value)
    assert all(word in message for word in (url, str(tmp_path / "model.bin"), "0" * 64))
    assert "KRAKEN_BIDS_DATA" in message


def test_a_disk_too_small_is_said_before_it_is_full(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The length of the answer is compared with the free space."""
    monkeypatch.setattr(transfers.shutil, "disk_usage", lambda _: SimpleNamespace(free=1000))

    with pytest.raises(InputError, match=r"disk .* is full .300000 bytes needed, 1000 free"):
        fetch_file(server.file("good", "good"), tmp_path, QUICK)
    assert server.asked == ["good"]


def test_a_full_disk_keeps_what_came(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Quotas show only when writing; the other addresses are not to blame and not asked."""
    write = os.write

    def fail(descriptor: int, data: memoryview) -> int:
        if os.fstat(descriptor).st_size >= 1000:
            raise OSError(errno.EDQUOT, "Disk quota exceeded")
        return write(descriptor, data[:1000])

    monkeypatch.setattr(transfers.os, "write", fail)
    with pytest.raises(InputError, match=r"expected room for model\.bin in .*quota"):
        fetch_file(server.file("good", "good"), tmp_path, QUICK)
    monkeypatch.undo()

    assert server.asked == ["good"]
    assert (tmp_path / ".model.bin.part").read_bytes() == CONTENT[:1000]


def test_a_folder_that_is_a_file(server: Server, tmp_path: Path) -> None:
    """What cannot be written to is named, with the way out."""
    (tmp_path / "models").write_text("")

    with pytest.raises(InputError, match="Check that the folder may be written to"):
        fetch_file(server.file("good"), tmp_path / "models", QUICK)


def test_without_locks_each_process_has_a_part_of_its_own(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On file systems without locks the shared part is left alone."""

    def refuse(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("fcntl.flock", refuse)
    (tmp_path / ".model.bin.part").write_bytes(b"another process's")

    assert fetch_file(server.file("good"), tmp_path, QUICK)

    assert (tmp_path / "model.bin").read_bytes() == CONTENT
    assert leftovers(tmp_path) == {"model.bin", ".model.bin.part"}
    assert (tmp_path / ".model.bin.part").read_bytes() == b"another process's"


def test_of_processes_at_once_one_downloads(server: Server, tmp_path: Path) -> None:
    """The others wait for it, and find the file."""
    file = server.file("busy")
    code = (
        "from pathlib import Path\n"
        "from kraken_bids.published.cache import PublishedFile\n"
        "from kraken_bids.published.downloads import fetch_file\n"
        f"print(fetch_file({file!r}, Path({str(tmp_path)!r})))"
    )
    processes = [
        subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    answers = sorted(process.communicate(timeout=30)[0].strip() for process in processes)

    assert answers == ["False", "False", "True"]
    assert server.asked == ["busy"]
    assert (tmp_path / "model.bin").read_bytes() == CONTENT


def test_progress_is_said(
    server: Server, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Lines with bytes, share and speed."""
    caplog.set_level("INFO", logger="kraken_bids")

    fetch_file(server.file("good"), tmp_path, QUICK)

    assert "downloading model.bin (0.3 MB)" in caplog.text
    assert "model.bin: 0.3 of 0.3 MB (100%)" in caplog.text
