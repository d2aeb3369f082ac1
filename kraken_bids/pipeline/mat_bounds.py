"""Checks a MATLAB file of version 5 to 7 before scipy makes room for what it declares."""

import mmap
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

from kraken_bids.bounds import MAX_DEPTH, MAX_VALUES, check_growth, check_shape

HEADER_BYTES = 128
HEAD_BYTES = 4096
"""Unpacked at first: an array's class, shape and name, whatever follows."""
MATRIX, COMPRESSED = 14, 15
CELL, STRUCT, OBJECT, TEXT = 1, 2, 3, 4
NUMBERS = range(6, 16)


def check_mat(path: Path) -> None:
    """Check every array of a ``.mat`` file, inside cells and structs too.

    Parameters
    ----------
    path : Path
        A file of another kind is left to the reader, which says so.

    Raises
    ------
    ValueError
        If an array has fewer bytes than its shape needs, or unpacks out of proportion.

    Source: MAT-File Format, MathWorks, R2024a, chapter 1.
    """
    if path.stat().st_size <= HEADER_BYTES:
        return  # too short to be one
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        order = {b"IM": "<", b"MI": ">"}.get(content[126:128])
        if order is None or content[124:126] not in {b"\x00\x01", b"\x01\x00"}:
            return
        for kind, data in _list_elements(content[HEADER_BYTES:], order):
            if kind == COMPRESSED:
                _check_packed(data, order)
            elif kind == MATRIX:
                _check_matrix(data, order, 0)


def _check_packed(data: bytes, order: str) -> None:
    """Unpack an array's head; all of it only where there are arrays inside."""
    try:
        unpacked = zlib.decompressobj().decompress(data, HEAD_BYTES)
        n_declared = struct.unpack_from(f"{order}I", unpacked, 4)[0] if len(unpacked) > 8 else 0
        check_growth(n_declared, len(data), "a packed array")
        if _read_class(unpacked[8:], order) in {CELL, STRUCT, OBJECT}:
            unpacked = zlib.decompressobj().decompress(data, n_declared + 8)
    except zlib.error as error:
        raise ValueError(str(error)) from error
    _check_matrix(unpacked[8:], order, 0, n_declared)


def _read_class(data: bytes, order: str) -> int:
    return struct.unpack_from(f"{order}I", data, 8)[0] & 0xFF if len(data) >= 12 else 0


def _check_matrix(data: bytes, order: str, depth: int, n_bytes: int = 0) -> None:
    """Check one array: its flags, shape and name, then numbers or further arrays."""
    if depth > MAX_DEPTH:
        raise ValueError("arrays inside arrays without end")
    elements = _list_elements(data, order)
    kind = _read_class(data, order)
    next(elements, None)
    _, dimensions = next(elements, (0, b""))
    shape = struct.unpack(f"{order}{len(dimensions) // 4}i", dimensions)
    next(elements, None)
    n_stored = max(n_bytes, len(data))
    if kind in NUMBERS:
        check_shape(shape, 1, n_stored)
    elif kind == TEXT:
        check_shape(shape, 1, max(n_stored, MAX_VALUES))
    elif kind in {CELL, STRUCT, OBJECT}:
        check_shape(shape, 8, max(n_stored, MAX_VALUES))
        for inner, part in elements:
            if inner == MATRIX:
                _check_matrix(part, order, depth + 1)


def _list_elements(data: bytes, order: str) -> Iterator[tuple[int, bytes]]:
    """Kind and bytes of each element; one that is cut short ends the list."""
    place = 0
    while place + 8 <= len(data):
        kind, n_bytes = struct.unpack_from(f"{order}2I", data, place)
        if kind >> 16:  # the short form: two bytes of length, at most four of data
            yield kind & 0xFFFF, data[place + 4 : place + 4 + (kind >> 16)]
            place += 8
            continue
        yield kind, data[place + 8 : place + 8 + n_bytes]
        # compressed elements follow each other without gaps
        place += 8 + (n_bytes if kind == COMPRESSED else -(-n_bytes // 8) * 8)
