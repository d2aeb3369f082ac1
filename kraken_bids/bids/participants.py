"""``participants.tsv`` as people write it: in Excel, with blanks around words, in any encoding."""

import csv
import io
from codecs import BOM_UTF16_BE, BOM_UTF16_LE
from pathlib import Path

from kraken_bids.exceptions import InputError
from kraken_bids.files import explain_absence

PARTICIPANT = "participant_id"


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
    try:
        text = _decode(Path(path).read_bytes())
        rows = list(csv.reader(io.StringIO(text, newline=""), delimiter="\t"))
    except (OSError, csv.Error, UnicodeDecodeError) as error:
        raise InputError(
            f"expected a table of participants in {path}; reading it gave: {error}. "
            f"{explain_absence(path) or 'Check the path, or copy the file again.'}"
        ) from error
    header = [name.strip() for name in rows[0]] if rows else []
    if len(set(header)) < len(header):
        raise InputError(f"expected columns of different names in {path}; found {header}.")
    found = []
    for number, row in enumerate(rows[1:], start=2):
        if not any(cell.strip() for cell in row):
            continue
        if len(row) > len(header):
            raise InputError(
                f"expected {len(header)} columns in {path}; found {len(row)} in line {number}. "
                "Correct that line."
            )
        cells = [cell.strip() for cell in row] + [""] * (len(header) - len(row))
        found.append(dict(zip(header, cells, strict=True)))
    for cells_of in found:
        if PARTICIPANT in cells_of:
            cells_of[PARTICIPANT] = cells_of[PARTICIPANT].removeprefix("sub-")
    return found


def _decode(content: bytes) -> str:
    if content.startswith((BOM_UTF16_LE, BOM_UTF16_BE)):
        return content.decode("utf-16")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        pass
    try:
        return content.decode("cp1252")
    except UnicodeDecodeError:
        return content.decode("latin-1")  # it has every byte
