"""Communities beside structure, predictions and events of a task."""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kraken_bids.bids.names import parse_name
from kraken_bids.bids.outputs import OUTPUT, prediction_archive_path, relmat_path
from kraken_bids.cohort.from_dataset import Member
from kraken_bids.cohort.region_series import NOT_OF_RUN, RegionSeries
from kraken_bids.connectome.matrices import edges_to_square, square_to_edges
from kraken_bids.exceptions import KrakenBidsError
from kraken_bids.flavors import Flavor
from kraken_bids.io.foreign_hdf5 import read_dataset
from kraken_bids.io.records import column, write_records
from kraken_bids.io.tables import read_columns, read_relmat
from kraken_bids.io.writing import write_table
from kraken_bids.models.communities.comparison import (
    Labels,
    compare_partitions_by_name,
    name_as,
    partition_connectome,
)
from kraken_bids.models.communities.event_locking import EventScan, lock_to_events
from kraken_bids.pipeline.community_files import CommunityResult, read_repetition_time
from kraken_bids.pipeline.community_places import Places
from kraken_bids.scores.quality_control import CROSS_MODAL

logger = logging.getLogger(__name__)

DYNAMIC = "dynamic"
"""Name of the partition of the region series."""


@dataclass(frozen=True)
class PartitionPair:
    """How far the communities of two kinds of data agree."""

    one: str = column("what the first partition was found in")
    other: str = column("what the second was found in")
    mutual_information: float = column("adjusted mutual information; 0 by chance, 1 the same")
    rand_index: float = column("adjusted Rand index; 0 by chance, 1 the same")
    n_regions: int = column("regions that are in a community of both")


@dataclass(frozen=True)
class EventRow:
    """Presence of one community at one time after the events of one kind."""

    trial_type: str = column()
    community: str = column()
    lag: float = column("seconds after the event")
    presence: float = column("mean presence, less its mean in the scan")
    low: float = column("2.5th percentile of events at random times")
    high: float = column("97.5th percentile of them")
    p: float = column("of the community's largest deviation over all lags")
    n_events: int = column("events that were averaged")


def write_modalities(
    output_dir: Path, members: Sequence[Member], *, result: CommunityResult, places: Places
) -> None:
    """Compare the communities of series, measured FC, SC, and FC predicted from SC.

    Partitions of mean connectomes, found with the gamma of the search, are numbered as the
    dynamic communities that they overlap most. Nothing is written without a connectome.

    Parameters
    ----------
    output_dir : Path
    members : sequence of Member
    result : CommunityResult
    places : Places
    """
    partitions: dict[str, Labels] = {DYNAMIC: result.found.labels}
    n_regions = len(result.found.labels)
    atlas = parse_name(result.scans[0].path).get("atlas", "")
    for name, squares in _list_modalities(output_dir, members, atlas).items():
        mean = _average(squares, n_regions)
        if mean is not None:
            labels = partition_connectome(mean, gamma=result.found.settings.gamma)
            partitions[name] = name_as(result.found.labels, labels)
    if len(partitions) == 1:
        return
    pairs = [
        PartitionPair(one.one, one.other, one.mutual_information, one.rand_index, one.n_regions)
        for one in compare_partitions_by_name(partitions)
    ]
    write_records(
        places.table("agreement"),
        [PartitionPair],
        [[one] for one in pairs],
        description="Agreement of communities of different data",
    )
    write_table(places.table("modalities"), {
        "index": list(range(1, n_regions + 1)),
        "name": list(result.regions),
        **{
            name: [f"C{label + 1}" if label >= 0 else None for label in labels]
            for name, labels in partitions.items()
        },
    })  # fmt: skip


def _list_modalities(
    output_dir: Path, members: Sequence[Member], atlas: str
) -> dict[str, Iterator[NDArray[np.float64]]]:
    """Square matrices of everyone, read when they are asked for, by what they are of."""
    found: dict[str, Iterator[NDArray[np.float64]]] = {}
    flavors = sorted({f for m in members for f in m.connectomes if f.parcellation == atlas})
    for group in ("FC", "SC"):
        own = [f for f in flavors if f.group == group]
        if not own:
            continue
        flavor = min(own, key=lambda f: (f.measure not in {"FCcorr", "SCifod2act"}, f.processing))
        found[f"measured {flavor.name}"] = _read_all(_list_measured(members, flavor))
        if group == "FC":
            predicted = [partial(_read_predicted, output_dir, m, flavor) for m in members]
            found[f"{flavor.name} predicted from structure"] = _read_all(predicted)
    return found


def _list_measured(
    members: Sequence[Member], flavor: Flavor
) -> list[Callable[[], NDArray[np.float64]]]:
    own = [member.connectomes[flavor] for member in members if flavor in member.connectomes]
    return [partial(read_relmat, path) for path in own]


def _read_predicted(output_dir: Path, member: Member, flavor: Flavor) -> NDArray[np.float64]:
    source = CROSS_MODAL[flavor.group]
    path = relmat_path(output_dir, member.entities, flavor, source=source)
    if path.exists():
        return read_relmat(path)
    archive = prediction_archive_path(output_dir, member.subject, member.session)
    return np.asarray(read_dataset(OUTPUT, archive, f"{source}/{flavor.name}"), np.float64)


def _read_all(
    readers: Sequence[Callable[[], NDArray[np.float64]]],
) -> Iterator[NDArray[np.float64]]:
    """Read what can be read; what is missing or damaged is passed over."""
    for read in readers:
        try:
            yield read()
        except (KrakenBidsError, OSError) as error:
            logger.debug("left out of the comparison of communities: %s", error)


def _average(squares: Iterator[NDArray[np.float64]], n_regions: int) -> NDArray[np.float64] | None:
    """Mean over who has each edge; None without anyone of so many regions."""
    total, count = np.zeros((2, n_regions * (n_regions - 1) // 2))
    for square in squares:
        if square.shape == (n_regions, n_regions):
            edges = square_to_edges(square)
            total += np.nan_to_num(edges)
            count += np.isfinite(edges)
    if not count.any():
        return None
    mean = np.where(count > 0, total / np.maximum(count, 1), np.nan)
    return np.asarray(edges_to_square(mean, diagonal=0.0), np.float64)


def write_events(bids_dir: Path, result: CommunityResult, places: Places) -> None:
    """Average presence around the events of each kind; nothing is written without events.

    Parameters
    ----------
    bids_dir : Path
        Raw dataset with ``events.tsv`` files.
    result : CommunityResult
    places : Places
    """
    scans = _gather_events(bids_dir, result)
    rows = []
    for trial_type, own in sorted(scans.items()):
        try:
            found = lock_to_events(own, seed=result.found.settings.seed)
        except KrakenBidsError as error:
            logger.warning("events %s: %s", trial_type, error)
            continue
        for k, community in enumerate(result.names):
            if not (result.found.labels == k).any():
                continue
            for row, lag in enumerate(found.lags):
                point = (found.mean[row, k], found.low[row, k], found.high[row, k], found.p[k])
                mean, low, high, p = map(float, point)
                one = EventRow(
                    trial_type, community, float(lag), mean, low, high, p, found.n_events
                )
                rows.append([one])
    if rows:
        write_records(
            places.table("events"),
            [EventRow],
            rows,
            description="Presence of communities around events of a task",
        )


def _gather_events(bids_dir: Path, result: CommunityResult) -> dict[str, list[EventScan]]:
    """Gather the scans with events of each kind."""
    found: dict[str, list[EventScan]] = {}
    for scan, presence in zip(result.scans, result.found.presence, strict=True):
        repetition_time = read_repetition_time(scan)
        for trial_type, onsets in _read_events(bids_dir, scan).items():
            if repetition_time:
                own = EventScan(presence, repetition_time, onsets)
                found.setdefault(trial_type, []).append(own)
    return found


def find_events(bids_dir: Path, series: Path) -> Path | None:
    """Find the ``events.tsv`` that holds for a scan, by the inheritance principle of BIDS.

    Parameters
    ----------
    bids_dir : Path
        Raw dataset.
    series : Path
        Region series of the scan.
    """
    entities = _name_run(series)
    if "sub" not in entities:
        return None
    subject = bids_dir / f"sub-{entities['sub']}"
    session = subject / f"ses-{entities['ses']}" if "ses" in entities else subject
    for folder in dict.fromkeys((session / "func", session, subject, bids_dir)):
        own = {path: _name_run(path) for path in sorted(folder.glob("*_events.tsv"))}
        holding = [p for p, of in own.items() if "task" in of and of.items() <= entities.items()]
        if holding:
            return max(holding, key=lambda path: len(own[path]))
    return None


def _name_run(path: Path) -> dict[str, str]:
    return {k: v for k, v in parse_name(path).items() if k not in NOT_OF_RUN}


def _read_events(bids_dir: Path, scan: RegionSeries) -> Mapping[str, NDArray[np.float64]]:
    """Onsets of each kind in the ``events.tsv`` of a scan; empty where there is none."""
    path = find_events(bids_dir, scan.path)
    if path is None:
        return {}
    try:
        columns = read_columns(path)
    except KrakenBidsError as error:
        logger.warning("%s", error)
        return {}
    onsets = columns.get("onset")
    if onsets is None or onsets.dtype.kind != "f":
        logger.warning("%s: expected a column onset of numbers; found none", path)
        return {}
    kinds = columns.get("trial_type", np.full(len(onsets), "event"))
    kinds = np.asarray([str(kind) for kind in kinds])
    return {
        kind: onsets[(kinds == kind) & np.isfinite(onsets)]
        for kind in np.unique(kinds)
        if kind not in {"n/a", "nan"}
    }
