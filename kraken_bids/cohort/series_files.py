"""Region series of single files: text, arrays, and samples of tars."""

import re
from codecs import BOM_UTF8
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kraken_bids.bids.names import split_extension
from kraken_bids.cohort.run_volumes import read_counts
from kraken_bids.exceptions import InputError
from kraken_bids.io.named_arrays import open_arrays
from kraken_bids.io.npz_rows import PackedRows
from kraken_bids.io.sample_tars import TarSample, list_samples
from kraken_bids.io.stored_rows import BROKEN, FileRows, Rows, load_array
from kraken_bids.io.tables import IN_NUMBERS, read_columns, read_header
from kraken_bids.io.text_matrices import parse_text_matrix
from kraken_bids.io.texts import read_bytes

Floats = NDArray[np.floating]
ARRAY_FILES = (".npy", ".npz", ".mat", ".h5", ".hdf5")
TEXT_FILES = (".tsv", ".csv", ".txt", ".1D", ".1d", ".dat")
BLANKS, DIGITS = re.compile(rb"[ \t,;\r]+"), re.compile(rb"\d+")
"""Between the numbers of a line of text; a number without point and exponent."""
FEWEST_NUMBERED = 3
"""Columns that a line of numbers numbers; fewer may rise by chance."""
SAMPLES = ".tar"
BOLD, REPETITION_TIME = "bold.pyd", "t_r.pyd"
LABELS = ("task_label", "task_name", "mental_state", "label_in_task", "label_across_tasks")
"""Members of a sample of a tar: [n_volumes, n_regions]; seconds; labels, as words, or as numbers
with the ending .pyd."""


@dataclass(frozen=True)
class RegionSeries:
    """The series of one scan."""

    name: str
    """File name without ending, of one of several scans in a file with its number or key; with the
    folder where others are called the same."""
    values: Floats
    """[n_volumes, n_regions]"""
    regions: tuple[str, ...]
    """Names of the regions; empty where the file has none."""
    counts: NDArray[np.float64] | None
    """Whether each volume counts [n_volumes]; None where nothing is known."""
    path: Path
    """The file."""
    repetition_time: float | None = None
    """In seconds, where the file holds it beside the values, as tars do."""
    labels: Mapping[str, str] = field(default_factory=dict)
    """Of a sample of a tar: its labels by name, numbers too as words."""


@dataclass(frozen=True)
class ScanOutline:
    """What a file says of one of its scans before its values are read."""

    name: str
    path: Path
    shape: tuple[int, ...]
    """Rows and columns; 0 where they need not be known."""
    has_columns: bool = False
    """Whether the regions are known to be in columns."""


def outline_scans(path: Path, variable: str) -> list[ScanOutline]:
    """Say which scans a file holds, and how long their axes are; nothing of it is kept in memory.

    Raises
    ------
    InputError
        If it is missing, or of a kind that is not read.
    """
    name, kind = split_extension(path)[0], _check_kind(path)
    if kind == SAMPLES:
        return [
            ScanOutline(_name_sample(one), path, (0, 0), has_columns=True)
            for one in list_samples(path)
        ]
    if kind in ARRAY_FILES:
        *several, n_rows, n_columns = _find_lengths(_open_stack(path, variable))
        names = [f"{name}_{k}" for k in range(1, several[0] + 1)] if several else [name]
        return [ScanOutline(one, path, (n_rows, n_columns)) for one in names]
    if _is_named(path):
        n_columns = 0
        with suppress(ValueError):  # read_scans says what is wrong with it
            n_columns = len(read_header(path))
        return [ScanOutline(name, path, (0, n_columns), has_columns=True)]
    regions, values = _read_text(path)
    return [ScanOutline(name, path, values.shape, has_columns=bool(regions))]


def read_scans(path: Path, variable: str) -> Iterator[RegionSeries]:
    """Yield the scans of a file one by one, in the order of :func:`outline_scans`.

    Raises
    ------
    InputError
        If the file is missing, damaged, or of a kind that is not read.
    """
    name, kind = split_extension(path)[0], _check_kind(path)
    if kind == SAMPLES:
        yield from map(_read_sample, list_samples(path))
    elif kind in ARRAY_FILES:
        rows = _open_stack(path, variable)
        for k, values in enumerate(_load_scans(rows), start=1):
            own = f"{name}_{k}" if len(rows.shape) == 3 else name
            yield RegionSeries(own, np.asarray(values, np.float64), (), None, path)
    else:
        regions, values = _read_named(path) if _is_named(path) else _read_text(path)
        yield RegionSeries(name, values, regions, read_counts(path, len(values)), path)


def _check_kind(path: Path) -> str:
    """Read the ending of a file of region series."""
    kind = path.suffix.lower()
    if not path.is_file():
        raise InputError(f"expected a file of region series; found nothing at {path}.")
    if kind not in (*ARRAY_FILES, SAMPLES) and path.suffix not in TEXT_FILES:
        raise InputError(
            f"expected region series ({', '.join((*TEXT_FILES, *ARRAY_FILES, SAMPLES))}); found "
            f"{path}."
        )
    return kind


def _name_sample(sample: TarSample) -> str:
    return sample.key.rpartition("/")[2]


def _read_sample(sample: TarSample) -> RegionSeries:
    values = sample.read_array(BOLD)
    if values.ndim != 2 or not values.size:
        raise InputError(
            f"expected [n_volumes, n_regions] in {sample.key}.{BOLD} of {sample.path}; found "
            f"shape {list(values.shape)}. Make the tar again."
        )
    numbers = {one for one in LABELS if f"{one}.pyd" in sample.places}
    labels = {one: f"{sample.read_number(f'{one}.pyd'):g}" for one in sorted(numbers)}
    words = {one: sample.read_text(one) for one in LABELS if one in sample.places}
    has_time = REPETITION_TIME in sample.places
    return RegionSeries(
        _name_sample(sample),
        np.asarray(values, np.float64),
        (),
        None,
        sample.path,
        sample.read_number(REPETITION_TIME) if has_time else None,
        labels | words,
    )


def _is_named(path: Path) -> bool:
    """Whether BIDS has the names of the regions above the table."""
    return path.suffix == ".tsv" and path.stem.endswith("_timeseries")


def _read_text(path: Path) -> tuple[tuple[str, ...], Floats]:
    content = read_bytes(path)
    first, _, rest = content.removeprefix(BOM_UTF8).lstrip(b"\r\n").partition(b"\n")
    is_numbered = _numbers_columns(first, rest.partition(b"\n")[0])
    # BIDS has names above every table; one of another tool may have none
    if path.suffix == ".tsv" and (is_numbered or first.translate(None, IN_NUMBERS)):
        names, values = _read_named(path)
        return tuple(f"{float(name):.0f}" for name in names) if is_numbered else names, values
    try:
        return (), parse_text_matrix(rest if is_numbered else content)[1]
    except BROKEN as error:
        raise InputError(
            f"expected a table of numbers in {path}, volumes in rows; found: {error}. Check the "
            "file."
        ) from error


def _read_named(path: Path) -> tuple[tuple[str, ...], Floats]:
    """Read a table with the names of the regions above its columns."""
    columns = read_columns(path)
    words = [name for name, own in columns.items() if own.dtype.kind != "f"]
    if words:
        raise InputError(
            f"expected numbers in every column of {path}; found words in {words[0]}. Give a "
            "table of region series, a column per region."
        )
    values = np.column_stack(list(columns.values()))
    return tuple(columns), values


def _numbers_columns(first: bytes, second: bytes) -> bool:
    """Whether a first line numbers columns: whole numbers, each larger than the one before.

    Numbers with a point or an exponent (``1.0e+00``) are such only where the next line has others
    than whole ones: a volume may be written so.
    """
    words = [word for word in BLANKS.split(first) if word]
    try:
        numbers = [float(word) for word in words]
    except ValueError:
        return False
    is_counted = len(numbers) >= FEWEST_NUMBERED and all(
        0 <= number < np.inf and number.is_integer() for number in numbers
    )
    if not (is_counted and all(one < other for one, other in pairwise(numbers))):
        return False
    return all(map(DIGITS.fullmatch, words)) or _has_fractions(second)


def _has_fractions(line: bytes) -> bool:
    """Whether a line of text has a number that is not whole."""
    for word in BLANKS.split(line):
        with suppress(ValueError):
            number = float(word)
            if np.isfinite(number) and not number.is_integer():
                return True
    return False


def _open_stack(path: Path, variable: str) -> Rows:
    """Open the array of a file that holds its scans; one of three axes holds several."""
    arrays = {name: own for name, own in open_arrays(path).items() if own.dtype.kind in "fiu"}
    if variable and path.suffix != ".npy":  # which has one, without a name
        arrays = {name: own for name, own in arrays.items() if name == variable}
    large = {
        name: own
        for name, own in arrays.items()
        if len(own.shape) in {2, 3} and min(own.shape) > 1
    }
    if len(large) != 1:
        known = ", ".join(f"{name} {_find_lengths(own)}" for name, own in arrays.items())
        raise InputError(
            f"expected one array [n_volumes, n_regions] (or [n_scans, n_volumes, n_regions]) in "
            f"{path}; found {known or 'none'}. Say which: --variable NAME."
        )
    return next(iter(large.values()))


def _find_lengths(rows: Rows) -> list[int]:
    """Lengths of the axes that the program has which wrote them."""
    lengths = list(rows.shape)
    return lengths[::-1] if getattr(rows, "is_reversed", False) else lengths


def _load_scans(rows: Rows) -> Iterator[NDArray[np.generic]]:
    """Yield one scan after the other, from the disk where they lie there one after the other."""
    if len(rows.shape) == 2:
        yield load_array(rows)
    elif isinstance(rows, FileRows | PackedRows):
        yield from (rows[k : k + 1][0] for k in range(rows.shape[0]))
    else:
        yield from load_array(rows)
