"""Matrices and weights of text into arrays."""

import re
import warnings
from codecs import BOM_UTF8
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kraken_bids.exceptions import InputError
from kraken_bids.io.matrix_headers import split_header
from kraken_bids.io.matrix_rows import parse_rows
from kraken_bids.io.texts import read_bytes
from kraken_bids.io.trx import open_trx

EMPTY_CELL = re.compile(rb"(?:^|[\t\n]) *\t")
BLOCK_BYTES = 1 << 23
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
    with _naming(path, "a square matrix of numbers, separated by tabs"):
        _, text = split_header(text)
        n_lines = text.count(b"\n") + 1
        if n_lines > MAX_LINES:
            raise ValueError(f"{n_lines:,} lines")
        values, lengths, has_gaps = parse_rows(text, at_most=n_lines**2)
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
            if len(rest) > BLOCK_BYTES:
                raise ValueError(f"a word or a comment of more than {BLOCK_BYTES:,} bytes")
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
