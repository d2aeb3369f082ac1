"""What a MATLAB file of version 5 to 7 holds, checked before room is made for what it declares."""

import io
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from kraken_bids.io.bounds import check_growth, check_shape

HEADER_BYTES = 128
HDF5_SIGNATURE = b"\x89HDF\r\n\x1a\n"
HEAD_BYTES = 4096
"""Read at first: an array's class, shape and name, whatever follows."""
TAG_BYTES = 8
"""Before each element: its type and length."""
MATRIX, COMPRESSED = 14, 15
CELL, OPAQUE = 1, 17
NUMBERS = range(6, 16)
COMPLEX = 0x800
MAX_REFERENCE = 100
"""Numbers of a reference to an object; one to a thousand objects is not read."""
TYPES = {
    1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8",
}  # fmt: skip
"""How numbers are stored, whatever their class is."""
Bytes = bytes | memoryview


@dataclass(frozen=True)
class MatVariable:
    """A variable of a MATLAB file, and where its numbers lie."""

    name: str
    kind: int
    """MATLAB's class: OPAQUE, one of NUMBERS, or another."""
    shape: tuple[int, ...] = ()
    start: int = 0
    """Where the element begins in the file, behind its tag."""
    n_bytes: int = 0
    """Of the element in the file."""
    is_packed: bool = False
    offset: int = 0
    """Where the numbers, or the cells, begin in the element, unpacked."""
    dtype: str = ""
    """Of the numbers as stored; empty where they are complex, or there are none."""
    order: str = "<"
    cell_head: bytes = b""
    """Of a cell array of equal arrays of numbers: what stands before the numbers of the first.
    ``shape`` is the number of cells and that of each, ``offset`` where the first cell begins."""
    words: tuple[str, ...] = ()
    """Of an opaque object: its type system and its class (``MCOS``, ``string``)."""
    reference: bytes = b""
    """Of an opaque object: the numbers that say which it is."""
    n_unpacked: int = 0
    """Bytes of the element, unpacked."""


def is_version_73(path: Path) -> bool:
    """Whether a file is HDF5, as those of MATLAB 7.3 are, whatever its first line says."""
    with path.open("rb") as file:
        n_bytes, place = file.seek(0, io.SEEK_END), 0
        while place < n_bytes:  # behind a part for others, of 512, 1,024, 2,048 … bytes
            file.seek(place)
            if file.read(len(HDF5_SIGNATURE)) == HDF5_SIGNATURE:
                return True
            place = max(512, 2 * place)
    return False


def list_variables(path: Path) -> list[MatVariable]:
    """Variables of a ``.mat`` file; those of numbers are checked.

    Parameters
    ----------
    path : Path
        A file of another kind has none here: it is left to the reader, which says so.

    Raises
    ------
    ValueError
        If an array has fewer bytes than its shape needs, or unpacks out of proportion; if there is
        anything but variables, such as a tag that is cut.

    Source: MAT-File Format, MathWorks, R2024a, chapter 1.
    """
    with path.open("rb") as file:
        n_bytes = file.seek(0, io.SEEK_END)
        file.seek(0)
        header = file.read(HEADER_BYTES)
        order = {b"IM": "<", b"MI": ">"}.get(header[126:128])
        if n_bytes <= HEADER_BYTES or order is None:
            return []
        if header[124:126] not in {b"\x00\x01", b"\x01\x00"}:
            return []
        return list(_list_variables(file, n_bytes, order))


def _list_variables(file: IO[bytes], n_bytes: int, order: str) -> Iterator[MatVariable]:
    place = HEADER_BYTES
    while place + 8 <= n_bytes:
        file.seek(place)
        kind, length = struct.unpack(f"{order}2I", file.read(8))
        if place + 8 + length > n_bytes:
            raise ValueError(f"{n_bytes - place - 8} of {length} bytes of a variable: it is cut")
        if kind == COMPRESSED:
            yield _read_packed(file, place + 8, length, order)
        elif kind == MATRIX:
            head = file.read(min(length, HEAD_BYTES))
            if read_class(head, order) == OPAQUE:
                head += file.read(length - len(head))
            yield _check_matrix(memoryview(head), order, length, start=place + 8)
        else:
            raise ValueError(f"an element of type {kind} at byte {place}, which is no variable")
        # compressed elements follow each other without gaps
        place += 8 + (length if kind == COMPRESSED else -(-length // 8) * 8)
    if place < n_bytes:
        raise ValueError(f"{n_bytes - place} bytes behind the last variable: a tag that is cut")


def _read_packed(file: IO[bytes], start: int, length: int, order: str) -> MatVariable:
    """Unpack an array's head; all of it only where there are arrays inside."""
    try:
        unpacker = zlib.decompressobj()
        unpacked = b""
        while len(unpacked) < HEAD_BYTES and file.tell() < start + length:
            piece = file.read(min(HEAD_BYTES, start + length - file.tell()))
            if not piece:
                break
            unpacked += unpacker.decompress(piece, HEAD_BYTES - len(unpacked))
        n_declared = struct.unpack_from(f"{order}I", unpacked, 4)[0] if len(unpacked) > 8 else 0
        check_growth(n_declared, length, "a packed array")
        if read_class(unpacked[8:], order) == OPAQUE:
            file.seek(start)
            unpacked = zlib.decompressobj().decompress(file.read(length), n_declared + 8)
    except zlib.error as error:
        raise ValueError(str(error)) from error
    content = memoryview(unpacked)[8:]
    return _check_matrix(content, order, n_declared, start=start, n_packed=length)


def read_class(data: Bytes, order: str) -> int:
    """Read MATLAB's class of an array from its flags; 0 where they are cut off."""
    return int(struct.unpack_from(f"{order}I", data, 8)[0] & 0xFF) if len(data) >= 12 else 0


def _check_matrix(
    data: memoryview,
    order: str,
    n_stored: int,
    *,
    start: int = 0,
    n_packed: int = 0,
) -> MatVariable:
    """Check one array: its flags, shape and name, then numbers."""
    elements = list_elements(data, order)
    kind = read_class(data, order)
    next(elements, None)
    if kind == OPAQUE:
        return _check_opaque(elements, order)
    dimensions = next(elements, (0, 0, memoryview(b"")))[2]
    shape = struct.unpack(
        f"{order}{len(dimensions) // 4}i", dimensions[: len(dimensions) // 4 * 4]
    )
    name = bytes(next(elements, (0, 0, memoryview(b"")))[2]).decode("latin-1")
    n_there = max(n_stored, len(data))
    offset, dtype, cell_head = 0, "", b""
    if kind in NUMBERS:
        check_shape(shape, 1, n_there)
        number, place, _ = next(elements, (0, 0, memoryview(b"")))
        is_complex = struct.unpack_from(f"{order}I", data, 8)[0] & COMPLEX
        offset, dtype = place, "" if is_complex else TYPES.get(number, "")
        check_shape(shape, int(TYPES.get(number, "u1")[1]), n_there - offset)
    elif kind == CELL:
        offset = next(elements, (0, TAG_BYTES, memoryview(b"")))[1] - TAG_BYTES
        first = _check_cells(data, offset, shape, order, n_there=n_there)
        if first is not None:
            shape, dtype = (max(shape), *first.shape), first.dtype
            cell_head = bytes(data[offset : offset + TAG_BYTES + first.offset])
    return MatVariable(
        name, kind, shape, start, n_packed or n_there, bool(n_packed), offset, dtype, order,
        cell_head, n_unpacked=n_there,
    )  # fmt: skip


def _check_cells(
    data: memoryview, place: int, shape: tuple[int, ...], order: str, *, n_there: int
) -> MatVariable | None:
    """Check the first of several cells, if all have as many bytes and it holds numbers; else None.

    ``place`` is where it begins in the element, which has ``n_there`` bytes.
    """
    n_cells = max(shape, default=0)
    is_list = sum(n != 1 for n in shape) == 1 and n_cells > 0
    if not is_list or place + TAG_BYTES > len(data):
        return None
    number, n_bytes = struct.unpack_from(f"{order}2I", data, place)
    first = data[place + TAG_BYTES : place + TAG_BYTES + n_bytes]
    is_filled = n_cells * (TAG_BYTES + n_bytes) == n_there - place
    if number != MATRIX or not is_filled or read_class(first, order) not in NUMBERS:
        return None
    checked = _check_matrix(first, order, n_bytes)
    return checked if checked.dtype else None


def _check_opaque(elements: Iterator[tuple[int, int, memoryview]], order: str) -> MatVariable:
    """Check an object of a class of MATLAB's own: three words, then arrays."""
    words: list[str] = []
    reference = b""
    for inner, _, part in elements:
        if inner == MATRIX:
            if read_class(part, order) not in NUMBERS:
                continue
            held = _check_matrix(part, order, len(part))
            if held.dtype == "u4" and not reference:
                reference = bytes(part[held.offset : held.offset + 4 * MAX_REFERENCE])
        elif len(words) < 3:
            words.append(bytes(part).decode("latin-1"))
    name, *own = words or [""]
    return MatVariable(name, OPAQUE, order=order, words=tuple(own), reference=reference)


def list_elements(data: memoryview, order: str) -> Iterator[tuple[int, int, memoryview]]:
    """List kind, place and bytes of each element; the bytes of the last may be cut short."""
    place = 0
    while place + 8 <= len(data):
        kind, n_bytes = struct.unpack_from(f"{order}2I", data, place)
        if kind >> 16:  # the short form: two bytes of length, at most four of data
            yield kind & 0xFFFF, place + 4, data[place + 4 : place + 4 + (kind >> 16)]
            place += 8
            continue
        yield kind, place + 8, data[place + 8 : place + 8 + n_bytes]
        # compressed elements follow each other without gaps
        place += 8 + (n_bytes if kind == COMPRESSED else -(-n_bytes // 8) * 8)
