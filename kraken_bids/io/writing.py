"""Values into files, whole or not at all: text, JSON, tables, matrices."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kraken_bids.exceptions import ConnectomeError
from kraken_bids.io.files import atomic_path
from kraken_bids.io.matrix_text import format_matrix
from kraken_bids.io.tables import format_header

# made once: a union is made anew wherever it stands, for each of a million values
ARRAYS, FLOATS = (np.ndarray, np.generic), (float, np.floating)
LISTS = (list, tuple, set, frozenset)


def write_text(path: Path, text: str) -> None:
    """Write a text file.

    Raises
    ------
    InputError
        If the disk is full or the folder cannot be written to; so do all functions of this file.
    """
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write a JSON object; numpy's numbers and arrays, paths and NaN (null) are taken too."""
    write_text(path, json.dumps(to_plain(content), indent=2, ensure_ascii=False) + "\n")


def write_table(path: Path, columns: Mapping[str, Sequence[Any] | NDArray[Any]]) -> None:
    """Write columns as a tab-separated table with a header.

    Floats have 9 significant digits (float32 survives them); NaN and None become ``n/a``.

    Parameters
    ----------
    columns : mapping
        Column name to its values, all of one length.
    """
    cells = [_format_column(column) for column in columns.values()]
    lines = ["\t".join(columns), *("\t".join(row) for row in zip(*cells, strict=True))]
    write_text(path, "\n".join(lines) + "\n")


def write_relmat(
    path: Path, square: NDArray[np.floating[Any]], *, header: Sequence[str] = ()
) -> None:
    """Write a square matrix as ``relmat.dense.tsv``: tabs, ``%.6g``, NaN as ``nan``.

    ``nan`` and not ``n/a``, so that numpy, pandas and the published tools read it as it is.

    Parameters
    ----------
    square : ndarray of shape (n_regions, n_regions)
    header : sequence of str, optional
        Names of the regions, to stand above it; none by default, as the published tools read it.

    Raises
    ------
    ConnectomeError
        If the matrix is not square.
    """
    if square.ndim != 2 or square.shape[0] != square.shape[1]:
        raise ConnectomeError(f"expected a square matrix for {path}; found shape {square.shape}.")
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        file.write(format_header(header))
        file.writelines(format_matrix(square))


def to_plain(value: Any) -> Any:
    """Give what JSON holds: lists for arrays, text for paths, None for NaN."""
    if isinstance(value, Mapping):
        return {str(key): to_plain(item) for key, item in value.items()}
    if isinstance(value, ARRAYS):
        return to_plain(value.tolist())
    if isinstance(value, LISTS):
        return [to_plain(item) for item in value]
    if isinstance(value, float) and not np.isfinite(value):
        return None
    return str(value) if isinstance(value, Path) else value


def _format_column(column: Sequence[Any] | NDArray[Any]) -> list[str]:
    if not isinstance(column, np.ndarray):
        return [_format_cell(value) for value in column]
    if column.dtype.kind != "f":
        return [_format_cell(value) for value in column.tolist()]
    values = column.tolist()
    return ["n/a" if v != v else f"{v:.9g}" for v in values]  # noqa: PLR0124  (NaN)


def _format_cell(value: Any) -> str:
    if value is None or value != value:  # noqa: PLR0124  (NaN)
        return "n/a"
    if isinstance(value, FLOATS):
        return f"{value:.9g}"
    return " ".join(str(value).split()) or "n/a"
