"""How many communities: the resolution at which two halves of the data agree best."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import adjusted_rand_score

from kraken_bids.io.records import column
from kraken_bids.models.communities.community_settings import CommunitySettings
from kraken_bids.models.communities.model import load_scans
from kraken_bids.models.communities.scans import PreparedScans
from kraken_bids.models.communities.search import search

logger = logging.getLogger(__name__)

GAMMAS = (0.5, 0.75, 1.0, 1.25, 1.5, 2.0, 2.5, 3.0)
"""Resolutions that are tried."""
MOST = 20
"""Communities of a search whose number is left open; those that stay empty do not count."""
N_HALVES = 5
"""Times that the data are split at random."""
EPOCHS = 150
TIE = 0.01
"""Agreements this near to each other count as equal."""


@dataclass(frozen=True)
class Resolution:
    """What one resolution leads to."""

    gamma: float = column("resolution of modularity")
    n_communities: float = column("mean number of communities that some region is in")
    agreement: float = column(
        "mean adjusted Rand index between the partitions of two halves of the data; 0 for halves "
        "one of which is all one community"
    )
    standard_error: float = column("of the agreement, over splits")


def choose_resolution(
    prepared: PreparedScans,
    settings: CommunitySettings,
    *,
    gammas: Sequence[float] = GAMMAS,
    subjects: Sequence[str] = (),
    device: str = "cpu",
) -> tuple[CommunitySettings, tuple[Resolution, ...]]:
    """Choose resolution and number of communities by agreement of halves.

    Subjects are dealt into two halves at random, with all their scans; scans of one are, and
    a scan alone is cut into parts.
    The resolution of the best agreement is taken; of several, that with the most communities, and
    of these that nearest to gamma 1. That all regions are in one community is no agreement,
    however surely halves say so.

    Parameters
    ----------
    settings : CommunitySettings
        Its number of communities and gamma are replaced.
    subjects : sequence of str, optional
        Whose each scan is; every scan of somebody else by default.

    Returns
    -------
    settings : CommunitySettings
    table : tuple of Resolution
        Every resolution tried.
    """
    most = min(MOST, max(2, len(prepared.regions) // 3))
    halves = _list_halves(prepared, settings.seed, subjects)
    open_ = replace(
        settings, n_communities=most, epochs=EPOCHS, dynamic=0.0, smooth=0.0, bimodal=0.0
    )
    table = tuple(_try(halves, replace(open_, gamma=gamma), device) for gamma in gammas)
    best = max(one.agreement for one in table)
    enough = [one for one in table if one.agreement >= best - TIE]
    chosen = max(enough, key=lambda one: (one.n_communities, -abs(np.log(one.gamma))))
    n_communities = max(2, int(np.ceil(chosen.n_communities)))
    logger.info(
        "gamma %g, %d communities: partitions of halves agree by %.2f (adjusted Rand index)",
        chosen.gamma, n_communities, chosen.agreement,
    )  # fmt: skip
    return replace(settings, gamma=chosen.gamma, n_communities=n_communities), table


def _try(
    halves: Sequence[tuple[PreparedScans, PreparedScans]],
    settings: CommunitySettings,
    device: str,
) -> Resolution:
    agreements, numbers = [], []
    for pair in halves:
        labels = [_partition(half, settings, device) for half in pair]
        own = [len(np.unique(one)) for one in labels]
        agreements.append(float(adjusted_rand_score(*labels)) if min(own) > 1 else 0.0)
        numbers += own
    error = float(np.std(agreements, ddof=1) / np.sqrt(len(agreements)))
    return Resolution(settings.gamma, float(np.mean(numbers)), float(np.mean(agreements)), error)


def _partition(half: PreparedScans, settings: CommunitySettings, device: str) -> NDArray[np.intp]:
    found = search(load_scans(half, device), settings, seed=settings.seed)
    return np.asarray(found.affiliation.argmax(axis=1), np.intp)


def _list_halves(
    prepared: PreparedScans, seed: int, subjects: Sequence[str]
) -> list[tuple[PreparedScans, PreparedScans]]:
    if len(prepared.series) == 1:
        series, counts = prepared.series[0], prepared.counts[0]
        cuts = [len(counts) * k // 4 for k in range(5)]
        parts = [slice(*cut) for cut in pairwise(cuts)]
        pairs = [((0, 1), (2, 3)), ((0, 2), (1, 3)), ((0, 3), (1, 2))]
        return [
            tuple(  # type: ignore[misc]
                replace(
                    prepared,
                    series=(np.concatenate([series[:, parts[k]] for k in own], axis=1),),
                    counts=(np.concatenate([counts[parts[k]] for k in own]),),
                )
                for own in pair
            )
            for pair in pairs
        ]
    rng = np.random.default_rng(seed)
    owners = np.arange(len(prepared.series))
    if len({*subjects}) > 1:
        owners = np.unique(np.asarray(subjects), return_inverse=True)[1]
    found = []
    for _ in range(N_HALVES):
        order = rng.permutation(owners.max() + 1)
        is_first = np.isin(owners, order[: len(order) // 2])
        halves = (np.flatnonzero(is_first), np.flatnonzero(~is_first))
        found.append((_take(prepared, halves[0]), _take(prepared, halves[1])))
    return found


def _take(prepared: PreparedScans, rows: NDArray[np.intp]) -> PreparedScans:
    return replace(
        prepared,
        series=tuple(prepared.series[k] for k in rows),
        counts=tuple(prepared.counts[k] for k in rows),
    )
