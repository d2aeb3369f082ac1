"""What the last search for the communities of an atlas has written, read back."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kraken_bids.bids.outputs import sidecar_path
from kraken_bids.cohort.sidecar_records import ORIGIN
from kraken_bids.io.facts import read_facts, read_table
from kraken_bids.pipeline.community_places import LABEL, Places, presence_beside


@dataclass(frozen=True)
class ScanPresence:
    """When communities are present in one scan."""

    presence: NDArray[np.float64]
    """[n_volumes, n_communities]; NaN in volumes that do not count."""
    repetition_time: float | None
    """Seconds; None where it is not known."""


@dataclass(frozen=True)
class WrittenCommunities:
    """The communities of one atlas in OUTPUT_DIR."""

    names: tuple[str, ...]
    """Of the communities."""
    regions: tuple[str, ...]
    labels: NDArray[np.intp]
    """Community of each region; -1 without one."""
    gamma: float
    seed: int
    scans: Mapping[Path, ScanPresence]
    """By the region series that was searched."""


def list_scans(output_dir: Path, places: Places) -> list[Path]:
    """List the region series whose presence is written."""
    record = read_facts(sidecar_path(places.table("history")))
    lacking = set(record.texts("SourcesNotWritten"))
    sources = [one for one in record.texts(ORIGIN.sources) if one not in lacking]
    return [output_dir / source.removeprefix("bids::") for source in sources]


def list_written(places: Places, scans: Iterable[Path]) -> list[Path]:
    """List the tables that :func:`read_communities` reads."""
    return [places.table(LABEL), places.regions("dseg"), *map(presence_beside, scans)]


def read_communities(output_dir: Path, places: Places) -> WrittenCommunities:
    """Read the communities of an atlas and their presence.

    Parameters
    ----------
    places : Places
        In this folder, of the atlas.

    Raises
    ------
    InputError
        If a file is missing or damaged.
    """
    settings = read_facts(sidecar_path(places.table("history"))).part("Settings")
    names = tuple(read_table(places.table(LABEL), texts=("community",))["community"])
    table = read_table(places.regions("dseg"), texts=("name", "community"))
    number = {name: k for k, name in enumerate(names)}
    scans = {}
    for path in list_scans(output_dir, places):
        presence = presence_beside(path)
        columns = read_table(presence, numbers=names)
        scans[path] = ScanPresence(
            np.column_stack([columns[name] for name in names]),
            read_facts(sidecar_path(presence)).number("RepetitionTime"),
        )
    return WrittenCommunities(
        tuple(map(str, names)),
        tuple(map(str, table["name"])),
        np.array([number.get(name, -1) for name in table["community"]], np.intp),
        settings.number("gamma") or 0.0,
        settings.count("seed") or 0,
        scans,
    )
