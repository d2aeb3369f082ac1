"""Presence of communities around the events of a task."""

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kraken_bids.bids.outputs import sidecar_path
from kraken_bids.cohort.task_events import read_events
from kraken_bids.cohort.volume_times import read_volume_times
from kraken_bids.exceptions import KrakenBidsError
from kraken_bids.io.facts import read_facts
from kraken_bids.io.records import column, replace_records
from kraken_bids.models.communities.event_locking import (
    EventResponse,
    EventScan,
    lock_to_events,
)
from kraken_bids.pipeline.community_places import Places
from kraken_bids.pipeline.written_communities import WrittenCommunities

logger = logging.getLogger(__name__)


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


def write_events(
    events: Mapping[Path, Path | None], *, found: WrittenCommunities, places: Places
) -> None:
    """Average presence around the events of each kind.

    Nothing is written without events, and what was is removed.

    Parameters
    ----------
    events : mapping of Path to Path or None
        By region series, as :func:`~kraken_bids.cohort.task_events.find_events` gives them.
    """
    rows = []
    for trial_type, own in sorted(_gather_events(events, found).items()):
        try:
            response = lock_to_events(own, seed=found.seed)
        except KrakenBidsError as error:
            logger.warning("events %s: %s", trial_type, error)
            continue
        rows += [[row] for row in _list_rows(trial_type, response, found)]
    replace_records(
        places.table("events"),
        [EventRow],
        rows,
        description="Presence of communities around events of a task",
    )


def _list_rows(
    trial_type: str, response: EventResponse, found: WrittenCommunities
) -> Iterator[EventRow]:
    for k, community in enumerate(found.names):
        if not (found.labels == k).any():
            continue
        for row, lag in enumerate(response.lags):
            place = row, k
            yield EventRow(
                trial_type,
                community,
                float(lag),
                float(response.mean[place]),
                float(response.low[place]),
                float(response.high[place]),
                float(response.p[k]),
                response.n_events,
            )


def _gather_events(
    events: Mapping[Path, Path | None], communities: WrittenCommunities
) -> dict[str, list[EventScan]]:
    """Gather the scans with events of each kind."""
    found: dict[str, list[EventScan]] = {}
    for path, scan in communities.scans.items():
        if not scan.repetition_time:
            continue
        known = _read_onsets(events[path])
        if not known:
            continue
        facts = read_facts(sidecar_path(path))
        times = read_volume_times(facts, len(scan.presence), scan.repetition_time)
        presence = times.spread(scan.presence)
        for trial_type, onsets in known.items():
            own = EventScan(presence, scan.repetition_time, onsets, times.start)
            found.setdefault(trial_type, []).append(own)
    return found


def _read_onsets(path: Path | None) -> Mapping[str, NDArray[np.float64]]:
    """Onsets of each kind in the ``events.tsv`` of a scan; empty where there is none."""
    if path is None:
        return {}
    try:
        events = read_events(path)
    except KrakenBidsError as error:
        logger.warning("%s", error)
        return {}
    kinds = np.asarray(events.types or ["event"] * len(events.onsets))
    return {
        kind: events.onsets[(kinds == kind) & np.isfinite(events.onsets)]
        for kind in np.unique(kinds[kinds != ""]).tolist()
    }
