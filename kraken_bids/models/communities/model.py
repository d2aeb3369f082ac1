"""Dynamic communities of scans: one soft partition, and when each community is present."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from kraken_bids.exceptions import ConnectomeError
from kraken_bids.models.communities.alignment import (
    compare_partitions,
    match_communities,
    overlap_communities,
)
from kraken_bids.models.communities.community_settings import CommunitySettings
from kraken_bids.models.communities.scans import PreparedScans, prepare_scans
from kraken_bids.models.communities.search import Found, search
from kraken_bids.models.communities.static_modularity import Scan

logger = logging.getLogger(__name__)

Floats = NDArray[np.floating]
TOLERANCE = 0.01
"""Share of the best objective by which that of a start may fall short to count."""
Watch = Callable[[int, int, NDArray[np.float64]], None]
"""Called with the number of the start, the epoch and its terms."""


@dataclass(frozen=True)
class Communities:
    """Communities found in a set of scans."""

    affiliation: NDArray[np.float32]
    """Shares [n_regions, n_communities]; NaN for regions that some scan lacks."""
    presence: tuple[NDArray[np.float32], ...]
    """Per scan [n_volumes, n_communities], between 0 and 1; NaN in volumes that do not count."""
    history: NDArray[np.float64]
    """Of each start [n_seeds, n_epochs, n_terms]; terms as
    :data:`~kraken_bids.models.communities.search.TERMS`."""
    is_counted: NDArray[np.bool_]
    """Whether each start is part of the consensus [n_seeds]."""
    stability: float
    """Mean adjusted Rand index between the partitions of all starts; 1 where there was one."""
    stability_of_each: NDArray[np.float64]
    """Mean Dice coefficient of each community over pairs of starts [n_communities]."""
    settings: CommunitySettings
    """How they were searched for."""

    @property
    def labels(self) -> NDArray[np.intp]:
        """Community of the largest share of each region [n_regions], from 0; -1 without one."""
        known = np.isfinite(self.affiliation).all(axis=1)
        return np.where(known, np.nan_to_num(self.affiliation).argmax(axis=1), -1)


def fit_communities(
    series: Sequence[Floats],
    settings: CommunitySettings | None = None,
    *,
    counts: Sequence[NDArray[np.floating] | None] | None = None,
    names: Sequence[str] = (),
    device: str = "cpu",
    watch: Watch = lambda _seed, _epoch, _terms: None,
) -> Communities:
    """Search for dynamic communities in region series.

    Every start ends in a partition. The best is kept in order; the others are aligned with it,
    and the mean of those whose objective comes within 1 % of the best one's is the consensus, for
    which presence is searched for once more. The largest community comes first, and those that no
    region is in come last.

    Parameters
    ----------
    series : sequence of ndarray of shape (n_volumes, n_regions)
        One per scan; scans may differ in length.
    settings : CommunitySettings, optional
    counts : sequence of ndarray of shape (n_volumes,) or None, optional
        Per scan which volumes count.
    names : sequence of str, optional
        Of the scans, for messages.
    device : str
        ``cpu`` or ``cuda[:N]``. On a CPU the same seed gives the same bytes.

    Raises
    ------
    ConnectomeError
        As :func:`~kraken_bids.models.communities.scans.prepare_scans`, or if there are more
        communities than regions.

    Source: Ciric, Thomas, Esteban and Poldrack 2022, arXiv 2206.00649, with the sign of its
    modularity turned, and presence by the correlation within a community unless the settings say
    otherwise.
    """
    prepared = prepare_scans(series, counts, names=names)
    return fit_prepared(prepared, settings or CommunitySettings(), device=device, watch=watch)


def fit_prepared(
    prepared: PreparedScans,
    settings: CommunitySettings,
    *,
    device: str = "cpu",
    watch: Watch = lambda _seed, _epoch, _terms: None,
) -> Communities:
    """Search for dynamic communities in scans that have been checked; see fit_communities."""
    if settings.objective == "printed":
        logger.warning(
            "objective printed: modularity is minimised, so that regions end in one community or "
            "in ones that do not belong together; for comparison with the published code alone"
        )
    _check_number(settings, prepared)
    scans = load_scans(prepared, device)
    starts = []
    for number in range(settings.n_seeds):
        starts.append(
            search(
                scans,
                settings,
                seed=settings.seed + number,
                watch=lambda epoch, terms, number=number: watch(number, epoch, terms),  # type: ignore[misc]
            )
        )
        logger.info(
            "start %d of %d: %.4f", number + 1, settings.n_seeds, starts[-1].history[-1, 0]
        )
    return _join(starts, scans, prepared, settings)


def find_presence(
    series: Sequence[Floats],
    affiliation: Floats,
    settings: CommunitySettings | None = None,
    *,
    counts: Sequence[NDArray[np.floating] | None] | None = None,
    names: Sequence[str] = (),
    device: str = "cpu",
) -> tuple[NDArray[np.float32], ...]:
    """Search for the presence of known communities in further scans.

    Parameters
    ----------
    series, counts, names, device
        As of :func:`fit_communities`.
    affiliation : ndarray of shape (n_regions, n_communities)
        NaN rows for regions without community.
    settings : CommunitySettings, optional

    Returns
    -------
    tuple of ndarray of shape (n_volumes, n_communities)

    Raises
    ------
    ConnectomeError
        If the series have other regions than the communities.
    """
    affiliation = np.asarray(affiliation)
    if len(affiliation) != np.shape(series[0])[1]:
        raise ConnectomeError(
            f"expected series of the {len(affiliation)} regions that the communities are of; "
            f"found {np.shape(series[0])[1]}."
        )
    known = np.isfinite(affiliation).all(axis=1)
    settings = replace(settings or CommunitySettings(), n_communities=affiliation.shape[1])
    own = [np.where(known, np.asarray(one, np.float64), np.nan) for one in series]
    prepared = prepare_scans(own, counts, names=names)
    scans = load_scans(prepared, device)
    return _settle(scans, affiliation[prepared.regions], prepared, settings)


def load_scans(prepared: PreparedScans, device: str) -> list[Scan]:
    """Bring prepared scans to a device, as 32-bit numbers."""
    found = []
    for series, counts in zip(prepared.series, prepared.counts, strict=True):
        values = torch.as_tensor(series, dtype=torch.float32).to(device)
        weights = torch.as_tensor(counts, dtype=torch.float32).to(device)
        found.append(Scan(values, weights, values**2))
    return found


def _check_number(settings: CommunitySettings, prepared: PreparedScans) -> None:
    if settings.n_communities > len(prepared.regions):
        raise ConnectomeError(
            f"expected at most as many communities as regions ({len(prepared.regions)}); found "
            f"{settings.n_communities}. Lower --n-communities."
        )


def _join(
    starts: Sequence[Found],
    scans: Sequence[Scan],
    prepared: PreparedScans,
    settings: CommunitySettings,
) -> Communities:
    """Align all starts with the best one, and search for presence in the good ones' consensus."""
    totals = np.array([one.history[-1, 0] for one in starts])
    is_counted = totals <= totals.min() + TOLERANCE * abs(totals.min())
    best = starts[int(totals.argmin())].affiliation
    best = best[:, _order_by_size(best)]
    aligned = [one.affiliation[:, match_communities(best, one.affiliation)] for one in starts]
    good = [one for one, is_good in zip(aligned, is_counted, strict=True) if is_good]
    shares = np.asarray(np.mean(good, axis=0, dtype=np.float64))
    order = _order_by_size(shares)  # in which other communities may be the largest
    aligned, shares = [one[:, order] for one in aligned], shares[:, order]
    affiliation = np.full((prepared.n_regions, shares.shape[1]), np.nan, np.float32)
    affiliation[prepared.regions] = shares
    return Communities(
        affiliation,
        _settle(scans, shares, prepared, settings),
        np.stack([one.history for one in starts]),
        is_counted,
        compare_partitions(aligned),
        overlap_communities(aligned),
        settings,
    )


def _order_by_size(shares: Floats) -> NDArray[np.intp]:
    """Communities by how many regions' largest share they are, the largest first."""
    sizes = np.bincount(shares.argmax(axis=1), minlength=shares.shape[1])
    return np.argsort(-sizes, kind="stable")


def _settle(
    scans: Sequence[Scan], shares: Floats, prepared: PreparedScans, settings: CommunitySettings
) -> tuple[NDArray[np.float32], ...]:
    """Search for presence, communities held fixed."""
    fixed = torch.as_tensor(np.asarray(shares)).to(scans[0].series)
    found = search(scans, settings, seed=settings.seed, affiliation=fixed)
    return tuple(
        np.where(counts[:, None] > 0, one.T, np.nan).astype(np.float32)
        for one, counts in zip(found.presence, prepared.counts, strict=True)
    )
