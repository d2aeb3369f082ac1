"""Region series of many scans, from files of any kind and from folders of kraken-bids."""

import logging
import re
from codecs import BOM_UTF8
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kraken_bids.bids.names import parse_name, split_extension
from kraken_bids.bids.outputs import CLEANED
from kraken_bids.cohort.run_volumes import read_counts
from kraken_bids.exceptions import ConnectomeError, InputError
from kraken_bids.io.named_arrays import read_arrays
from kraken_bids.io.stored_rows import BROKEN
from kraken_bids.io.tables import IN_NUMBERS, read_columns
from kraken_bids.io.text_matrices import parse_text_matrix
from kraken_bids.io.texts import read_bytes

logger = logging.getLogger(__name__)

Floats = NDArray[np.floating]
ARRAY_FILES = (".npy", ".npz", ".mat", ".h5", ".hdf5")
TEXT_FILES = (".tsv", ".csv", ".txt", ".1D", ".1d", ".dat")
NUMBERS_AS_NAMES = re.compile(rb"[ \t,;]*\d+(?:[ \t,;]+\d+){2,}[ \t,;\r]*")


@dataclass(frozen=True)
class RegionSeries:
    """The series of one scan."""

    name: str
    """File name without ending, of one of several scans in a file with its number; with the folder
    where others are called the same."""
    values: Floats
    """[n_volumes, n_regions]"""
    regions: tuple[str, ...]
    """Names of the regions; empty where the file has none."""
    counts: NDArray[np.float64] | None
    """Whether each volume counts [n_volumes]; None where nothing is known."""
    path: Path
    """The file."""


def read_region_series(
    words: Sequence[str | Path], *, atlas: str = "", variable: str = "", regions: str = ""
) -> list[RegionSeries]:
    """Read the region series that files and folders hold, every scan by itself.

    Parameters
    ----------
    words : sequence of str or Path
        Files: ``.tsv`` with the names of regions above its columns, other text (``.csv``,
        ``.txt``, ``.1D``) without, ``.npy``, ``.npz``, ``.mat``, ``.h5``; or folders that
        kraken-bids wrote, whose cleaned series are taken.
    atlas : str
        Of folders: whose series.
    variable : str
        Name of the array of ``.mat``, ``.npz`` and ``.h5`` files that hold several.
    regions : str
        Where the regions are in files without their names: ``columns`` or ``rows``. Else the axis
        that all scans share is theirs; where they share both, the columns, of which there must
        not be more than rows.

    Raises
    ------
    InputError
        If a file cannot be read or comes twice, a folder has no series of the atlas, or nothing
        says where the regions are.
    ConnectomeError
        If scans have other regions than the first one.
    """
    paths = [path for word in words for path in _list_files(Path(word), atlas)]
    twice = next((path for path, n in Counter(p.resolve() for p in paths).items() if n > 1), None)
    if twice:
        raise InputError(f"expected every file once; found {twice} twice.")
    scans = [scan for path in paths for scan in _read_file(path, variable)]
    scans = _orient(_tell_apart(scans), regions)
    check_regions(scans)
    return scans


def _tell_apart(scans: list[RegionSeries]) -> list[RegionSeries]:
    """Name scans by their folders too where files are called the same."""
    number = Counter(scan.name for scan in scans)
    scans = [
        replace(scan, name=f"{scan.path.absolute().parent.name}_{scan.name}")
        if number[scan.name] > 1
        else scan
        for scan in scans
    ]
    first: dict[str, Path] = {}
    for scan in scans:
        if scan.name in first:
            raise InputError(
                f"expected scans of different names; found {first[scan.name]} and {scan.path}, "
                "whose files would have the same name. Rename one of them."
            )
        first[scan.name] = scan.path
    return scans


def _list_files(path: Path, atlas: str) -> Iterable[Path]:
    if not path.is_dir():
        return [path]
    found = sorted(path.glob(f"sub-*/**/func/*_desc-{CLEANED}_timeseries.tsv"))
    atlases = {parse_name(one).get("atlas", "") for one in found}
    if not atlas and len(atlases) > 1:
        raise InputError(
            f"expected series of one atlas in {path}; found {', '.join(sorted(atlases))}. Say "
            "which: --atlas NAME."
        )
    own = [one for one in found if not atlas or parse_name(one).get("atlas") == atlas]
    if not own:
        raise InputError(
            f"expected cleaned region series{f' of {atlas}' if atlas else ''} in {path} "
            f"(sub-*/func/*_atlas-*_desc-{CLEANED}_timeseries.tsv); found those of "
            f"{', '.join(sorted(atlases)) or 'no atlas'}."
        )
    return own


def _read_file(path: Path, variable: str) -> list[RegionSeries]:
    name = split_extension(path)[0]
    if not path.is_file():
        raise InputError(f"expected a file of region series; found nothing at {path}.")
    if path.suffix.lower() in ARRAY_FILES:
        return [
            RegionSeries(name if k == "" else f"{name}_{k}", values, (), None, path)
            for k, values in _read_stack(path, variable)
        ]
    if path.suffix not in TEXT_FILES:
        raise InputError(
            f"expected region series ({', '.join((*TEXT_FILES, *ARRAY_FILES))}); found {path}."
        )
    regions, values = _read_text(path)
    return [RegionSeries(name, values, regions, read_counts(path, len(values)), path)]


def _read_text(path: Path) -> tuple[tuple[str, ...], Floats]:
    content = read_bytes(path)
    first, _, rest = content.removeprefix(BOM_UTF8).lstrip(b"\r\n").partition(b"\n")
    is_numbered = _has_numbers_as_names(first)
    # BIDS has names above every table; one of another tool may have none
    is_of_bids = path.stem.endswith("_timeseries")
    if path.suffix == ".tsv" and (is_of_bids or is_numbered or first.translate(None, IN_NUMBERS)):
        return _read_named(path)
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
    steps = np.diff(values, axis=0)
    counting = (len(steps) > 1) & (steps == steps[:1]).all(axis=0) & (steps != 0).any(axis=0)
    if counting.any():
        name = tuple(columns)[counting.argmax()]
        raise InputError(
            f"expected a region in every column of {path}; found {name}, which counts volumes or "
            "seconds. Leave this column out."
        )
    return tuple(columns), values


def _has_numbers_as_names(line: bytes) -> bool:
    """Whether a first line numbers columns: whole numbers, each larger than the one before."""
    if not NUMBERS_AS_NAMES.fullmatch(line):
        return False
    numbers = [int(word) for word in re.findall(rb"\d+", line)]
    return all(one < other for one, other in pairwise(numbers))


def _read_stack(path: Path, variable: str) -> list[tuple[str, Floats]]:
    """Read the scans of a file, with what tells them apart; three axes hold several."""
    arrays = {name: own for name, own in read_arrays(path).items() if own.dtype.kind in "fiu"}
    if variable and path.suffix != ".npy":  # which has one, without a name
        arrays = {name: own for name, own in arrays.items() if name == variable}
    large = {
        name: own for name, own in arrays.items() if own.ndim in {2, 3} and min(own.shape) > 1
    }
    if len(large) != 1:
        known = ", ".join(f"{name} {list(own.shape)}" for name, own in arrays.items())
        raise InputError(
            f"expected one array [n_volumes, n_regions] (or [n_scans, n_volumes, n_regions]) in "
            f"{path}; found {known or 'none'}. Say which: --variable NAME."
        )
    values = np.asarray(next(iter(large.values())), np.float64)
    if values.ndim == 2:
        return [("", values)]
    return [(str(k), own) for k, own in enumerate(values, start=1)]


def _orient(scans: list[RegionSeries], regions: str) -> list[RegionSeries]:
    """Turn arrays whose regions are in rows."""
    if regions == "columns":
        return scans
    unknown = [scan for scan in scans if not scan.regions]
    if not unknown:
        return scans
    shared = _find_shared(unknown, {len(scan.regions) for scan in scans if scan.regions})
    found = []
    for scan in scans:
        rows, columns = scan.values.shape
        if not scan.regions and not regions and shared is None and columns > rows:
            raise InputError(
                f"expected regions in columns or rows; found {rows} rows and {columns} columns in "
                f"{scan.path}, and nothing says which they are. Say it: --regions columns or "
                "--regions rows."
            )
        if scan.regions or not (regions == "rows" or rows == shared != columns):
            found.append(scan)
            continue
        if not regions:
            logger.warning(
                "%s: its %d rows are taken for regions and its %d columns for volumes",
                scan.path, rows, columns,
            )  # fmt: skip
        found.append(replace(scan, values=scan.values.T))
    return found


def _find_shared(scans: Sequence[RegionSeries], named: set[int]) -> int | None:
    """Find the number of regions, where all scans have just one length in common."""
    common = set.intersection(*({*scan.values.shape} for scan in scans))
    common = common & named or common
    return next(iter(common)) if len(common) == 1 else None


def check_regions(scans: Sequence[RegionSeries]) -> None:
    """Raise ConnectomeError unless all scans have the regions of the first, in its order."""
    first = scans[0]
    for scan in scans[1:]:
        if scan.values.shape[1] != first.values.shape[1]:
            raise ConnectomeError(
                f"{scan.path}: expected {first.values.shape[1]} regions, as {first.path} has; "
                f"found {scan.values.shape[1]}. Give scans of one atlas."
            )
        if scan.regions and first.regions and scan.regions != first.regions:
            other = next(b for a, b in zip(first.regions, scan.regions, strict=True) if a != b)
            raise ConnectomeError(
                f"{scan.path}: expected the regions of {first.path} in the same order; found "
                f"{other} where they differ first. Give scans of one atlas."
            )
