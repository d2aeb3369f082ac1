"""Region series of many scans, from files of any kind and from folders of kraken-bids."""

import logging
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from kraken_bids.bids.names import parse_name
from kraken_bids.bids.outputs import CLEANED
from kraken_bids.cohort.region_columns import find_columns
from kraken_bids.cohort.series_files import (
    SAMPLES,
    RegionSeries,
    ScanOutline,
    outline_scans,
    read_scans,
)
from kraken_bids.exceptions import ConnectomeError, InputError, name_few

logger = logging.getLogger(__name__)

EVEN, LONG = 0.01, 10
"""Share of its mean by which each step of a column that counts may differ from it, where there
are so many steps; else they are equal."""


def read_region_series(
    words: Sequence[str | Path], *, atlas: str = "", variable: str = "", regions: str = ""
) -> list[RegionSeries]:
    """Read the region series that files and folders hold, all into memory.

    As :func:`stream_region_series`, which yields them one by one.
    """
    return list(stream_region_series(words, atlas=atlas, variable=variable, regions=regions))


def stream_region_series(
    words: Sequence[str | Path], *, atlas: str = "", variable: str = "", regions: str = ""
) -> Iterator[RegionSeries]:
    """Yield the region series that files and folders hold, every scan by itself.

    One scan at a time is in memory; of a text or ``.mat`` file all that it holds. Text without the
    names of regions is read twice, since all files may tell together where the regions are.

    Parameters
    ----------
    words : sequence of str or Path
        Files: ``.tsv`` with the names of regions above its columns, other text (``.csv``,
        ``.txt``, ``.1D``) without, ``.npy``, ``.npz``, ``.mat``, ``.h5``, WebDataset ``.tar``; or
        folders that kraken-bids wrote, whose cleaned series are taken.
    atlas : str
        Of folders: whose series.
    variable : str
        Name of the array of ``.mat``, ``.npz`` and ``.h5`` files that hold several.
    regions : str
        Where the regions are in files without their names: ``columns`` or ``rows``. Else the axis
        that all scans share is theirs; where they share both, the columns, of which there must
        not be more than rows. In tars they are in columns.

    Raises
    ------
    InputError
        If a file cannot be read or comes twice, a folder has no series of the atlas, or nothing
        says where the regions are.
    ConnectomeError
        If scans have other regions than the first one. Where names say that they are the same in
        another order, they are put into that of the first that has names.
    """
    paths = [path for word in words for path in _list_files(Path(word), atlas)]
    twice = next((path for path, n in Counter(p.resolve() for p in paths).items() if n > 1), None)
    if twice:
        raise InputError(f"expected every file once; found {twice} twice.")
    outlines = [one for path in paths for one in outline_scans(path, variable)]
    names, turned = _tell_apart(outlines), _find_turned(outlines, regions)
    scans = (scan for path in paths for scan in read_scans(path, variable))
    first: RegionSeries | None = None
    for scan, name, is_turned in zip(scans, names, turned, strict=True):
        values = scan.values.T if is_turned else scan.values
        # only the shape of the first one is kept, and names of the first that has any
        first = first or replace(scan, values=np.broadcast_to(0.0, values.shape))
        if not first.regions:
            first = replace(scan, values=first.values)
        found = align_regions(replace(scan, name=name, values=values), first)
        _check_columns(found)
        yield found


def _check_columns(scan: RegionSeries) -> None:
    """Refuse an index of the volumes, or their times, among the regions."""
    steps = np.diff(scan.values, axis=0)
    if len(steps) < 2:
        return
    # seconds are rounded; a few volumes may rise about evenly by chance
    is_long = len(steps) >= LONG
    step, tolerance = (steps.mean(axis=0), EVEN) if is_long else (steps[0], 0.0)
    counting = (step != 0) & (np.abs(steps - step) <= tolerance * np.abs(step)).all(axis=0)
    if counting.any():
        column = int(counting.argmax())
        name = scan.regions[column] if scan.regions else f"column {column + 1}"
        raise InputError(
            f"expected a region in every column of {scan.path}; found {name}, which counts "
            "volumes or seconds. Leave this column out."
        )


def _tell_apart(scans: Sequence[ScanOutline]) -> list[str]:
    """Name scans by their folders too where files are called the same."""
    number = Counter(scan.name for scan in scans)
    names = [
        f"{scan.path.absolute().parent.name}_{scan.name}" if number[scan.name] > 1 else scan.name
        for scan in scans
    ]
    first: dict[str, Path] = {}
    for scan, name in zip(scans, names, strict=True):
        if name in first:
            what = "Rename one of them."
            if scan.path.suffix.lower() == SAMPLES:
                what = "Leave one tar out, or make it again with other names of samples."
            raise InputError(
                f"expected scans of different names; found {name} in {first[name]} and in "
                f"{scan.path}. {what}"
            )
        first[name] = scan.path
    return names


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


def _find_turned(scans: Sequence[ScanOutline], regions: str) -> list[bool]:
    """Find the scans whose regions are in rows."""
    unknown = [scan for scan in scans if not scan.has_columns]
    if regions == "columns" or not unknown:
        return [False] * len(scans)
    named = {scan.shape[1] for scan in scans if scan.has_columns and scan.shape[1]}
    shared = _find_shared(unknown, named)
    return [not scan.has_columns and _is_turned(scan, regions, shared) for scan in scans]


def _is_turned(scan: ScanOutline, regions: str, shared: int | None) -> bool:
    rows, columns = scan.shape
    if regions:
        return regions == "rows"
    if shared is None and columns > rows:
        raise InputError(
            f"expected regions in columns or rows; found {rows} rows and {columns} columns in "
            f"{scan.path}, and nothing says which they are. Say it: --regions columns or "
            "--regions rows."
        )
    if rows == shared != columns:
        logger.warning(
            "%s: its %d rows are taken for regions and its %d columns for volumes",
            scan.path, rows, columns,
        )  # fmt: skip
        return True
    return False


def _find_shared(scans: Sequence[ScanOutline], named: set[int]) -> int | None:
    """Find the number of regions, where all scans have just one length in common."""
    common = set.intersection(*({*scan.shape} for scan in scans))
    common = common & named or common
    return next(iter(common)) if len(common) == 1 else None


def align_regions(scan: RegionSeries, like: RegionSeries) -> RegionSeries:
    """Give a scan with the regions of another one, in its order; their names say which they are.

    Raises
    ------
    ConnectomeError
        If it has other regions.
    """
    n_regions = like.values.shape[1]
    if scan.values.shape[1] != n_regions:
        raise ConnectomeError(
            f"{scan.path}: expected {n_regions} regions, as {like.path} has; "
            f"found {scan.values.shape[1]}. Give scans of one atlas."
        )
    if not (scan.regions and like.regions) or scan.regions == like.regions:
        return scan
    atlas = parse_name(f"{like.name}_").get("atlas", "")
    order, missing = find_columns(scan.regions, like.regions, atlas)
    if missing or len(set(order.tolist())) < n_regions:
        others = [name for name in scan.regions if name not in like.regions]
        raise ConnectomeError(
            f"{scan.path}: expected the regions of {like.path}, in any order; found "
            f"{name_few(others)}, and none called {name_few(missing)}. Give scans of one atlas."
        )
    logger.info("%s: regions put into the order of %s by their names", scan.path, like.path)
    return replace(scan, values=scan.values[:, order], regions=like.regions)
