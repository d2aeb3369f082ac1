"""Latents in tables with a header, as kraken-bids and kraken-tools predict write them."""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from kraken_bids.bids.names import parse_name, strip_label
from kraken_bids.cohort.row_names import parse_subject
from kraken_bids.cohort.table_folders import list_tables
from kraken_bids.exceptions import InputError
from kraken_bids.io.stored_rows import BROKEN
from kraken_bids.io.tables import NOT_AVAILABLE, parse_columns, read_columns
from kraken_bids.io.writing import write_table

Array = NDArray[np.float32]
Columns = Mapping[str, NDArray[Any]]

KIND = "latents"
ENTITIES = {"sub": "participant_id", "ses": "session_id"}
SOURCE = "source"
VALUE = re.compile(r"z[0-9]{1,9}")
HEADER_BYTES = 1 << 20
"""A header is no longer, whatever the file is."""
MAX_PACKED_BYTES = 1 << 24
"""One subject's table in an archive is no larger."""


def stack_latents(columns: Columns) -> NDArray[np.float64]:
    """Latents ``[n_rows, n_latent]`` of a table of latents."""
    rows = [v for key, v in columns.items() if key.startswith("z") and v.dtype.kind == "f"]
    return np.stack(rows, axis=1)


def write_latent_table(
    path: Path, latents: Mapping[str, Array], n_inputs: Sequence[int] | None = None
) -> None:
    """Write the latents of one session.

    Parameters
    ----------
    latents : mapping of str to ndarray of shape (n_latent,)
        By source.
    n_inputs : sequence of int, optional
        How many flavors were averaged, by source.
    """
    columns: dict[str, list[Any]] = {SOURCE: list(latents)}
    if n_inputs is not None:
        columns["n_inputs"] = list(n_inputs)
    write_table(path, columns | list_values(np.stack(list(latents.values()))))


def list_values(latents: Array) -> dict[str, list[float]]:
    """Columns ``z000`` … of latents ``[n_rows, n_latent]``."""
    return {f"z{k:03d}": values.tolist() for k, values in enumerate(latents.T)}


def is_latent_table(path: Path) -> bool:
    """Whether a text file has the header of a table of latents: no bare matrix of numbers."""
    header = b""
    with suppress(OSError), path.open("rb") as file:
        header = file.readline(HEADER_BYTES)
    names = header.decode("utf-8-sig", errors="replace").strip().split("\t")
    return any(VALUE.fullmatch(name) or name in {SOURCE, *ENTITIES.values()} for name in names)


def read_latent_tables(path: Path) -> tuple[tuple[str, ...], dict[str, Array]]:
    """Latents by source, of one table or of all in a folder or zip.

    Parameters
    ----------
    path : Path
        ``latents.tsv`` of a group, ``sub-…_latents.tsv``, or a folder or ``.zip`` of the latter.
        Columns ``source`` and ``z000`` …; ``participant_id`` and ``session_id`` where the file's
        name does not say whose they are. Other columns are passed over.

    Returns
    -------
    subjects : tuple of str
        Labels of the rows, ``01`` or ``01_ses-1``, in the order met.
    latents : dict of str to ndarray of float32, shape (n_subjects, n_latent)
        NaN where a subject has no row of a source, and for ``n/a``.

    Raises
    ------
    InputError
        If there is no such table, one is broken, does not say whose its rows are, repeats a
        source of a subject, or differs from the others in its number of values.
    """
    rows: dict[str, dict[str, Array]] = {}
    places: dict[tuple[str, str], str] = {}
    widths: dict[int, str] = {}
    for where, name, columns in _read_tables(path):
        for subject, source, row in _list_rows(columns, where, name):
            _check_once(subject, source, places.get((subject, source)), where)
            places[subject, source] = where
            rows.setdefault(source, {})[subject] = row
            widths.setdefault(len(row), where)
    width = _check_widths(widths, path)
    subjects = tuple(dict.fromkeys(subject for subject, _ in places))
    absent = np.full(width, np.nan, np.float32)
    return subjects, {
        source: np.stack([own.get(subject, absent) for subject in subjects])
        for source, own in rows.items()
    }


def _check_once(subject: str, source: str, earlier: str | None, where: str) -> None:
    if earlier is not None:
        raise InputError(
            f"expected one latent of {source} of subject {subject}; found it in {earlier} and in "
            f"{where}. Keep one of them."
        )


def _check_widths(widths: Mapping[int, str], path: Path) -> int:
    """Give the one number of values that all latents have, of those by the file they are in."""
    if not widths:
        raise InputError(
            f"expected latents in {path} (sub-*_{KIND}.tsv, or a table with rows); found none. "
            f"Give a folder that kraken-bids or kraken-tools predict wrote, or its {KIND}.tsv."
        )
    if len(widths) > 1:
        raise InputError(
            "expected latents of one model; found "
            f"{', '.join(f'{width} values in {where}' for width, where in widths.items())}. Give "
            "those of one model."
        )
    return next(iter(widths))


def _read_tables(path: Path) -> Iterator[tuple[str, str, Columns]]:
    """Each table: where it is, its file's name, its columns."""
    if path.is_file() and path.suffix != ".zip":
        yield str(path), path.name, read_columns(path)
        return
    for name, table in list_tables(path, KIND):
        if Path(name).name.startswith("sub-"):
            where = f"{path}, {name}"
            is_path = isinstance(table, Path)
            columns = read_columns(table) if is_path else _read_stream(table, where)
            yield where, Path(name).name, columns


def _read_stream(stream: IO[bytes], where: str) -> Columns:
    try:
        content = stream.read(MAX_PACKED_BYTES + 1)
        if len(content) > MAX_PACKED_BYTES:
            raise ValueError(f"more than {MAX_PACKED_BYTES:,} bytes of one subject")
    except BROKEN as error:
        raise InputError(
            f"expected a table of latents in {where}; found: {error}. Copy the file again."
        ) from error
    return parse_columns(content, where)


def _list_rows(columns: Columns, where: str, name: str) -> Iterator[tuple[str, str, Array]]:
    """Subject, source and latent of every row."""
    sources = columns.get(SOURCE)
    if sources is None or (len(sources) and sources.dtype.kind != "U"):
        raise InputError(
            f"expected a column {SOURCE} of names, such as fusion, in {where}; found "
            f"{', '.join(list(columns)[:5])} …. Give a table of latents that kraken-bids or "
            "kraken-tools predict wrote."
        )
    values = _stack_values(columns, where)
    labels = _list_labels(columns, where, name)
    yield from zip(labels, map(str, sources), values, strict=True)


def _stack_values(columns: Columns, where: str) -> Array:
    """Latents ``[n_rows, n_latent]`` of the columns ``z…``, in the order of their numbers."""
    names = sorted((n for n in columns if VALUE.fullmatch(n)), key=lambda n: int(n[1:]))
    text = [name for name in names if columns[name].dtype.kind != "f"]
    if text or not names:
        raise InputError(
            f"expected columns z000, z001 … of numbers, or n/a, in {where}; found "
            f"{f'words in {text[0]}' if text else 'none'}. Mend the table, or write it again."
        )
    missing = set(range(len(names))) - {int(name[1:]) for name in names}
    if missing:
        raise InputError(
            f"expected columns z000 to {names[-1]} in {where}; found none for number "
            f"{min(missing)}. Write the table again."
        )
    return np.stack([columns[name] for name in names], axis=1).astype(np.float32)


def _list_labels(columns: Columns, where: str, name: str) -> list[str]:
    """Label of each row, from its columns, else from the file's name."""
    named = parse_name(name)
    n_rows = len(columns[SOURCE])
    found = {
        entity: _strip_labels(columns[column], entity, where)
        if column in columns
        else [named.get(entity, "")] * n_rows
        for entity, column in ENTITIES.items()
    }
    if not all(found["sub"]):
        raise InputError(
            f"expected {ENTITIES['sub']} in each row of {where}, or a file named "
            f"sub-LABEL_{KIND}.tsv; found neither. Add the column, or rename the file."
        )
    return [
        parse_subject({"sub": subject, **({"ses": session} if session else {})})
        for subject, session in zip(found["sub"], found["ses"], strict=True)
    ]


def _strip_labels(column: NDArray[Any], entity: str, where: str) -> list[str]:
    """Labels without their entity; empty for ``n/a``."""
    if column.dtype.kind == "f" and not np.isnan(column).all():
        # as numbers they have lost the zeros before them
        raise InputError(
            f"expected {ENTITIES[entity]} such as {entity}-01 in {where}; found numbers. Put "
            f"{entity}- before them."
        )
    words = ["" if word in NOT_AVAILABLE else word for word in map(str, column)]
    return [strip_label(word, entity) for word in words]
