"""Byte streams of files, compressed or not, and what to say when one was cut."""

import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from kraken_bids.exceptions import InputError
from kraken_bids.io.bounds import check_growth
from kraken_bids.io.files import explain_absence

Header = TypeVar("Header")

PIECE_BYTES = 1 << 23
MAX_TRACK_VERTICES = 1 << 20
"""More vertices in one track than any tracking makes: the file is damaged."""
MAX_TRACK_RATIO = 20
"""Coordinates of tracks, single precision of measured places, pack to a third at best."""


def is_packed(path: Path) -> bool:
    """Whether a file is compressed, by its name."""
    return path.name.lower().endswith((".gz", ".mgz"))


def open_stream(path: Path) -> BinaryIO:
    """Open a file to read its bytes, unpacked where its name says that it is packed."""
    if is_packed(path):
        from isal import igzip

        return cast(BinaryIO, igzip.open(path, "rb"))  # type: ignore[no-untyped-call]
    return path.open("rb")


def read_first(stream: BinaryIO, n_bytes: int) -> bytes:
    """Read so many bytes, fewer at the end of the file, and none ahead: it may be cut there."""
    content = b""
    while piece := cast(Any, stream).read1(n_bytes - len(content)):
        content += piece
    return content


def fill(stream: BinaryIO, values: NDArray[Any]) -> None:
    """Read as many bytes as an array ``[n]`` has.

    Raises
    ------
    EOFError
        If the stream ends before.
    """
    # unpacking takes as much memory again as is read at once
    space = values.view(np.uint8).data
    for first in range(0, len(space), PIECE_BYTES):
        piece = space[first : first + PIECE_BYTES]
        if cast(Any, stream).readinto(piece) != len(piece):
            raise EOFError("the file ends there")


def read_to_end(stream: BinaryIO, path: Path) -> None:
    """Read what follows in a packed file: its checksum, and no more than a little before that.

    Raises
    ------
    ValueError
        If it goes on and on.
    """
    n_bytes, n_stored = 0, path.stat().st_size
    while is_packed(path) and (piece := stream.read(PIECE_BYTES)):
        n_bytes += len(piece)
        check_growth(n_bytes, n_stored, "a file with a rest behind its values")


def check_unpacked(stream: BinaryIO, path: Path) -> None:
    """Check how far a packed track file has been unpacked.

    Raises
    ------
    ValueError
        If it is more than any tracks pack to.
    """
    n_stored = path.stat().st_size
    check_growth(stream.tell(), n_stored, "a track file", max_ratio=MAX_TRACK_RATIO)


def damage_errors() -> tuple[type[Exception], ...]:
    """List what reading a cut or damaged stream raises, for an ``except``.

    A damaged block of compressed bytes raises isal's own error, which is none of zlib's; a file
    that grows beyond its bounds a ValueError.
    """
    from isal import isal_zlib

    damaged: type[Exception] = isal_zlib.IsalError  # type: ignore[assignment]
    return EOFError, OSError, ValueError, zlib.error, damaged


def explain_cut(path: Path, error: Exception) -> str:
    """Say that a track file was cut or damaged, and what to do."""
    size = path.stat().st_size if path.is_file() else 0
    return (
        f"expected a whole track file at {path}; it is cut in the middle: {size} bytes, and then: "
        f"{error}. {explain_absence(path) or 'Copy it again, or write it again.'}"
    )


def read_track_header(path: Path, read: Callable[[BinaryIO], Header]) -> Header:
    """Read the header of a track file.

    Raises
    ------
    InputError
        If the file is missing, cut or something else.
    """
    try:
        with open_stream(path) as stream:
            return read(stream)
    except EOFError as error:
        raise InputError(explain_cut(path, error)) from error
    except damage_errors() as error:
        raise InputError(
            f"expected a track file at {path}; reading its header gave: {error}. Check the path, "
            "or copy the file again."
        ) from error
