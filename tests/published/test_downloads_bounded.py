"""Downloads from servers that send too much, too little at a time, or another part."""

import hashlib
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from kraken_bids.exceptions import InputError
from kraken_bids.published import transfers
from kraken_bids.published.cache import PublishedFile
from kraken_bids.published.downloads import fetch_file
from kraken_bids.published.transfers import Patience

CONTENT = np.random.default_rng(1).bytes(200_000)
HALF = len(CONTENT) // 2
QUICK = Patience(silence=0.4, slow_after=30.0, rounds=1, pause=0.0)
HEAD = b"HTTP/1.1 200 OK\r\n"
ANSWERS = {
    "good": (f"Content-Length: {len(CONTENT)}\r\n\r\n".encode() + CONTENT, b"", 0.0),
    "endless": (b"\r\n", CONTENT, 0.0),
    "longer": (b"Content-Length: 900000000\r\n\r\n", CONTENT, 0.0),
    "shorter": (b"Content-Length: 5\r\n\r\nshort", b"", 0.0),
    "headers-drip": (b"X-Endless: ", b"x", 0.05),
    "chunk-drips": (b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n1;", b"x", 0.05),
}
"""By path: what is sent behind the first line, then again and again, with a pause in between."""
WHOLE_ANSWERS = {
    "other-part": (
        b"HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 0-4/9\r\n"
        b"Content-Length: 5\r\n\r\nwrong",
        b"",
    ),
    "moved": (b"HTTP/1.1 302 Found\r\nLocation: /good\r\n\r\n", b"x" * 65536),
}


class Handler(BaseHTTPRequestHandler):
    """Behaves as the path says."""

    def do_GET(self) -> None:
        """Answer."""
        manner = self.path.strip("/")
        self.server.asked.append(manner)  # type: ignore[attr-defined]
        if manner == "no-parts":
            manner = "other-part" if "Range" in self.headers else "good"
        if manner in ANSWERS:
            begin, again, pause = ANSWERS[manner]
            begin = HEAD + begin
        else:
            (begin, again), pause = WHOLE_ANSWERS[manner], 0.0
        try:
            self.wfile.write(begin)
            while again and not self.server.is_over.wait(pause):  # type: ignore[attr-defined]
                self.wfile.write(again)
                self.wfile.flush()
        except OSError:
            pass  # the client has gone away

    def log_message(self, *args: object) -> None:
        """Keep quiet."""


class Server(ThreadingHTTPServer):
    """Remembers what it was asked for; its endless answers end when ``is_over`` is set."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked: list[str] = []
        self.is_over = threading.Event()

    def file(self, *manners: str, size: int | None = len(CONTENT)) -> PublishedFile:
        """File with an address per manner."""
        urls = tuple(f"http://127.0.0.1:{self.server_port}/{m}" for m in manners)
        return PublishedFile("model.bin", urls, hashlib.sha256(CONTENT).hexdigest(), size)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(transfers, "ROUNDING", 1000)
    with Server() as running:
        thread = threading.Thread(target=running.serve_forever, args=(0.02,))
        thread.start()
        yield running
        running.is_over.set()
        running.shutdown()
        thread.join()


@pytest.mark.parametrize(
    "manner", ["endless", "longer", "shorter", "headers-drip", "chunk-drips", "other-part"]
)
def test_the_next_address_gives_the_file(server: Server, tmp_path: Path, manner: str) -> None:
    """Of one that sends too much, another part, or byte by byte without end."""
    assert fetch_file(server.file(manner, "good"), tmp_path, QUICK)

    assert server.asked == [manner, "good"]
    assert (tmp_path / "model.bin").read_bytes() == CONTENT


@pytest.mark.parametrize(("size", "most"), [(len(CONTENT), 201_000), (None, 300_000)])
def test_no_more_is_taken_than_was_published(
    server: Server,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    size: int | None,
    most: int,
) -> None:
    """Nor than any published file has, where a size is not known; nothing of it is kept."""
    monkeypatch.setattr(transfers, "LARGEST", 300_000)

    with pytest.raises(InputError, match=f"gave more than {most} bytes"):
        fetch_file(server.file("endless", size=size), tmp_path, QUICK)
    assert (tmp_path / ".model.bin.part").stat().st_size == 0


def test_another_length_is_no_full_disk(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is compared with the published size before there is room for it."""
    monkeypatch.setattr(transfers.shutil, "disk_usage", lambda _: pytest.fail("asked for room"))

    with pytest.raises(InputError, match="has a file of 900000000 bytes, where 200000 were publ"):
        fetch_file(server.file("longer"), tmp_path, QUICK)


def test_another_part_costs_nothing_of_what_came(server: Server, tmp_path: Path) -> None:
    """A server that answers with other bytes than were asked for does not replace the half."""
    part = tmp_path / ".model.bin.part"
    part.write_bytes(CONTENT[:HALF])

    with pytest.raises(InputError, match=f"gave another part .* from byte {HALF} on"):
        fetch_file(server.file("other-part"), tmp_path, QUICK)
    assert part.read_bytes() == CONTENT[:HALF]


def test_who_cannot_go_on_is_asked_for_the_whole_file_in_the_end(
    server: Server, tmp_path: Path
) -> None:
    """So that the half that came does not stand in the way for ever."""
    (tmp_path / ".model.bin.part").write_bytes(CONTENT[:HALF])

    assert fetch_file(server.file("no-parts"), tmp_path, replace(QUICK, rounds=2))
    assert (tmp_path / "model.bin").read_bytes() == CONTENT


def test_headers_that_drip_are_said(server: Server, tmp_path: Path) -> None:
    """As silence is, which a letter now and then is as good as."""
    begin = time.monotonic()
    with pytest.raises(InputError, match="nothing whole for twice as long"):
        fetch_file(server.file("headers-drip"), tmp_path, QUICK)
    assert time.monotonic() - begin >= 2 * QUICK.silence


def test_the_page_that_comes_with_a_redirect_is_not_read(server: Server, tmp_path: Path) -> None:
    """However long it is."""
    assert fetch_file(server.file("moved"), tmp_path, QUICK)
    assert server.asked == ["moved", "good"]
    assert (tmp_path / "model.bin").read_bytes() == CONTENT


def test_a_link_in_place_of_the_lock_is_not_followed(server: Server, tmp_path: Path) -> None:
    """There is no lock then; what the link leads to is not made."""
    (tmp_path / ".model.bin.lock").symlink_to(tmp_path / "elsewhere")

    assert fetch_file(server.file("good"), tmp_path, QUICK)
    assert not (tmp_path / "elsewhere").exists()


def test_a_link_in_place_of_a_begun_download_is_not_followed(
    server: Server, tmp_path: Path
) -> None:
    """What it leads to stays what it is."""
    (tmp_path / "mine.txt").write_text("mine")
    (tmp_path / ".model.bin.part").symlink_to(tmp_path / "mine.txt")

    with pytest.raises(InputError, match="expected to write model"):
        fetch_file(server.file("good"), tmp_path, QUICK)
    assert (tmp_path / "mine.txt").read_text() == "mine"
