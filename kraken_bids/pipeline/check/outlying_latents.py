"""People whose latents lie far from everyone else's."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from kraken_bids.bids.outputs import group_path
from kraken_bids.cohort.from_dataset import Member
from kraken_bids.cohort.sources import Source
from kraken_bids.io.writing import write_json, write_table
from kraken_bids.scores.novelty import MAX_Z, measure_distances


@dataclass(frozen=True)
class Distance:
    """How far one member's latent lies from the cohort's."""

    member: Member
    source: str
    distance: float
    """Euclidean, from the median latent."""
    z: float
    """Robust z-score of the distance among the cohort's."""

    @property
    def is_outlier(self) -> bool:
        """Whether it is farther than chance explains (robust z above 3.5)."""
        return self.z > MAX_Z


def find_outliers(members: Sequence[Member], sources: Sequence[Source]) -> list[Distance]:
    """Distance of every member's fused latents from the cohort's median, per fusion.

    Fewer than five members have no distances: a median of so few says little.
    """
    rows = []
    for source in sources:
        if not source.name.startswith("fusion"):
            continue
        distances, scores = measure_distances(source.latents)
        rows += [
            Distance(members[index], source.name, float(distances[index]), float(scores[index]))
            for index in np.flatnonzero(np.isfinite(scores)).tolist()
        ]
    return rows


def write_outliers(output_dir: Path, distances: Sequence[Distance]) -> None:
    """Write ``group/outliers.tsv``: every member's distance, the outliers marked."""
    path = group_path(output_dir, "outliers.tsv")
    write_table(path, {
        "participant_id": [f"sub-{d.member.subject}" for d in distances],
        "session_id": [f"ses-{d.member.session}" if d.member.session else "n/a"
                       for d in distances],
        "source": [d.source for d in distances],
        "distance": [d.distance for d in distances],
        "z": [d.z for d in distances],
        "outlier": [int(d.is_outlier) for d in distances],
    })  # fmt: skip
    write_json(path.with_suffix(".json"), {
        "Description": "Distance of each fused latent from the cohort's median latent",
        "z": {"Description": f"robust z-score; above {MAX_Z} is marked an outlier"},
    })  # fmt: skip
