"""Rows of a numeric array in a MATLAB file, read without holding all of them."""

import struct
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from io import SEEK_CUR, BufferedReader
from pathlib import Path
from typing import IO, Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from kraken_bids.io.matlab_bounds import NUMBERS, TAG_BYTES, TYPES, Bytes, MatVariable
from kraken_bids.io.stored_rows import naming

PANEL_BYTES = 1 << 26
"""Rows that are kept at once; an eighth of the array, where that is more."""
CHUNK_BYTES = 1 << 22
PACKED_BYTES = 1 << 18
"""Unpacked at once: few enough that they are in a processor's cache when they are put in place."""
SHARE = 8
CLASS_PLACE = {"<": 2 * TAG_BYTES, ">": 2 * TAG_BYTES + 3}
"""Byte of a cell's head that says its class."""


class Stream(Protocol):
    """Bytes one after the other."""

    def read(self, n_bytes: int, /) -> Bytes:
        """Read so many bytes, fewer only at the end."""


@dataclass
class ColumnRows:
    """Rows of an array that lies by columns, as MATLAB writes it: the first axis varies fastest.

    To take some of them, everything is passed over. So as many as there is room for are taken at
    once, and kept until others are asked for.
    """

    path: Path
    variable: MatVariable
    _order: Sequence[int] = field(default=(), repr=False)
    """In which rows will be asked for; from first to last, where nobody said."""
    _panel: NDArray[Any] | None = field(default=None, repr=False)
    _held: dict[int, int] = field(default_factory=dict, repr=False)
    """Rows of the panel, and where in it they are."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Lengths of its axes in MATLAB, those of one value left out."""
        return tuple(n for n in self.variable.shape if n != 1)

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of its numbers, as stored."""
        return np.dtype(self.variable.dtype)

    def __getitem__(self, rows: slice) -> NDArray[Any]:
        start, stop, _ = rows.indices(self.shape[0])
        with naming(self.path):
            if self._panel is None or not all(row in self._held for row in range(start, stop)):
                self._panel = None  # its memory is given back before more is taken
                self._read_panel(range(start, stop))
            found = self._take(range(start, stop))
            if (self._order or range(self.shape[0]))[-1] in range(start, stop):
                self._panel = None
            return found

    def expect(self, order: Sequence[int]) -> None:
        """Say in which order rows will be asked for, so that few passes are enough."""
        self._order, self._panel = tuple(order), None

    lies_by_cells: ClassVar[bool] = True
    """Everybody's numbers lie together, cell by cell."""

    def turn(self) -> "StackedRows":
        """Take the last axis for that of the rows."""
        own = self.shape
        return StackedRows(self.path, self.variable, (own[-1], *own[:-1]))

    def read_cells(self) -> Iterator[NDArray[Any]]:
        """Give all numbers as they lie in the file, in blocks ``[n_cells, n_rows]``.

        Cells are those of the other axes, of which the first varies fastest.
        """
        n_rows, *rest = self.shape
        width = int(np.prod(rest))
        step = max(1, CHUNK_BYTES // (n_rows * self.dtype.itemsize))
        with naming(self.path), open_numbers(self.path, self.variable) as stream:
            for first in range(0, width, step):
                n_cells = min(step, width - first)
                data = stream.read(n_cells * n_rows * self.dtype.itemsize)
                yield self._to_numbers(data).reshape(n_cells, n_rows)

    def _take(self, rows: range) -> NDArray[Any]:
        assert self._panel is not None
        places = [self._held[row] for row in rows]
        first = places[0] if places else 0
        if places == list(range(first, first + len(places))):
            return self._panel[first : first + len(places)]
        return self._panel[places]

    def _read_panel(self, asked: range) -> None:
        """Pass over the file once, and keep the rows that are asked for and those after them."""
        n_rows, *rest = self.shape
        width = int(np.prod(rest))
        n_bytes = n_rows * width * self.dtype.itemsize
        fits = max(PANEL_BYTES, n_bytes // SHARE) // (width * self.dtype.itemsize)
        order = self._order or range(n_rows)
        start = order.index(asked[0]) if asked and asked[0] in order else 0
        rows = list(dict.fromkeys([*order[start : start + fits], *asked]))
        chosen = _to_slice(rows)
        panel = np.empty((len(rows), width), self.dtype)
        first = 0
        for cells in self.read_cells():
            panel[:, first : first + len(cells)] = cells[:, chosen].T
            first += len(cells)
        values = panel.reshape(len(rows), *rest[::-1])
        self._panel = values.transpose(0, *range(values.ndim - 1, 0, -1))
        self._held = {row: place for place, row in enumerate(rows)}

    def _to_numbers(self, data: Bytes) -> NDArray[Any]:
        return np.frombuffer(data, f"{self.variable.order}{self.variable.dtype}")


@dataclass
class StackedRows:
    """Rows that lie one after the other: of an array's last axis, or the cells of a cell array.

    They are best read from first to last.
    """

    path: Path
    variable: MatVariable
    shape: tuple[int, ...]
    """Lengths, rows first."""
    _open: ExitStack = field(default_factory=ExitStack, repr=False)
    _stream: "Stream | None" = field(default=None, repr=False)
    _place: int = field(default=0, repr=False)
    """How far the stream has been read."""

    def __del__(self) -> None:
        self._open.close()

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the numbers of the first row, as stored."""
        return np.dtype(self.variable.dtype)

    def __getitem__(self, rows: slice) -> NDArray[Any]:
        start, stop, _ = rows.indices(self.shape[0])
        head = self.variable.cell_head
        n_bytes = int(np.prod(self.shape[1:])) * self.dtype.itemsize
        # cells begin at places that are multiples of 8
        step = len(head) + (-(-n_bytes // 8) * 8 if head else n_bytes)
        with naming(self.path):
            data = self._read(start * step, (stop - start) * step)
            pieces = [
                self._to_numbers(data[first : first + len(head) + n_bytes])
                for first in range(0, len(data), step)
            ]
            values = np.stack(pieces) if pieces else np.empty((0, n_bytes), self.dtype)
        inner = values.reshape(stop - start, *self.shape[:0:-1])
        return inner.transpose(0, *range(inner.ndim - 1, 0, -1))

    def _to_numbers(self, data: Bytes) -> NDArray[Any]:
        """Numbers of one row; a cell has a class, and a type in which it is stored, of its own."""
        variable, expected = self.variable, self.variable.cell_head
        head, kind = data[: len(expected)], variable.dtype
        if head != expected:
            place = CLASS_PLACE[variable.order]
            parts = slice(place), slice(place + 1, -TAG_BYTES), slice(-TAG_BYTES // 2, None)
            (number,) = struct.unpack_from(f"{variable.order}I", head, len(head) - TAG_BYTES)
            kind = TYPES.get(number, "")
            is_alike = all(head[part] == expected[part] for part in parts)
            if not is_alike or head[place] not in NUMBERS or kind[1:] != variable.dtype[1:]:
                raise ValueError("cells that differ in their shape or type")
        return np.frombuffer(data, f"{variable.order}{kind}", offset=len(head))

    def _read(self, start: int, n_bytes: int) -> Bytes:
        """Bytes from some place on; the file stays open, since going on is quickest."""
        if self._stream is None or self._place > start:
            self._open.close()
            self._stream = self._open.enter_context(open_numbers(self.path, self.variable))
            self._place = 0
        skip(self._stream, start - self._place)
        data = self._stream.read(n_bytes)
        self._place = start + len(data)
        if len(data) < n_bytes:
            raise EOFError("an array that ends early")
        return data


def open_rows(path: Path, variable: MatVariable) -> ColumnRows | StackedRows:
    """Rows of a variable of numbers, or of cells of them, as it lies in its file."""
    if not variable.cell_head:
        return ColumnRows(path, variable)
    n_rows, *rest = variable.shape
    return StackedRows(path, variable, (n_rows, *(n for n in rest if n != 1)))


@contextmanager
def open_numbers(path: Path, variable: MatVariable) -> Iterator[Stream]:
    """Bytes of the numbers of a variable, unpacked; of all its cells, if it is a cell array."""
    with path.open("rb") as file:
        if variable.is_packed:
            stream = _Unpacking(file, variable.start, variable.n_bytes)
            # the element has a tag of its own inside
            skip(stream, TAG_BYTES + variable.offset)
            yield stream
        else:
            file.seek(variable.start + variable.offset)
            yield file


def skip(stream: Stream, n_bytes: int) -> None:
    """Pass over some bytes."""
    if isinstance(stream, BufferedReader):
        stream.seek(n_bytes, SEEK_CUR)
        return
    while n_bytes:
        n_bytes -= len(stream.read(min(CHUNK_BYTES, n_bytes)))


def _to_slice(rows: list[int]) -> slice | list[int]:
    """Rows that follow each other as a slice, which is taken without a copy."""
    first = rows[0] if rows else 0
    return (
        slice(first, first + len(rows)) if rows == list(range(first, first + len(rows))) else rows
    )


class _Unpacking:
    """A compressed element, unpacked as it is read."""

    def __init__(self, file: IO[bytes], start: int, n_bytes: int) -> None:
        from isal import isal_zlib

        file.seek(start)
        self._file, self._left = file, n_bytes
        self._unpacker = isal_zlib.decompressobj()
        self._damaged: type[Exception] = isal_zlib.IsalError  # type: ignore[assignment]
        self._waiting = b""

    def read(self, n_bytes: int) -> memoryview:
        """Read so many bytes.

        Raises
        ------
        ValueError, struct.error
            If the element is damaged, or ends before.
        """
        content, place = np.empty(n_bytes, np.uint8), 0
        while place < n_bytes:
            if not self._waiting and self._left:
                self._waiting = self._file.read(min(PACKED_BYTES, self._left))
                self._left -= len(self._waiting)
            try:
                piece = self._unpacker.decompress(self._waiting, n_bytes - place)
            except self._damaged as error:
                raise ValueError(str(error)) from error
            self._waiting = self._unpacker.unconsumed_tail
            if not piece and not self._waiting:
                raise struct.error("an array that ends early")
            content[place : place + len(piece)] = np.frombuffer(piece, np.uint8)
            place += len(piece)
        return content.data
