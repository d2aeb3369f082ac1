"""Matrices of text, as people and programs write them: any separator, named columns or none."""

import re
from codecs import BOM_UTF8
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

from kraken_bids.exceptions import InputError
from kraken_bids.io.matrix_rows import parse_rows
from kraken_bids.io.stored_rows import BROKEN
from kraken_bids.io.tables import split_header

COMMENT = re.compile(rb"(?m)(?:^|(?<=[ \t]))[#%][^\n]*")
MISSING = {b"/": (b"n/a", b"N/A"), b"N": (b"<NA>", b"NAN", b"NA")}
"""Cells that say that there is no number, which no other cell holds; by a character of them."""
BLOCK_BYTES = 1 << 20
MARKS = (b"\t", b",", b";")
"""What separates numbers, if it is there at all; else blanks do."""


def read_text_matrix(source: Path | IO[bytes]) -> NDArray[np.float64]:
    """Read the numbers of a matrix of text; raises as :func:`read_named_matrix`."""
    return read_named_matrix(source)[1]


def read_named_matrix(
    source: Path | IO[bytes],
) -> tuple[tuple[str, ...] | None, NDArray[np.float64]]:
    """Read a matrix of text, and the names of its columns.

    Parameters
    ----------
    source : Path or binary stream
        Numbers are separated by tabs, commas, semicolons or blanks, whatever the file's name
        says. ``n/a``, ``NA`` and ``nan`` are NaN; what follows ``#`` or ``%`` in a line is passed
        over, and so is a byte-order mark.

    Returns
    -------
    names : tuple of str or None
        None where there is no header.
    values : ndarray

    Raises
    ------
    InputError
        If a cell is empty or not a number, or rows differ in length.
    """
    name = getattr(source, "name", str(source))
    try:
        return parse_text_matrix(
            source.read_bytes() if isinstance(source, Path) else source.read()
        )
    except BROKEN as error:
        raise InputError(
            f"expected a matrix of numbers in {name}; found: {error}. Write it with tabs between "
            "the numbers of a row, without header or below the names of the regions."
        ) from error


def parse_text_matrix(text: bytes) -> tuple[tuple[str, ...] | None, NDArray[np.float64]]:
    """Names of the columns (None without a header), and the numbers of such a text.

    Raises
    ------
    ValueError
        If a cell is empty or not a number, or rows differ in length.
    """
    text = text.removeprefix(BOM_UTF8).replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    if b"#" in text or b"%" in text:
        text = b"".join(COMMENT.sub(b"", lines) for lines in _list_blocks(text))
    text = text.lstrip(b"\n")
    mark = next((mark for mark in MARKS if mark in text), b" ")
    names, text = split_header(text, mark)
    for character, words in MISSING.items():
        for word in words if character in text else ():  # one is found much faster than several
            text = text.replace(word, b"nan")
    values, lengths, has_gaps = _parse(text, mark)
    if not len(lengths):
        raise ValueError("no numbers")
    if (lengths != lengths[0]).any():
        row = int(np.flatnonzero(lengths != lengths[0])[0])
        raise ValueError(
            f"{lengths[0]} numbers in the first row and {lengths[row]} in row {row + 1}"
        )
    if has_gaps:
        raise ValueError("an empty cell")
    if names is not None and not len(names) == lengths[0] == len(lengths):
        raise ValueError(
            f"{len(names)} names in the header, and {len(lengths)} rows of {lengths[0]} numbers"
        )
    return names, values.reshape(len(lengths), lengths[0])


def _list_blocks(text: bytes) -> Iterator[bytes]:
    """Yield some lines at a time."""
    start = 0
    while start < len(text):
        stop = text.find(b"\n", start + BLOCK_BYTES) + 1 or len(text)
        yield text[start:stop]
        start = stop


def _parse(text: bytes, mark: bytes) -> tuple[NDArray[np.float64], NDArray[np.int64], bool]:
    if mark == b"\t" and b" " not in text:
        values, lengths, has_gaps = parse_rows(text)
        if not has_gaps:
            return values, lengths, has_gaps
    return parse_rows(_join_cells(text, mark))


def _join_cells(text: bytes, mark: bytes) -> bytes:
    """Cells with one tab between them, and none where a line ends, whatever lies around them.

    By replacements of the whole text: cells as Python's objects would take 40 bytes each.
    """
    text = _squeeze(text, b"  ")
    for end in (b"\n", mark):
        text = text.replace(b" " + end, end).replace(end + b" ", end)
    text = _squeeze(text.strip(b" \n").replace(mark, b"\t"), b"\n\n")
    return text.replace(b"\t\n", b"\n").removesuffix(b"\t")


def _squeeze(text: bytes, twice: bytes) -> bytes:
    """Text with one character where it comes several times in a row."""
    while twice in text:
        text = text.replace(twice, twice[:1])
    return text
