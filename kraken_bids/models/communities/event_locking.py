"""Presence of communities around events of a task."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from kraken_bids.exceptions import ConnectomeError

Floats = NDArray[np.floating]
WINDOW = (-6.0, 24.0)
"""Seconds around an event."""
INTERVAL = (2.5, 97.5)


@dataclass(frozen=True)
class EventScan:
    """One scan with events."""

    presence: Floats
    """[n_volumes, n_communities]; NaN in volumes that do not count."""
    repetition_time: float
    """Seconds."""
    onsets: Floats
    """Of the events of one kind, seconds from the start of the first volume."""
    start: float = 0.0
    """Seconds from the start of a volume to the moment that it stands for."""


@dataclass(frozen=True)
class EventResponse:
    """Mean presence around the events of one kind."""

    lags: NDArray[np.float64]
    """Seconds after the event [n_lags]."""
    mean: NDArray[np.float64]
    """Presence less its mean in the scan [n_lags, n_communities]."""
    low: NDArray[np.float64]
    """Lower end of the 95 % range of events at random times, each lag by itself."""
    high: NDArray[np.float64]
    """Upper end of it."""
    p: NDArray[np.float64]
    """Of the largest deviation over lags, for each community [n_communities]."""
    n_events: int
    """Events that lie in scans."""


def lock_to_events(
    scans: Sequence[EventScan],
    *,
    window: tuple[float, float] = WINDOW,
    n_permutations: int = 1000,
    seed: int = 0,
) -> EventResponse:
    """Average presence around events, and compare with events at random times.

    The null shifts all events of a scan by one random number of volumes, around the end of the
    scan, so that their distances stay, and their places between volumes: interpolation narrows
    the null as much as what it is compared with. Every scan's presence loses its mean first.

    Parameters
    ----------
    scans : sequence of EventScan
        With the same communities. Lags are steps of the first scan's repetition time; presence
        between volumes is interpolated linearly. What lies before or after a scan, and volumes
        that do not count, are no part of an average.
    window : tuple of float
        Seconds before (negative) and after an event.

    Raises
    ------
    ConnectomeError
        If no event lies in a scan.

    Source: p = (1 + number as large) / (1 + number) of the largest absolute deviation in units of
    the null's spread at its lag, Phipson and Smyth 2010.
    """
    step = scans[0].repetition_time
    lags = np.arange(np.ceil(window[0] / step), np.floor(window[1] / step) + 1) * step
    kept = [_clean(scan) for scan in scans]
    n_events = sum(len(scan.onsets) for scan in kept)
    if not n_events:
        raise ConnectomeError(
            f"expected events within the scans; found none in {len(scans)} scans. Onsets are "
            "seconds from the first volume."
        )
    rng = np.random.default_rng(seed)
    observed = _average(kept, lags, [0.0] * len(kept))
    null = np.array(
        [
            _average(
                kept,
                lags,
                [rng.integers(len(scan.presence)) * scan.repetition_time for scan in kept],
            )
            for _ in range(n_permutations)
        ]
    )
    spread = null.std(axis=0)
    spread[spread == 0] = np.inf
    largest = np.abs((observed - null.mean(axis=0)) / spread).max(axis=0)
    of_null = np.abs((null - null.mean(axis=0)) / spread).max(axis=1)
    low, high = np.percentile(null, INTERVAL, axis=0)
    p = (1 + (of_null >= largest).sum(axis=0)) / (1 + n_permutations)
    return EventResponse(lags, observed, low, high, p, n_events)


def _clean(scan: EventScan) -> EventScan:
    """Take the mean from presence, and events outside away."""
    presence = np.asarray(scan.presence, np.float64)
    presence = presence - np.nanmean(presence, axis=0)
    onsets = np.asarray(scan.onsets, np.float64)
    duration = len(presence) * scan.repetition_time
    inside = onsets[(onsets >= 0) & (onsets < duration)]
    return replace(scan, presence=presence, onsets=inside)


def _average(
    scans: Sequence[EventScan], lags: NDArray[np.float64], shifts: Sequence[float]
) -> NDArray[np.float64]:
    """Mean over the events whose lag lies in the scan, in volumes that count; 0 without any."""
    shape = len(lags), scans[0].presence.shape[1]
    total, weight = np.zeros(shape), np.zeros(shape)
    for scan, shift in zip(scans, shifts, strict=True):
        n_volumes = len(scan.presence)
        moved = (scan.onsets + shift) % (n_volumes * scan.repetition_time)
        times = (moved[:, None] + lags - scan.start) / scan.repetition_time
        first = np.floor(times).astype(np.intp)
        part = (times - first)[..., None]
        for volume, own in ((first, 1 - part), (first + 1, part)):
            inside = (volume >= 0) & (volume < n_volumes)
            values = scan.presence[volume.clip(0, n_volumes - 1)]
            known = own * (inside[..., None] & np.isfinite(values))
            total += (known * np.nan_to_num(values)).sum(axis=0)
            weight += known.sum(axis=0)
    return np.where(weight > 0, total / np.where(weight > 0, weight, 1), 0.0)
