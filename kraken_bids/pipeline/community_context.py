"""Communities of region series beside those of structure and of predictions."""

import logging
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kraken_bids.bids.outputs import OUTPUT, prediction_archive_path, relmat_path, sidecar_path
from kraken_bids.cohort.from_dataset import Member
from kraken_bids.connectome.matrices import edges_to_square, square_to_edges
from kraken_bids.exceptions import KrakenBidsError
from kraken_bids.flavors import Flavor
from kraken_bids.io.foreign_hdf5 import read_dataset
from kraken_bids.io.records import remove_records, write_records
from kraken_bids.io.tables import read_relmat
from kraken_bids.io.writing import write_json, write_table
from kraken_bids.models.communities.comparison import (
    Agreement,
    Labels,
    compare_partitions_by_name,
    name_as,
    partition_connectome,
)
from kraken_bids.pipeline.community_places import Places
from kraken_bids.pipeline.written_communities import WrittenCommunities
from kraken_bids.scores.quality_control import CROSS_MODAL

logger = logging.getLogger(__name__)

DYNAMIC = "dynamic"
"""Name of the partition of the region series."""


def list_compared(output_dir: Path, members: Sequence[Member], atlas: str) -> list[Path]:
    """List the files of the connectomes that communities of an atlas are compared with."""
    found = []
    for flavor in _choose_flavors(members, atlas):
        source = CROSS_MODAL[flavor.group]
        for member in members:
            found += [member.connectomes[flavor]] if flavor in member.connectomes else []
            found += [
                relmat_path(output_dir, member.entities, flavor, source=source),
                prediction_archive_path(output_dir, member.subject, member.session),
            ]
    return found


def write_modalities(
    output_dir: Path,
    members: Sequence[Member],
    atlas: str,
    *,
    found: WrittenCommunities,
    places: Places,
) -> None:
    """Compare the communities of series, measured FC, SC, and FC predicted from SC.

    Partitions of mean connectomes, found with the gamma of the search, are numbered as the
    dynamic communities that they overlap most. Nothing is written without a connectome, and what
    was is removed.

    Parameters
    ----------
    output_dir : Path
    members : sequence of Member
    atlas : str
    found : WrittenCommunities
    places : Places
    """
    partitions: dict[str, Labels] = {DYNAMIC: found.labels}
    n_regions = len(found.labels)
    for name, squares in _list_modalities(output_dir, members, atlas).items():
        mean = _average(squares, n_regions)
        if mean is not None:
            labels = partition_connectome(mean, gamma=found.gamma)
            partitions[name] = name_as(found.labels, labels)
    if len(partitions) == 1:
        remove_records(places.table("agreement"))
        remove_records(places.table("modalities"))
        return
    write_records(
        places.table("agreement"),
        [Agreement],
        [[one] for one in compare_partitions_by_name(partitions)],
        description="Agreement of communities of different data",
    )
    write_json(sidecar_path(places.table("modalities")), {
        "Description": "Community of each region in different data, numbered alike"
    })  # fmt: skip
    write_table(places.table("modalities"), {
        "index": list(range(1, n_regions + 1)),
        "name": list(found.regions),
        **{
            name: [f"C{label + 1}" if label >= 0 else None for label in labels]
            for name, labels in partitions.items()
        },
    })  # fmt: skip


def _choose_flavors(members: Sequence[Member], atlas: str) -> list[Flavor]:
    """Choose a flavor of FC and one of SC, where there are any."""
    flavors = {f for m in members for f in m.connectomes if f.parcellation == atlas}
    return [
        min(own, key=lambda f: (f.measure not in {"FCcorr", "SCifod2act"}, f.processing, f.name))
        for group in ("FC", "SC")
        if (own := [f for f in flavors if f.group == group])
    ]


def _list_modalities(
    output_dir: Path, members: Sequence[Member], atlas: str
) -> dict[str, Iterator[NDArray[np.float64]]]:
    """Square matrices of everyone, read when they are asked for, by what they are of."""
    found: dict[str, Iterator[NDArray[np.float64]]] = {}
    for flavor in _choose_flavors(members, atlas):
        found[f"measured {flavor.name}"] = _read_all(_list_measured(members, flavor))
        if flavor.group == "FC":
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
