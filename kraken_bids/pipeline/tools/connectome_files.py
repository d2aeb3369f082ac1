"""Connectome files of a cohort, in every layout that ``kraken-tools predict`` takes."""

import logging
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kraken_bids.bids.names import parse_name
from kraken_bids.bounds import check_archive
from kraken_bids.exceptions import FlavorError, InputError
from kraken_bids.flavors import Flavor, parse_flavor, parse_meas
from kraken_bids.pipeline.array_files import open_arrays, read_text_matrix
from kraken_bids.pipeline.tools.connectome_parts import (
    CohortRows,
    Connectomes,
    Part,
    join_rows,
    join_subjects,
    to_part,
    to_table_part,
)
from kraken_bids.pipeline.tools.stored_rows import BROKEN, Rows, load_rows

logger = logging.getLogger(__name__)

SUBJECT_KEYS = ("subjects", "subject", "participants")
MATRIX_KEYS = ("data", "FC", "SC", "C", "connectome", "volnorm")
"""What published ``.mat`` files call their one array."""
MISSING_KEY = "ismissing"
TABLE_SUFFIXES = (".tsv", ".csv", ".txt")
PREDICTED_MARK = "kraken"


@dataclass(frozen=True)
class CohortFiles:
    """Connectomes of a cohort on disk."""

    subjects: tuple[str, ...]
    """Labels, one per row; ``01_ses-1`` where there are sessions."""
    rows: Mapping[Flavor, CohortRows]


def read_connectomes(inputs: str | Path | Sequence[str | Path]) -> Connectomes:
    """Read and join connectome files.

    Parameters
    ----------
    inputs : str or Path, or sequence of these
        Each one ``FLAVOR=FILE``; or a file whose keys are flavors (``.npz``, ``.mat`` v5,
        ``.h5``); or a folder or ``.zip`` of BIDS-named matrices
        ``sub-X[_ses-Y]_…_atlas-A_meas-M_relmat.dense.tsv``, such as a folder that kraken-bids
        wrote. Arrays are [n_subjects, n_regions, n_regions] or [n_subjects, n_edges]; a text
        file holds one subject's square matrix, or one row of edges per subject. ``subjects``
        beside them names the rows.

    Returns
    -------
    Connectomes
        Over the union of subjects. Files without names are joined by row, and must have as many.

    Raises
    ------
    InputError
        If a file is missing or cannot be read, or files disagree about subjects.
    FlavorError
        If no flavor is given or found.
    ConnectomeError
        If an array has not the shape of its parcellation, is not symmetric, or is NaN in part.

    Examples
    --------
    >>> cohort = kraken_bids.read_connectomes("demo-data/derivatives")  # doctest: +SKIP
    >>> {flavor.name: edges.shape for flavor, edges in cohort.edges.items()}  # doctest: +SKIP
    """
    cohort = open_connectomes([inputs] if isinstance(inputs, str | Path) else inputs)
    n_subjects = len(cohort.subjects)
    edges = {flavor: rows.read(0, n_subjects) for flavor, rows in cohort.rows.items()}
    return Connectomes(cohort.subjects, edges)


def open_connectomes(inputs: Sequence[str | Path]) -> CohortFiles:
    """Find and join connectome files, whose numbers are read, and checked, when asked for.

    Parameters
    ----------
    inputs : sequence of str or Path
        As :func:`read_connectomes` takes them. ``.mat`` files, and text files given with
        ``FLAVOR=``, come into memory all the same.

    Raises
    ------
    InputError, FlavorError, ConnectomeError
        As of :func:`read_connectomes`; what concerns numbers, on reading.
    """
    parts: dict[Flavor, list[Part]] = {}
    for text in inputs:
        for flavor, part in _read_input(str(text)):
            parts.setdefault(flavor, []).append(part)
    if not parts:
        raise FlavorError(
            "expected connectomes of at least one flavor; found none in "
            f"{', '.join(str(text) for text in inputs) or 'no input'}. "
            "Give --input FLAVOR=FILE, or a folder of measured *_relmat.dense.tsv (predictions, "
            "desc-…kraken, are no inputs)."
        )
    subjects = join_subjects([part for several in parts.values() for part in several])
    rows = {flavor: join_rows(flavor, several, subjects) for flavor, several in parts.items()}
    logger.info("%d subjects, flavors %s", len(subjects), ", ".join(f.name for f in rows))
    return CohortFiles(subjects, rows)


def _read_input(text: str) -> Iterator[tuple[Flavor, Part]]:
    name, equals, rest = text.partition("=")
    if equals and not Path(text).exists():
        yield _read_flavor_file(parse_flavor(name), Path(rest))
        return
    path = Path(text)
    _check_exists(path)
    if path.is_dir() or path.suffix == ".zip":
        yield from _open_bids_tables(path)
        return
    if path.suffix in TABLE_SUFFIXES:
        flavor, subject = _parse_bids_name(path.name) or (None, "")
        if flavor is None:
            raise FlavorError(
                "expected FLAVOR=FILE for a file whose name does not say its flavor; found "
                f"{path}."
            )
        yield flavor, to_part(flavor, read_text_matrix(path), str(path), (subject,))
        return
    yield from _read_keyed_file(path)


def _read_flavor_file(flavor: Flavor, path: Path) -> tuple[Flavor, Part]:
    """File of one flavor: one array, or the array of that key."""
    _check_exists(path)
    if path.suffix in TABLE_SUFFIXES:
        named = _parse_bids_name(path.name)
        label = (named[1],) if named else None
        return flavor, to_part(flavor, read_text_matrix(path), str(path), label)
    arrays = open_arrays(path)
    subjects = find_subjects(arrays)
    keys = [key for key in arrays if _parse_key(key) == flavor]
    keys = keys or [key for key in MATRIX_KEYS if key in arrays]
    keys = keys or [
        key for key, array in arrays.items() if len(array.shape) >= 2 and array.dtype.kind in "fiu"
    ]
    if len(keys) != 1:
        raise InputError(
            f"expected one array for {flavor} in {path}; found {', '.join(arrays) or 'none'}. "
            f"Name it {flavor}, or keep only it (and subjects) in the file."
        )
    array = arrays[keys[0]]
    if MISSING_KEY in arrays and subjects is not None:
        kept = ~load_rows(arrays[MISSING_KEY]).reshape(-1).astype(bool)
        subjects = tuple(s for s, keep in zip(subjects, kept, strict=True) if keep)
        array = load_rows(array)[kept] if array.shape[0] == len(kept) else array
    return flavor, to_part(flavor, array, f"{path}, {keys[0]}", subjects)


def _read_keyed_file(path: Path) -> Iterator[tuple[Flavor, Part]]:
    """File whose keys are flavors; keys that are none are passed over."""
    if path.suffix == ".npy":
        raise FlavorError(
            f"expected FLAVOR=FILE for a .npy file, which names no flavor; found {path}."
        )
    arrays = open_arrays(path)
    subjects = find_subjects(arrays)
    found = {key: flavor for key in arrays if (flavor := _parse_key(key)) is not None}
    if not found:
        raise FlavorError(
            f"expected arrays named by their flavor in {path}; found "
            f"{', '.join(arrays) or 'none'}. Give FLAVOR=FILE."
        )
    for key, flavor in found.items():
        yield flavor, to_part(flavor, arrays[key], f"{path}, {key}", subjects)


def _open_bids_tables(path: Path) -> Iterator[tuple[Flavor, Part]]:
    """Measured matrices of a folder or zip; predictions (``desc-…kraken``) are passed over."""
    seen: dict[tuple[Flavor, str], str] = {}
    archive: zipfile.ZipFile | None = None
    for name, source in list_tables(path):
        found = _parse_bids_name(name)
        if found is None:
            continue
        flavor, subject = found
        if found in seen:
            raise InputError(
                f"expected one {flavor} of subject {subject} in {path}; found {seen[found]} and "
                f"{name}. Keep one of them (one run, space or acquisition) in the folder."
            )
        seen[found] = name
        read = partial(read_text_matrix, source)
        if not path.is_dir():
            # stays open as long as a part may still be read
            archive = archive or zipfile.ZipFile(path)
            read = partial(_read_zipped, archive, name)
        yield flavor, to_table_part(flavor, read, f"{path}, {name}", subject)


def _read_zipped(archive: zipfile.ZipFile, name: str) -> NDArray[np.float64]:
    with archive.open(name) as stream:
        return read_text_matrix(stream)


def list_tables(path: Path, kind: str = "relmat") -> Iterator[tuple[str, Any]]:
    """Name, and path or open stream, of every table of a folder or zip with a word in its name.

    Parameters
    ----------
    path : Path
    kind : str
        ``relmat`` or ``latents``.

    Raises
    ------
    InputError
        If the zip is broken, would fill the disk or memory, or leads out of its folder.
    """
    if path.is_dir():
        for table in sorted(path.rglob(f"*{kind}*.tsv"), key=lambda table: table.name):
            _check_exists(table)
            yield str(table.relative_to(path)), table
        return
    try:
        with zipfile.ZipFile(path) as archive:
            check_archive(archive, path.stat().st_size)
            for name in sorted(archive.namelist(), key=lambda name: Path(name).name):
                if kind in Path(name).name and name.endswith(".tsv"):
                    with archive.open(name) as stream:
                        yield name, stream
    except BROKEN as error:
        raise InputError(
            f"expected a zip archive of tables (*{kind}*.tsv) in {path}; found: {error}. Copy it "
            "again."
        ) from error


def _parse_bids_name(name: str) -> tuple[Flavor, str] | None:
    """Flavor and subject that a file name states; None for predictions and other files."""
    entities = parse_name(name)
    if not {"sub", "atlas", "meas"} <= set(entities) or PREDICTED_MARK in entities.get("desc", ""):
        return None
    try:
        return parse_meas(entities["meas"], entities["atlas"]), parse_subject(entities)
    except FlavorError:
        return None


def parse_subject(entities: Mapping[str, str]) -> str:
    """Label of a row, ``01`` or ``01_ses-1``, from the entities of a file name."""
    return entities["sub"] + (f"_ses-{entities['ses']}" if "ses" in entities else "")


def _parse_key(key: str) -> Flavor | None:
    try:
        return parse_flavor(key)
    except FlavorError:
        return None


def find_subjects(arrays: Mapping[str, Rows]) -> tuple[str, ...] | None:
    """Labels of the rows, without ``sub-``; None where the arrays hold none."""
    for key in SUBJECT_KEYS:
        if key in arrays:
            return tuple(_spell(value) for value in load_rows(arrays[key]).reshape(-1))
    return None


def _spell(value: Any) -> str:
    text = value.decode() if isinstance(value, bytes) else str(value)
    text = text.removesuffix(".0") if isinstance(value, float | np.floating) else text
    return text.strip().removeprefix("sub-")


def _check_exists(path: Path) -> None:
    # a pipe or a device exists too, and reading it may never end
    if not path.is_file() and not path.is_dir():
        raise InputError(
            f"expected connectomes (a file, a folder or a .zip, or FLAVOR=FILE); found no {path}. "
            "Check the path."
        )
