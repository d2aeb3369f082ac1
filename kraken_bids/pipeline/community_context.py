"""Communities of region series beside those of structure and of predictions."""

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kraken_bids.bids.outputs import (
    label_source,
    latents_path,
    prediction_archive_path,
    relmat_path,
    sidecar_path,
)
from kraken_bids.cohort.edge_mean import EdgeMean
from kraken_bids.cohort.members import Member
from kraken_bids.cohort.output_connectomes import Kind, list_kinds, read_edges
from kraken_bids.connectome.matrices import edges_to_square
from kraken_bids.exceptions import KrakenBidsError
from kraken_bids.flavors import Flavor
from kraken_bids.io.records import remove_records, write_records
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
                # which of the two the last run has written
                sidecar_path(latents_path(output_dir, member.subject, member.session)),
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
    """
    partitions: dict[str, Labels] = {DYNAMIC: found.labels}
    n_regions = len(found.labels)
    for name, kind in _name_kinds(members, atlas).items():
        mean = _average(output_dir, members, kind, n_regions)
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


def _name_kinds(members: Sequence[Member], atlas: str) -> dict[str, Kind]:
    """Name the kinds of connectomes whose communities are compared."""
    found: dict[str, Kind] = {}
    for flavor in _choose_flavors(members, atlas):
        found[f"measured {flavor.name}"] = Kind(flavor)
        if flavor.group == "FC":
            source = label_source(CROSS_MODAL[flavor.group])
            found[f"{flavor.name} predicted from structure"] = Kind(flavor, source)
    return found


def _average(
    output_dir: Path, members: Sequence[Member], kind: Kind, n_regions: int
) -> NDArray[np.floating] | None:
    """Mean square matrix over who has each edge; None where nobody's can be read."""
    mean = EdgeMean(n_regions * (n_regions - 1) // 2)
    for member in members:
        try:
            has = list_kinds(output_dir, member) if kind.source else map(Kind, member.connectomes)
            if kind in has:
                mean.add(read_edges(output_dir, member, kind, mean.n_edges))
        except (KrakenBidsError, OSError) as error:
            logger.debug("left out of the comparison of communities: %s", error)
    return edges_to_square(mean.result(None), diagonal=0.0) if mean.n_subjects else None
