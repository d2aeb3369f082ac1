"""Mean relevance of each state over volumes of subjects held out, and what it is worth."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kraken_bids.bids.names import format_name
from kraken_bids.io.files import make_folder
from kraken_bids.io.records import write_records
from kraken_bids.models.decoding_records import (
    BY_CHANCE,
    BY_RELEVANCE,
    EVERYTHING,
    MAPS,
    DeletedShare,
    WeightsCheck,
)
from kraken_bids.models.volumes.checked_relevance import (
    SHARES,
    check_relevance,
    randomise_decoder,
)
from kraken_bids.models.volumes.network import VolumeNetwork
from kraken_bids.pipeline.decoding.decoding_tables import write_checks
from kraken_bids.pipeline.decoding.held_out_trials import Indices
from kraken_bids.pipeline.progress import Progress
from kraken_bids.pipeline.volumes.decoding_request import name_states, spell_states
from kraken_bids.pipeline.volumes.labelled_volumes import CachedVolumes
from kraken_bids.pipeline.volumes.relevance_images import describe_relevance, write_mean_map

Arrays = NDArray[np.generic]

MOST_VOLUMES = 6
"""Volumes of a state and fold that are explained, drawn by chance from more."""
PREFIX = "relevance_"
UNITS = (
    "part of the logit of the state that a volume was acquired in (no unit): all voxels add up to "
    "the share of it that ArrivedShare says"
)


@dataclass(frozen=True)
class HeldOutRelevance:
    """Relevance of some volumes of a fold, each for its own state; adds up over folds."""

    sums: NDArray[np.float32]
    """Over the volumes of each state [n_states, x, y, z]."""
    counts: Indices
    """Volumes of each state."""
    logits: NDArray[np.float64]
    """Of each volume."""
    arrived: NDArray[np.float64]
    """Sum of each volume's relevance."""
    correlations: NDArray[np.float64]
    """Of each volume with random weights."""
    deleted: NDArray[np.float64]
    """[n_volumes, 2, n_shares], as of one volume."""

    def to_arrays(self) -> dict[str, Arrays]:
        """Give arrays, to be kept until all folds are done."""
        return {f"{PREFIX}{name}": values for name, values in vars(self).items()}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Any]) -> "HeldOutRelevance":
        """Read what :meth:`to_arrays` gave."""
        return cls(**{name.removeprefix(PREFIX): values for name, values in arrays.items()})

    @property
    def arrived_share(self) -> float:
        """Share of the logits that arrived at the voxels; NaN where all logits are 0."""
        total = float(np.abs(self.logits).sum())
        return float((np.sign(self.logits) * self.arrived).sum()) / total if total else np.nan


def explain_held_out(
    network: VolumeNetwork, cached: CachedVolumes, rows: Indices, *, seed: int, n_threads: int = 1
) -> HeldOutRelevance:
    """Explain volumes that were held out: the logit of the state that each was acquired in.

    Parameters
    ----------
    network : VolumeNetwork
        Trained on others, in evaluation mode.
    rows : int array
        Volumes held out; of each state :data:`MOST_VOLUMES` at most are explained.
    seed : int
        Of the choice, of random weights, and of voxels deleted by chance.
    """
    labels, rng = cached.volumes.labels, np.random.default_rng([seed, 3])
    chosen = cached.volumes.draw(rows, rng, at_most=MOST_VOLUMES)
    other = randomise_decoder(network, seed=seed)
    shape = len(cached.volumes.classes), *cached.cache.grid
    sums = np.zeros(shape, np.float32)
    told, deleted = [], []
    progress = Progress("volumes held out: explained", len(chosen))
    for row in chosen.tolist():
        one = check_relevance(
            network, other, cached.cache.read([row])[0], int(labels[row]),
            mask=cached.cache.find_mask(row), rng=rng, n_threads=n_threads,
        )  # fmt: skip
        sums[labels[row]] += one.relevance
        told.append((one.logit, one.relevance.sum(dtype=np.float64), one.correlation))
        deleted.append(one.deleted)
        progress.advance()
    counts = np.bincount(labels[chosen], minlength=len(sums)).astype(np.intp)
    logits, arrived, correlations = np.array(told, np.float64).T
    return HeldOutRelevance(sums, counts, logits, arrived, correlations, np.array(deleted))


def add_relevance(parts: Sequence[HeldOutRelevance]) -> HeldOutRelevance:
    """Join what was found in several folds."""
    joined = [
        np.concatenate([getattr(one, name) for one in parts])
        for name in ("logits", "arrived", "correlations", "deleted")
    ]
    sums = parts[0].sums.copy()
    for one in parts[1:]:
        sums += one.sums
    counts = np.sum([one.counts for one in parts], axis=0)
    return HeldOutRelevance(sums, counts, *joined)


def write_held_out_relevance(
    cached: CachedVolumes, found: HeldOutRelevance, folder: Path, *, kind: str
) -> None:
    """Write the mean map of each state into ``relevance/``, and the tables of both checks.

    Parameters
    ----------
    kind : str
        Of the network: 2d or 3d.
    """
    make_folder(folder / MAPS)
    names = name_states(cached.volumes.classes)
    spelled = spell_states(names)
    mask = cached.cache.find_brain()
    facts = {
        **describe_relevance(kind, "signed"),
        "Units": UNITS,
        "ArrivedShare": found.arrived_share,
        "MeanLogit": float(np.abs(found.logits).mean()),
        "MostVolumes": MOST_VOLUMES,
    }
    for state, (name, n_volumes) in enumerate(zip(names, found.counts.tolist(), strict=True)):
        if not n_volumes:
            continue
        own = {"stat": "mean", "label": spelled[name]}
        path = folder / MAPS / format_name(own, suffix="relevance", extension=".nii.gz")
        mean = found.sums[state] / np.float32(n_volumes)
        write_mean_map(path, mean, mask, state=name, n_volumes=n_volumes, facts=facts)
    known = found.correlations[np.isfinite(found.correlations)]
    checks = [WeightsCheck(EVERYTHING, float(known.mean()))] if known.size else []
    write_checks(checks, folder)
    means = found.deleted.mean(axis=0)
    points = [
        [DeletedShare(order, share, float(probability))]
        for order, row in zip((BY_RELEVANCE, BY_CHANCE), means, strict=True)
        for share, probability in zip(SHARES, row.tolist(), strict=True)
    ]
    write_records(
        folder / "deletion.tsv", [DeletedShare], points,
        description="How fast the probability of the volumes' own states falls as voxels are "
        "set to 0, in people held out",
    )  # fmt: skip
