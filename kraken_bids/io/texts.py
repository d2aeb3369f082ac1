"""Text and JSON that other people wrote: the one door, with bounds, and errors that say what."""

import json
import os
import re
import stat
from codecs import BOM_UTF8
from pathlib import Path
from typing import Any

from kraken_bids.exceptions import InputError
from kraken_bids.io.bounds import MAX_DEPTH, check_plain
from kraken_bids.io.files import explain_absence
from kraken_bids.io.output_streams import HELD_OPEN

MAX_TEXT = 1 << 24
"""Bytes of a text that is no table; as Python's objects it may take 30 times as many."""
MAX_INTEGER_DIGITS = 300
"""More have no place in a float."""
NOT_WAITING = getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
NO_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")
"""Half of a character; alone it is none, and cannot be written again."""


def read_bytes(path: Path, *, at_most: int | None = None) -> bytes:
    """Content of a text file, not decoded.

    Parameters
    ----------
    path : path
        A file, or what the process holds open (``/dev/stdin``); no other pipe or device, which
        may never end.
    at_most : int, optional
        Bytes that such a file may have.

    Raises
    ------
    InputError
        If it is missing, unreadable, no file, or larger.
    """
    try:
        return _read(path, at_most)
    except (OSError, ValueError) as error:
        raise InputError(_explain(Path(path), error)) from error


def _read(path: Path, at_most: int | None) -> bytes:
    """Read a file with few calls, since a group run opens tens of thousands."""
    handle = os.open(path, os.O_RDONLY | NOT_WAITING)  # for whoever writes to a pipe
    try:
        found = os.fstat(handle)
        is_file = stat.S_ISREG(found.st_mode)
        if not is_file and not HELD_OPEN.fullmatch(str(path.absolute())):
            raise ValueError("a folder, a pipe or a device")
        if at_most is not None and found.st_size > at_most:
            raise ValueError(_refuse_size(at_most))
        content = os.read(handle, found.st_size + 1) if is_file else b""
    finally:
        os.close(handle)
    if len(content) == found.st_size and is_file:
        return content
    with path.open("rb") as file:  # 2 GB and more, what says no size, what a process holds open
        content = file.read(-1 if at_most is None else at_most + 1)
    if at_most is not None and len(content) > at_most:
        raise ValueError(_refuse_size(at_most))
    return content


def _refuse_size(at_most: int) -> str:
    return f"more than {at_most:,} bytes, and no such file is so large"


def read_text(path: Path, *, at_most: int = MAX_TEXT) -> str:
    """Content of a UTF-8 text file.

    Parameters
    ----------
    at_most : int, optional
        Bytes that it may have.

    Raises
    ------
    InputError
        If it is missing, unreadable, not text, or larger.
    """
    content = read_bytes(path, at_most=at_most)
    try:
        return decode(content)
    except ValueError as error:
        raise InputError(_explain(path, error)) from error


def decode(content: bytes) -> str:
    """Text of UTF-8 bytes, with or without a byte order mark.

    Raises
    ------
    ValueError
        If they are no text.
    """
    if b"\0" in content:
        raise ValueError("zero bytes, which no text has (UTF-16, or a damaged file)")
    return content.removeprefix(BOM_UTF8).decode("utf-8")


def read_json(path: Path) -> dict[str, Any]:
    """Content of a JSON file that holds one object.

    Raises
    ------
    InputError
        If it is missing or holds anything else.
    """
    content = read_bytes(path, at_most=MAX_TEXT)
    try:
        found = parse_json(content)
    except ValueError as error:
        raise InputError(
            f"expected JSON in {path}; reading it gave: {error}. "
            f"{explain_absence(path) or 'Copy the file again or mend it.'}"
        ) from error
    if not isinstance(found, dict):
        raise InputError(f"expected a JSON object in {path}; found a {type(found).__name__}.")
    return found


def parse_json(content: bytes) -> Any:
    """Values of a JSON text.

    Raises
    ------
    ValueError
        If it is no JSON, is larger than :data:`MAX_TEXT`, nests deeper than
        :data:`~kraken_bids.io.bounds.MAX_DEPTH`, or holds half characters or whole numbers that
        no float holds.
    """
    if len(content) > MAX_TEXT:
        raise ValueError(f"more than {MAX_TEXT:,} bytes")
    text = decode(content)
    try:
        found = _DECODER.decode(text)
    except RecursionError:
        raise ValueError("containers inside containers without end") from None
    if _count_depth(content) > MAX_DEPTH:
        check_plain(found)
    if SURROGATE.search(text):
        json.dumps(found, ensure_ascii=False).encode()
    return found


def _read_integer(text: str) -> int:
    if len(text) > MAX_INTEGER_DIGITS:
        raise ValueError(f"a whole number of {len(text):,} digits")
    return int(text)


_DECODER = json.JSONDecoder(parse_int=_read_integer)


def _count_depth(content: bytes) -> int:
    """How deep brackets nest; those in words count too."""
    kept = content.translate(None, NO_BRACKETS)
    if len(kept) <= MAX_DEPTH:
        return len(kept)
    import numpy as np  # here: commands that answer at once read small texts alone

    brackets = np.frombuffer(kept, np.uint8)
    # of the codes of these four, the closing ones have the bit of 4
    steps = 1 - 2 * ((brackets >> 2) & 1).astype(np.int32)
    return int(np.cumsum(steps, dtype=np.int32).max())


def _explain(path: Path, error: Exception) -> str:
    return (
        f"expected a text file at {path}; reading it gave: {error}. "
        f"{explain_absence(path) or 'Check the path, or copy the file again.'}"
    )
