"""Tables in a folder or a zip: the measured connectomes among them, told by their names."""

import zipfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kraken_bids.bids.names import parse_name
from kraken_bids.bids.outputs import is_part
from kraken_bids.cohort.flavor_blocks import Part, to_table_part
from kraken_bids.cohort.row_names import check_folders, find_label, parse_subject
from kraken_bids.exceptions import FlavorError, InputError
from kraken_bids.flavors import Flavor, parse_meas, recognize_flavor
from kraken_bids.io.bounds import check_archive
from kraken_bids.io.files import explain_absence
from kraken_bids.io.stored_rows import BROKEN
from kraken_bids.io.text_matrices import read_named_matrix
from kraken_bids.io.texts import read_json

PREDICTED_MARK = "kraken"
SOURCE_KEYS = ("Bold", "Tracks")
"""Under which a sidecar of kraken-tools says what was measured."""


def open_tables(path: Path) -> Iterator[tuple[Flavor, Part]]:
    """Measured matrices of a folder or zip; predictions (``desc-…kraken``) are passed over.

    Parameters
    ----------
    path : Path
        Its files have BIDS names, or are called ``FLAVOR.tsv`` as ``kraken-tools fc`` calls them.

    Raises
    ------
    InputError
        If there are two of a flavor and subject, or a file lies in another subject's folder.
    """
    seen: dict[tuple[Flavor, str | None], str] = {}
    archive: zipfile.ZipFile | None = None
    for name, source in list_tables(path, is_wanted=_is_matrix):
        found = parse_bids_name(name) or _parse_flavor_name(path, name)
        if found is None:
            continue
        check_folders(name, str(path))
        flavor, subject = found
        if found in seen:
            raise InputError(
                f"expected one {flavor} of subject {subject or 'without a name'} in {path}; found "
                f"{seen[found]} and {name}. Keep one of them (one run, space or acquisition) in "
                "the folder; files of several subjects need sub-LABEL in their names or folders."
            )
        seen[found] = name
        read = partial(read_named_matrix, source)
        if not path.is_dir():
            # stays open as long as a part may still be read
            archive = archive or zipfile.ZipFile(path)
            read = partial(_read_zipped, archive, name)
        yield flavor, to_table_part(flavor, read, f"{path}, {name}", subject)


def list_tables(
    path: Path, kind: str = "relmat", *, is_wanted: Callable[[str], bool] | None = None
) -> Iterator[tuple[str, Any]]:
    """Name, and path or open stream, of every table of a folder or zip with a word in its name.

    Parameters
    ----------
    kind : str
        ``relmat`` or ``latents``.
    is_wanted : callable, optional
        Says so of a file's name, in place of the word.

    Raises
    ------
    InputError
        If the zip is broken, would fill the disk or memory, or leads out of its folder.
    """
    wanted = is_wanted or (lambda name: kind in name and name.endswith(".tsv"))
    if path.is_dir():
        for table in sorted(path.rglob("*.*sv"), key=lambda table: (table.name, table)):
            if wanted(table.name):
                _check_file(table)
                yield str(table.relative_to(path)), table
        return
    try:
        with zipfile.ZipFile(path) as archive:
            check_archive(archive, path.stat().st_size)
            for name in sorted(archive.namelist(), key=lambda name: Path(name).name):
                if wanted(Path(name).name):
                    with archive.open(name) as stream:
                        yield name, stream
    except BROKEN as error:
        raise InputError(
            f"expected a zip archive of tables (*{kind}*.tsv) in {path}; found: {error}. Copy it "
            "again."
        ) from error


def parse_bids_name(name: str) -> tuple[Flavor, str] | None:
    """Flavor and subject of a file name; None for predictions, parts of data, other files."""
    entities = parse_name(name)
    if not {"sub", "atlas", "meas"} <= set(entities) or PREDICTED_MARK in entities.get("desc", ""):
        return None
    if is_part(entities):
        return None
    try:
        return parse_meas(entities["meas"], entities["atlas"]), parse_subject(entities)
    except FlavorError:
        return None


def _is_matrix(name: str) -> bool:
    """Whether a file's name may be that of a matrix: ``*relmat*.tsv``, or ``FLAVOR.tsv``."""
    return name.endswith(".tsv") and (
        "relmat" in name or recognize_flavor(Path(name).stem) is not None
    )


def _parse_flavor_name(path: Path, name: str) -> tuple[Flavor, str | None] | None:
    """Flavor of ``FLAVOR.tsv``, and whose it is by its folders, or by what was measured."""
    flavor = recognize_flavor(Path(name).stem)
    if flavor is None:
        return None
    return flavor, find_owner(path / name)


def find_owner(path: Path) -> str | None:
    """Label of the one subject whose file this is, from its path or from what it was made of.

    Parameters
    ----------
    path : Path
        Its sidecar, if ``kraken-tools fc`` or ``sc`` wrote one, names a BOLD file or tractogram.
    """
    label = find_label(path)
    sidecar = path.with_suffix(".json")
    if label is None and sidecar.is_file():
        content: dict[str, Any] = {}
        with suppress(InputError):  # another program's file may have that name
            content = read_json(sidecar)
        sources = [content[key] for key in SOURCE_KEYS if isinstance(content.get(key), dict)]
        names = [Path(str(source.get("Path", ""))).name for source in sources]
        entities = parse_name(names[0]) if names else {}
        label = parse_subject(entities) if "sub" in entities else None
    return label


def _read_zipped(
    archive: zipfile.ZipFile, name: str
) -> tuple[tuple[str, ...] | None, NDArray[np.float64]]:
    with archive.open(name) as stream:
        return read_named_matrix(stream)


def _check_file(path: Path) -> None:
    # a pipe or a device exists too, and reading it may never end
    if not path.is_file():
        raise InputError(
            f"expected connectomes, or latents, in {path}; found no such file. "
            f"{explain_absence(path) or 'Check the path.'}"
        )
