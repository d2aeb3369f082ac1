"""Tables with tabs into arrays: square matrices, and columns below a header."""

import re
from codecs import BOM_UTF8
from collections import deque
from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kraken_bids.exceptions import InputError
from kraken_bids.io.matrix_rows import parse_rows
from kraken_bids.io.texts import decode, read_bytes

TABLE_SUFFIXES = (".tsv", ".csv", ".txt")
EMPTY_CELL = re.compile(rb"(?:^|[\t\n]) *\t")
MAX_LINES = 100_000
"""Of a square matrix, blank ones included."""


def read_relmat(path: Path) -> NDArray[np.float64]:
    """Square matrix of a ``relmat.dense.tsv``: tabs, ``nan`` or ``n/a`` where unknown.

    Names of the regions may stand above it.

    Returns
    -------
    ndarray of shape (n, n)

    Raises
    ------
    InputError
        If it is missing, not square, or holds anything but numbers.
    """
    text = read_bytes(path).removeprefix(BOM_UTF8).replace(b"\r", b"\n")
    if b"/" in text:  # one character is found much faster than three
        text = text.replace(b"n/a", b"nan")
    try:
        _, text = split_header(text)
        n_lines = text.count(b"\n") + 1
        if n_lines > MAX_LINES:
            raise ValueError(f"{n_lines:,} lines")
        values, lengths, has_gaps = parse_rows(text, at_most=n_lines**2)
    except ValueError as error:
        raise InputError(
            f"expected a square matrix of numbers, separated by tabs, in {path}; reading it gave: "
            f"{error}. Check the file."
        ) from error
    has_gaps = has_gaps and EMPTY_CELL.search(text) is not None
    return _to_square(values, lengths, path, has_gaps=has_gaps)


def _to_square(
    values: NDArray[np.float64], lengths: NDArray[np.int64], path: Path, *, has_gaps: bool
) -> NDArray[np.float64]:
    n_rows = len(lengths)
    if not n_rows or values.size != n_rows**2:
        raise InputError(
            f"expected a square matrix in {path}; found {n_rows} rows and {values.size} numbers. "
            "The file is cut or has another layout: write it again."
        )
    if (lengths != n_rows).any() or has_gaps:
        raise InputError(
            f"expected {n_rows} numbers in each of the {n_rows} rows of {path}; found an empty "
            "cell, or rows of other lengths. The file is damaged or has another layout: write it "
            "again."
        )
    return values.reshape(n_rows, n_rows)


IN_NUMBERS = b"0123456789.,;:+-eE \tnaNAif/<>\r"
"""What numbers consist of, ``nan``, ``inf``, ``n/a`` and ``<NA>`` too."""


NO_NUMBER = (b"", b"n/a", b"N/A", b"NA", b"<NA>")
MAX_LINE = 1 << 23
"""No header is longer; one of the names of all edges between 439 regions has 6 MB."""


def split_header(text: bytes, mark: bytes = b"\t") -> tuple[tuple[str, ...] | None, bytes]:
    """Names of the columns of a matrix, and its text without them.

    Parameters
    ----------
    text : bytes
        A matrix; its first line may name its columns, and the first cell of each further line
        its row, as pandas, R, MATLAB and XCP-D write it.
    mark : bytes
        What separates cells.

    Returns
    -------
    names : tuple of str or None
        None where there is no header.
    text : bytes
        The numbers.

    Raises
    ------
    ValueError
        If rows are named otherwise than columns, a name comes twice, or it is longer than
        :data:`MAX_LINE`.
    """
    line, _, rest = text.partition(b"\n")
    if not line.translate(None, IN_NUMBERS):
        return None, text
    if len(line) > MAX_LINE:
        raise ValueError(f"a first line of words of {len(line):,} bytes")
    names = tuple(map(_read_name, line.rstrip(b"\r").split(mark)))
    cells = rest.lstrip(b"\r\n").partition(b"\n")[0].split(mark)
    if len(names) > 1 and (not names[0] or not _is_number(cells[0])):
        # R writes nothing above the names of the rows, others a word or an empty cell
        names = names[1:] if not names[0] or len(names) == len(cells) else names
        rest = _cut_names(rest, mark, names)
    if len(set(names)) < len(names) or not all(names):
        raise ValueError("a header with empty or repeated names")
    return names, rest


def _is_number(cell: bytes) -> bool:
    """Whether a cell is no name: a number, or a word for none."""
    try:
        float(cell)
    except ValueError:
        return cell.strip() in NO_NUMBER
    return True


def _cut_names(rows: bytes, mark: bytes, names: Sequence[str]) -> bytes:
    """Rows without the names before them, which must be these; read as far as they are."""
    wanted = iter(names)
    cut: list[bytes] = []
    for row in filter(bytes.strip, BytesIO(rows)):
        name, _, numbers = row.partition(mark)
        if _read_name(name) != next(wanted, None):
            cut.clear()
            break
        cut.append(numbers)
    if not cut or next(wanted, None) is not None:
        raise ValueError("a header whose names are not those of the rows, in the same order")
    return b"".join(cut)


def read_header(path: Path) -> tuple[str, ...]:
    """Names of the columns of a matrix file with tabs; none where it has no header, or is none."""
    if not path.is_file():
        return ()
    with path.open("rb") as file:
        line = file.readline(MAX_LINE)
    return tuple(split_header(line)[0] or ())


def format_header(names: Sequence[str]) -> bytes:
    """Line that names the columns of a matrix; nothing without names."""
    return ("\t".join(names) + "\n").encode() if names else b""


def _read_name(cell: bytes) -> str:
    return cell.decode("utf-8", errors="replace").strip().strip('"')


NOT_AVAILABLE = frozenset(("n/a", "N/A", "", "nan", "NaN"))
MAX_COLUMNS = 100_000
BLOCK_BYTES = 1 << 18
"""Of the cells of so many bytes at once there are Python's own texts, each of 50 bytes or more."""
MAX_WORD_BYTES = 1 << 29
"""All words of a table; in memory each takes the room of the longest of its column."""


def read_columns(path: Path, *, texts: Collection[str] = ()) -> dict[str, NDArray[Any]]:
    """Columns of a tab-separated table with a header.

    Parameters
    ----------
    texts : collection of str
        Columns that are text even where every value looks like a number, as ``01`` does.

    Returns
    -------
    dict
        Column name to ndarray [n_rows]: float64 with ``n/a`` as NaN where every value is a number,
        else str as spelled.

    Raises
    ------
    InputError
        If it is missing, has no header, repeats a column, or a row is cut.
    """
    return parse_columns(read_bytes(path), str(path), texts=texts)


def parse_columns(
    content: bytes, where: str, *, texts: Collection[str] = ()
) -> dict[str, NDArray[Any]]:
    """Columns of the text (UTF-8) of such a table, as of :func:`read_columns`.

    ``where`` names the file, or archive and member, in messages.
    """
    try:
        return _parse(content, where, texts)
    except ValueError as error:
        raise InputError(
            f"expected a tab-separated table in {where}; found: {error}. The file is damaged or "
            "of another kind: copy it again."
        ) from error


def _parse(content: bytes, where: str, texts: Collection[str]) -> dict[str, NDArray[Any]]:
    text = content.removeprefix(BOM_UTF8).replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    first, _, body = text.partition(b"\n")
    del text
    names = _read_header(first, where)
    while b"\n\n" in body:
        body = body.replace(b"\n\n", b"\n")
    body = body.strip(b"\n")
    n_rows = body.count(b"\n") + 1 if body else 0
    n = len(names)
    blocks = partial(_list_blocks, body, n, where)
    if body.count(b"\t") != n_rows * (n - 1):
        deque(blocks(), maxlen=0)  # says in which line, before there is room for all
    numbers = np.empty((n, n_rows))
    words = {k for k, name in enumerate(names) if name in texts}
    for start, cells in blocks():
        numbers[:, start : start + len(cells) // n] = _read_numbers(cells, n, words)
    columns: dict[str, NDArray[Any]] = dict(zip(names, numbers, strict=True))
    widths = dict.fromkeys(words, 0)
    for _, cells in blocks() if words else ():
        widths = {k: max(width, *map(len, cells[k::n])) for k, width in widths.items()}
    _check_room(widths.values(), n_rows)
    columns |= {names[k]: np.empty(n_rows, f"U{width}") for k, width in widths.items()}
    for start, cells in blocks() if words else ():
        for k in words:
            columns[names[k]][start : start + len(cells) // n] = cells[k::n]
    return columns


def _read_header(line: bytes, where: str) -> list[str]:
    if line.count(b"\t") >= MAX_COLUMNS:
        raise ValueError(f"more than {MAX_COLUMNS:,} columns")
    names = decode(line).split("\t")
    if not all(names) or len(set(names)) < len(names):
        raise InputError(
            f"expected a tab-separated table with a header of different names in {where}; found "
            f"{repr(decode(line)[:80]) if line else 'an empty file'}. Copy the file again."
        )
    return names


def _list_blocks(body: bytes, n_columns: int, where: str) -> Iterator[tuple[int, list[str]]]:
    """Yield the cells of some rows at a time, and how many rows are before them."""
    start, n_before = 0, 0
    while start < len(body):
        stop = body.find(b"\n", start + BLOCK_BYTES)
        stop = len(body) if stop < 0 else stop
        block = body[start:stop]
        data = np.frombuffer(block + b"\n", np.uint8)
        is_end = data[(data == ord("\t")) | (data == ord("\n"))] == ord("\n")
        n_rows = int(is_end.sum())
        if len(is_end) != n_rows * n_columns or not is_end[n_columns - 1 :: n_columns].all():
            counts = [line.count(b"\t") + 1 for line in block.split(b"\n")]
            wrong = next(k for k, count in enumerate(counts) if count != n_columns)
            raise InputError(
                f"expected {n_columns} columns in {where}; found {counts[wrong]} in line "
                f"{n_before + wrong + 2}. The file is cut or damaged: copy it again."
            )
        yield n_before, decode(block).replace("\n", "\t").split("\t")
        start, n_before = stop + 1, n_before + n_rows


def _read_numbers(cells: Sequence[str], n_columns: int, words: set[int]) -> NDArray[np.float64]:
    """Numbers [n_columns, n_rows]; columns where some cell is none join those of words."""
    if not words:
        with suppress(ValueError):
            return np.array(list(map(float, cells))).reshape(-1, n_columns).T
    found = np.full((n_columns, len(cells) // n_columns), np.nan)
    for k in range(n_columns):
        if k not in words:
            own = cells[k::n_columns]
            try:
                found[k] = [np.nan if cell in NOT_AVAILABLE else float(cell) for cell in own]
            except ValueError:
                words.add(k)
    return found


def _check_room(widths: Collection[int], n_rows: int) -> None:
    n_bytes = 4 * n_rows * sum(widths)
    if n_bytes > MAX_WORD_BYTES:
        raise ValueError(
            f"{n_rows:,} rows of words of up to {max(widths):,} letters, which need {n_bytes:,} "
            "bytes"
        )
