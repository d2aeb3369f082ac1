"""Where the files of dynamic communities go, and what of an earlier search is removed."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from kraken_bids.bids.outputs import CLEANED, group_path, sidecar_path
from kraken_bids.bids.uris import bids_uri
from kraken_bids.cohort.series_files import RegionSeries
from kraken_bids.io.records import remove_records

logger = logging.getLogger(__name__)

LABEL = "communities"
"""``desc-`` of every file of communities."""


@dataclass(frozen=True)
class Places:
    """Where the files of communities go."""

    regions: Callable[[str], Path]
    """Of a table of regions, by its suffix: ``probseg``, ``dseg``."""
    table: Callable[[str], Path]
    """Of another table, by its name: ``metrics``, ``communities``, ``history``, ``resolution``."""
    presence: Callable[[RegionSeries], Path]
    """Of the presence in a scan."""
    picture: Callable[[RegionSeries], Path] | None
    """Of its picture; None where the page of the participant draws it."""
    source: Callable[[Path], str]
    """How sidecars name a file."""


def places_in_folder(folder: Path) -> Places:
    """Give the places in a folder of one's own."""
    return Places(
        lambda suffix: folder / f"desc-{LABEL}_{suffix}.tsv",
        lambda name: folder / f"{name}.tsv",
        lambda scan: folder / f"{name_run(scan)}_desc-{LABEL}_timeseries.tsv",
        lambda scan: folder / "figures" / f"{name_run(scan)}_presence.png",
        partial(bids_uri, datasets=()),
    )


def places_in_dataset(output_dir: Path, atlas: str) -> Places:
    """Give the places in OUTPUT_DIR: of the group, and beside the series of each scan."""
    start = f"atlas-{atlas}_desc-{LABEL}"
    return Places(
        lambda suffix: group_path(output_dir, f"{start}_{suffix}.tsv"),
        lambda name: group_path(output_dir, f"{start}_{name}.tsv"),
        lambda scan: presence_beside(scan.path),
        None,
        partial(bids_uri, datasets=(), output_dir=output_dir),
    )


def remove_earlier(
    output_dir: Path, atlas: str, places: Places, scans: Sequence[RegionSeries]
) -> None:
    """Remove what an earlier search in OUTPUT_DIR has left and this one does not write again.

    Its numbers of communities are others: presence of scans that are no longer searched would
    seem to be of the communities that are found now.

    Parameters
    ----------
    scans : sequence of RegionSeries
        Those that are searched now.
    """
    sidecar_path(places.table("history")).unlink(missing_ok=True)
    for name in ("agreement", "modalities", "events"):
        remove_records(places.table(name))
    kept = {places.presence(scan) for scan in scans}
    old = output_dir.glob(f"sub-*/**/func/*_atlas-{atlas}_desc-{LABEL}_timeseries.tsv")
    gone = [path for path in old if path not in kept]
    for path in gone:
        remove_records(path)
    if gone:
        logger.warning(
            "presence of %s communities in %d scan(s) of an earlier search is removed: they are "
            "not among the scans of this one",
            atlas, len(gone),
        )  # fmt: skip


def presence_beside(series: Path) -> Path:
    """Give the place of presence in a scan, beside its region series in OUTPUT_DIR."""
    return series.with_name(f"{_shorten(series.stem)}_desc-{LABEL}_timeseries.tsv")


def name_run(scan: RegionSeries) -> str:
    """Name of a scan without what says that it is a series of regions."""
    return _shorten(scan.name)


def _shorten(name: str) -> str:
    return name.removesuffix("_timeseries").replace(f"_desc-{CLEANED}", "")
