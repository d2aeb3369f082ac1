"""Dynamic communities of region series: the search, its baselines, and surrogates."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import adjusted_rand_score

from kraken_bids.cohort.gathered_runs import read_who
from kraken_bids.cohort.series_files import RegionSeries
from kraken_bids.models.communities.community_settings import CommunitySettings
from kraken_bids.models.communities.leiden import find_consensus, find_leiden, score_partition
from kraken_bids.models.communities.model import Communities, fit_prepared
from kraken_bids.models.communities.null_series import PresenceTest, compare_with_null
from kraken_bids.models.communities.resolution import Resolution, choose_resolution
from kraken_bids.models.communities.scans import PreparedScans, prepare_scans
from kraken_bids.pipeline.community_files import (
    BaselineScore,
    CommunityResult,
)
from kraken_bids.pipeline.progress import Progress

logger = logging.getLogger(__name__)

WINDOW, MAX_WINDOWS = 60, 200
"""Volumes of a sliding window of the Leiden baseline (windows overlap by half), and how many of
all scans' windows, evenly spread, are partitioned."""


@dataclass(frozen=True)
class CommunityOptions:
    """What is done besides the search itself."""

    is_auto: bool = False
    """Choose resolution and number of communities by agreement of halves."""
    has_baseline: bool = True
    """Find communities by the Leiden algorithm too."""
    nulls: tuple[str, ...] = ("phase", "shuffle")
    """Kinds of surrogates that presence is compared with."""
    n_nulls: int = 19
    """Surrogates of each kind and scan; 0: no comparison."""
    device: str = "cpu"
    """Where the search computes."""


def search_communities(
    scans: Sequence[RegionSeries],
    settings: CommunitySettings,
    options: CommunityOptions,
) -> CommunityResult:
    """Find the communities of region series, and what is known of them.

    Parameters
    ----------
    scans : sequence of RegionSeries
        Of one atlas.

    Raises
    ------
    ConnectomeError, SettingsError
        Where the series cannot be searched.
    """
    logger.info("%d scans of %d regions", len(scans), scans[0].values.shape[1])
    series, counts = [scan.values for scan in scans], [scan.counts for scan in scans]
    prepared = prepare_scans(series, counts, names=[scan.name for scan in scans])
    table: tuple[Resolution, ...] = ()
    if options.is_auto:
        subjects = [read_who(scan)[0] for scan in scans]
        settings, table = choose_resolution(
            prepared, settings, subjects=subjects, device=options.device
        )
    found = fit_prepared(prepared, settings, device=options.device, watch=_Watch(settings))
    return CommunityResult(
        scans,
        found,
        tuple(compare_methods(prepared, found, options)),
        _test_presence(scans, found, options),
        table,
        options.n_nulls,
    )


class _Watch:
    """Says now and then how far the search is; time counts from the first epoch on."""

    def __init__(self, settings: CommunitySettings) -> None:
        self.total = settings.n_seeds * settings.epochs
        self.progress: Progress | None = None

    def __call__(self, _seed: int, _epoch: int, _terms: NDArray[np.float64]) -> None:
        self.progress = self.progress or Progress("searched: epochs", self.total)
        self.progress.advance()


def compare_methods(
    prepared: PreparedScans, found: Communities, options: CommunityOptions
) -> list[BaselineScore]:
    """Modularity of the mean correlation matrix under every method's partition, in one table."""
    settings = found.settings
    mean = np.mean([_correlate(*one) for one in _pair(prepared)], axis=0)
    own = found.labels[prepared.regions]
    partitions = {"dynamic communities": own}
    if options.has_baseline:
        partitions |= _find_baselines(prepared, mean, settings)
    return [
        BaselineScore(
            name,
            len(np.unique(labels)),
            score_partition(mean, labels, gamma=settings.gamma, sign=settings.sign),
            float(adjusted_rand_score(own, labels)),
        )
        for name, labels in partitions.items()
    ]


def _find_baselines(
    prepared: PreparedScans, mean: NDArray[np.float64], settings: CommunitySettings
) -> dict[str, NDArray[np.intp]]:
    """Partition the mean correlation matrix, and windows, by the Leiden algorithm."""
    find = partial(find_leiden, gamma=settings.gamma, sign=settings.sign, seed=settings.seed)
    found = {"Leiden, mean correlation": find(mean)}
    parts = _list_windows(prepared)
    progress = Progress("partitioned by Leiden: windows", len(parts))
    windows = []
    for scan, part in parts:
        own = _correlate(prepared.series[scan][:, part], prepared.counts[scan][part])
        windows.append(find(own, n_starts=1))
        progress.advance()
    if windows:
        found["Leiden, consensus of windows"] = find_consensus(windows, seed=settings.seed)
    return found


def _pair(
    prepared: PreparedScans,
) -> list[tuple[NDArray[np.float64], NDArray[np.float64]]]:
    return list(zip(prepared.series, prepared.counts, strict=True))


def _correlate(series: NDArray[np.float64], counts: NDArray[np.float64]) -> NDArray[np.float64]:
    """Correlation over the volumes that count; 0 with a region that does not vary in them."""
    inside = series[:, counts > 0]
    inside = inside - inside.mean(axis=1, keepdims=True)
    length = np.linalg.norm(inside, axis=1, keepdims=True)
    inside = inside / np.where(length > 0, length, 1.0)
    return np.asarray(inside @ inside.T)


def _list_windows(prepared: PreparedScans) -> list[tuple[int, slice]]:
    """Windows of the scans of which at least half of the volumes count."""
    windows = [
        (scan, slice(start, start + WINDOW))
        for scan, counts in enumerate(prepared.counts)
        for start in range(0, len(counts) - WINDOW + 1, WINDOW // 2)
        if counts[start : start + WINDOW].sum() >= WINDOW / 2
    ]
    chosen = np.linspace(0, len(windows) - 1, min(len(windows), MAX_WINDOWS)).round()
    return [windows[int(k)] for k in chosen]


def _test_presence(
    scans: Sequence[RegionSeries], found: Communities, options: CommunityOptions
) -> dict[str, list[PresenceTest]]:
    """Compare every scan with surrogates, by kind of these."""
    if not options.n_nulls:
        return {}
    progress = Progress("compared with surrogates", len(options.nulls) * len(scans))
    tests: dict[str, list[PresenceTest]] = {null: [] for null in options.nulls}
    for null, own in tests.items():
        for number, scan in enumerate(scans):
            own.append(
                compare_with_null(
                    scan.values,
                    found.affiliation,
                    replace(found.settings, seed=found.settings.seed + number),
                    counts=scan.counts,
                    null=null,
                    n_nulls=options.n_nulls,
                    device=options.device,
                )
            )
            progress.advance()
    return tests
