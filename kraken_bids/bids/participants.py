"""``participants.tsv`` as people write it: in Excel, with blanks around words, in any encoding."""

import csv
import io
from codecs import BOM_UTF16_BE, BOM_UTF16_LE
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from kraken_bids.exceptions import InputError
from kraken_bids.io.texts import read_bytes

PARTICIPANT = "participant_id"
MAX_BYTES = 1 << 26
MAX_LINE = 1 << 20
MAX_CELLS = 6_000_000
"""Each takes some 90 bytes."""
CELLS_OF_A_ROW = 5
"""A row itself takes as much as these."""


def read_participants(path: Path) -> list[dict[str, str]]:
    """Rows of a ``participants.tsv``, by column; ids without ``sub-``.

    Parameters
    ----------
    path : Path
        UTF-8; else, as spreadsheet programs save it, UTF-16 or Windows-1252 (Latin-1). Blanks
        around names and values are no part of them.

    Raises
    ------
    InputError
        If it cannot be read, repeats a column, or a row has more values than there are columns.
    """
    content = read_bytes(path, at_most=MAX_BYTES)
    try:
        return _read_rows(content, path)
    except (csv.Error, UnicodeDecodeError) as error:
        raise InputError(
            f"expected a table of participants in {path}; reading it gave: {error}. Copy the file "
            "again."
        ) from error


def _read_rows(content: bytes, path: Path) -> list[dict[str, str]]:
    text = io.TextIOWrapper(io.BytesIO(content), encoding=_find_encoding(content), newline="")
    rows = csv.reader(_list_lines(text), delimiter="\t")
    header = [name.strip() for name in next(rows, [])]
    if len(set(header)) < len(header):
        raise InputError(f"expected columns of different names in {path}; found {header[:20]}.")
    found: list[dict[str, str]] = []
    for row in rows:
        if not any(cell.strip() for cell in row):
            continue
        if len(row) > len(header):
            raise InputError(
                f"expected {len(header)} columns in {path}; found {len(row)} in line "
                f"{rows.line_num}. Correct that line."
            )
        if len(found) * (len(header) + CELLS_OF_A_ROW) > MAX_CELLS:
            raise csv.Error(f"more than {len(found):,} subjects with {len(header)} columns each")
        cells = [cell.strip() for cell in row] + [""] * (len(header) - len(row))
        one = dict(zip(header, cells, strict=True))
        if PARTICIPANT in one:
            one[PARTICIPANT] = one[PARTICIPANT].removeprefix("sub-")
        found.append(one)
    return found


def _list_lines(text: Iterable[str]) -> Iterator[str]:
    for line in text:
        if len(line) > MAX_LINE:
            raise csv.Error(f"a line of {len(line):,} letters")
        yield line


def _find_encoding(content: bytes) -> str:
    if content.startswith((BOM_UTF16_LE, BOM_UTF16_BE)):
        return "utf-16"
    for name in ("utf-8-sig", "cp1252"):
        with suppress(UnicodeDecodeError):
            content.decode(name)
            return name
    return "latin-1"  # it has every byte
