"""Answers over HTTP under watch: one that comes byte by byte is cut off."""

import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from http.client import HTTPConnection, HTTPResponse
from types import TracebackType
from typing import Any
from urllib.request import (
    HTTPHandler,
    HTTPRedirectHandler,
    HTTPSHandler,
    OpenerDirector,
    Request,
    build_opener,
)


class Watch:
    """Cuts off a connection on which nothing whole has come for a while.

    The timeout of a socket begins anew with every byte, so that headers, or the lengths of chunks,
    could take for ever.

    Parameters
    ----------
    limit : float
        Seconds from one :meth:`ring` to the next.
    """

    def __init__(self, limit: float) -> None:
        self.limit = limit
        self.sock: socket.socket | None = None
        """What is cut off."""
        self._bell = threading.Event()
        self._is_over = self._has_cut = False
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> "Watch":
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        _: TracebackType | None,
    ) -> None:
        self._is_over = True
        self._bell.set()
        self._thread.join()
        if isinstance(error, Exception) and self._has_cut:
            raise TimeoutError from error

    def ring(self) -> None:
        """Say that something has come.

        Raises
        ------
        TimeoutError
            If the connection has been cut off: what came last was not all.
        """
        self._bell.set()
        if self._has_cut:
            raise TimeoutError

    def open(self, request: Request, timeout: float) -> HTTPResponse:
        """Ask for an address as ``urllib.request.urlopen`` does."""
        response: HTTPResponse = _build_opener(self).open(request, timeout=timeout)
        try:
            self.ring()
        except TimeoutError:
            response.close()
            raise
        return response

    def _run(self) -> None:
        while self._bell.wait(self.limit):
            self._bell.clear()
            if self._is_over:
                return
        self._has_cut = True
        if self.sock is not None:
            with suppress(OSError):  # of TLS too: what lies below it
                socket.socket.shutdown(self.sock, socket.SHUT_RDWR)


def _build_opener(watch: Watch) -> OpenerDirector:
    def follow(http_class: Callable[..., HTTPConnection]) -> Callable[..., HTTPConnection]:
        def make(*args: Any, **options: Any) -> HTTPConnection:
            connection = http_class(*args, **options)
            connect = connection.connect

            def connect_and_tell() -> None:
                connect()
                watch.sock = connection.sock
                watch.ring()

            connection.connect = connect_and_tell  # type: ignore[method-assign]
            return connection

        return make

    class Http(HTTPHandler):
        def do_open(self, http_class: Any, *args: Any, **options: Any) -> Any:
            return super().do_open(follow(http_class), *args, **options)

    class Https(HTTPSHandler):
        def do_open(self, http_class: Any, *args: Any, **options: Any) -> Any:
            return super().do_open(follow(http_class), *args, **options)

    return build_opener(Http, Https, _Redirects)


class _Redirects(HTTPRedirectHandler):
    """Goes where it is sent without reading the page that comes with it, however long."""

    def http_error_302(self, req: Any, fp: Any, *answer: Any) -> Any:
        fp.read = bytes
        return super().http_error_302(req, fp, *answer)

    http_error_301 = http_error_303 = http_error_302  # type: ignore[assignment]
    http_error_307 = http_error_308 = http_error_302  # type: ignore[assignment]
