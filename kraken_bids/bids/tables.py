"""Text, JSON, tables and matrices into plain values."""

import json
import re
import warnings
from codecs import BOM_UTF8
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kraken_bids.bids.matrix_headers import split_header
from kraken_bids.bids.matrix_text import parse_rows
from kraken_bids.bids.trx import open_trx
from kraken_bids.exceptions import InputError
from kraken_bids.files import explain_absence

NOT_AVAILABLE = ("n/a", "N/A", "", "nan", "NaN")
EMPTY_CELL = re.compile(rb"(?:^|[\t\n]) *\t")
BLOCK_BYTES = 1 << 23


def read_text(path: Path) -> str:
    """Content of a UTF-8 text file.

    Raises
    ------
    InputError
        If it is missing, unreadable or not text.
    """
    with _reading(path):
        return Path(path).read_text(encoding="utf-8-sig")


def read_json(path: Path) -> dict[str, Any]:
    """Content of a JSON file that holds one object.

    Raises
    ------
    InputError
        If it is missing or holds anything else.
    """
    text = read_text(path)
    try:
        content = json.loads(text)
    except ValueError as error:
        raise InputError(
            f"expected JSON in {path}; reading it gave: {error}. Copy the file again or mend it."
        ) from error
    if not isinstance(content, dict):
        raise InputError(f"expected a JSON object in {path}; found a {type(content).__name__}.")
    return content


def read_columns(path: Path) -> dict[str, NDArray[Any]]:
    """Columns of a tab-separated table with a header.

    Parameters
    ----------
    path : path

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
    return parse_columns(read_text(path), str(path))


def parse_columns(text: str, where: str) -> dict[str, NDArray[Any]]:
    """Columns of the text of such a table.

    Parameters
    ----------
    text : str
    where : str
        File, or archive and member, for messages.

    Returns
    -------
    dict
        As of :func:`read_columns`.

    Raises
    ------
    InputError
        As :func:`read_columns` does.
    """
    lines = text.splitlines()
    header = lines[0].split("\t") if lines else [""]
    if not all(header) or len(set(header)) < len(header):
        raise InputError(
            f"expected a tab-separated table with a header of different names in {where}; found "
            f"{lines[0][:80] if lines else 'an empty file'!r}. Copy the file again."
        )
    rows = [line.split("\t") for line in lines[1:] if line]
    for number, row in enumerate(rows, start=2):
        if len(row) != len(header):
            raise InputError(
                f"expected {len(header)} columns in {where}; found {len(row)} in line {number}. "
                "The file is cut or damaged: copy it again."
            )
    columns = zip(*rows, strict=True) if rows else ((),) * len(header)
    return {name: _to_array(column) for name, column in zip(header, columns, strict=True)}


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
    with _reading(path):
        text = Path(path).read_bytes().removeprefix(BOM_UTF8).replace(b"\r", b"\n")
    if b"/" in text:  # one character is found much faster than three
        text = text.replace(b"n/a", b"nan")
    with _naming(path, "a square matrix of numbers, separated by tabs"):
        _, text = split_header(text)
        values, lengths, has_gaps = parse_rows(text)
    n_rows = len(lengths)
    if not n_rows or values.size != n_rows**2:
        raise InputError(
            f"expected a square matrix in {path}; found {n_rows} rows and {values.size} numbers. "
            "The file is cut or has another layout: write it again."
        )
    if (lengths != n_rows).any() or (has_gaps and EMPTY_CELL.search(text)):
        raise InputError(
            f"expected {n_rows} numbers in each of the {n_rows} rows of {path}; found an empty "
            "cell, or rows of other lengths. The file is damaged or has another layout: write it "
            "again."
        )
    return values.reshape(n_rows, n_rows)


def read_weights(path: Path) -> NDArray[np.float32]:
    """Streamline weights as ``tcksift2`` writes them: separated by blanks, commas or lines.

    Lines that start with ``#`` are passed over. Of a tractogram (``.trx``), the weights in it.

    Returns
    -------
    ndarray of float32, shape (n_streamlines,)

    Raises
    ------
    InputError
        If it is missing, empty, or holds anything but finite numbers.
    """
    if Path(path).name.lower().endswith(".trx"):
        return _check_weights(open_trx(path).read_weights(), path)
    with _naming(path, "streamline weights, numbers separated by blanks, commas or lines"):
        blocks = [_parse_numbers(block, np.float32) for block in _list_blocks(Path(path))]
    weights = np.concatenate([np.empty(0, np.float32), *blocks])
    if not weights.size:
        raise InputError(f"expected streamline weights in {path}; found none. Run tcksift2 again.")
    return _check_weights(weights, path)


def _check_weights(weights: NDArray[np.float32], path: Path) -> NDArray[np.float32]:
    bad = np.flatnonzero(~np.isfinite(weights))
    if bad.size:
        raise InputError(
            f"expected finite streamline weights in {path}; found {weights[bad[0]]} for "
            f"streamline {bad[0] + 1}, and {bad.size} such in all. Run tcksift2 again."
        )
    return weights


def _list_blocks(path: Path) -> Iterator[bytes]:
    """Text of a file in blocks cut between numbers, comment lines and commas blanked."""
    rest = b""
    with path.open("rb") as file:
        while block := file.read(BLOCK_BYTES):
            block = rest + block
            cut = max(block.rfind(b) for b in (b"\n", b" ", b",")) + 1
            # A comment line must not be cut in two.
            start = block.rfind(b"\n", 0, cut) + 1
            cut = start if block[start : start + 1] == b"#" else cut
            block, rest = block[:cut], block[cut:]
            yield re.sub(rb"(?m)^#.*$", b"", block).replace(b",", b" ")
    yield re.sub(rb"(?m)^#.*$", b"", rest).replace(b",", b" ")


def _parse_numbers(text: bytes, dtype: type[Any]) -> NDArray[Any]:
    if not text.strip():
        return np.empty(0, dtype)
    with warnings.catch_warnings():
        # numpy stops at what is no number and only warns.
        warnings.simplefilter("error")
        return np.fromstring(text.decode("ascii"), dtype=dtype, sep=" ")


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Turn what goes wrong while opening a text file into an error that says what to do."""
    try:
        yield
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"expected a text file at {path}; reading it gave: {error}. "
            f"{explain_absence(path) or 'Check the path, or copy the file again.'}"
        ) from error


@contextmanager
def _naming(path: Path, expected: str) -> Iterator[None]:
    """Turn what goes wrong while reading numbers into an error that names the file."""
    try:
        yield
    except InputError:
        raise
    except (OSError, ValueError, DeprecationWarning) as error:
        raise InputError(
            f"expected {expected} in {path}; reading it gave: {error}. Check the file."
        ) from error


def _to_array(column: tuple[str, ...]) -> NDArray[Any]:
    try:
        return np.array([np.nan if v in NOT_AVAILABLE else float(v) for v in column], np.float64)
    except ValueError:
        return np.array(column, dtype=np.str_)
