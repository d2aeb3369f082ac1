"""Presence around events: planted responses are found, and chance gives what it should."""

import numpy as np
import pytest

from kraken_bids.exceptions import ConnectomeError
from kraken_bids.models.communities.comparison import (
    compare_partitions_by_name,
    name_as,
    partition_connectome,
)
from kraken_bids.models.communities.event_locking import EventScan, lock_to_events


def make_scan(rng: np.random.Generator, *, is_locked: bool, n_volumes: int = 300) -> EventScan:
    """Smooth courses; one of two rises 4 to 10 s after each event."""
    onsets = np.sort(rng.uniform(0, n_volumes * 2.0 - 20, 14))
    noise = rng.standard_normal((n_volumes, 2))
    kernel = np.hanning(9)[:, None]
    courses = np.column_stack([np.convolve(noise[:, k], kernel[:, 0], "same") for k in range(2)])
    presence = 1 / (1 + np.exp(-courses))
    if is_locked:
        for onset in onsets:
            start = int(onset / 2)
            presence[start + 2 : start + 6, 0] += 0.6
    presence[5] = np.nan
    return EventScan(presence.clip(0, 1), 2.0, onsets)


def test_a_planted_response_is_found_at_its_lag_and_no_other() -> None:
    rng = np.random.default_rng(0)
    scans = [make_scan(rng, is_locked=True) for _ in range(3)]
    found = lock_to_events(scans, n_permutations=300)
    assert found.p[0] < 0.01
    assert found.p[1] > 0.05
    assert 4 <= found.lags[found.mean[:, 0].argmax()] <= 12
    assert found.n_events == 42
    peak = found.mean[:, 0].argmax()
    assert found.mean[peak, 0] > found.high[peak, 0]


def test_events_at_random_times_are_called_responses_at_the_rate_of_chance() -> None:
    rng = np.random.default_rng(1)
    p = [
        lock_to_events([make_scan(rng, is_locked=False)], n_permutations=99, seed=k).p
        for k in range(60)
    ]
    n_low = int((np.concatenate(p) <= 0.1).sum())
    assert n_low <= 21  # of 120: 12 by chance, 21 the 99th percentile


def test_lags_count_from_the_moments_that_volumes_stand_for() -> None:
    """Volumes of 2 s that stand for their middle: 1, 3 … s; an event at 0 s is one of the run."""
    presence = np.arange(40.0)[:, None] / 40
    scan = EventScan(presence, 2.0, np.array([0.0, 21.0]), start=1.0)
    found = lock_to_events([scan], window=(0, 4), n_permutations=5)
    assert found.n_events == 2
    both = [np.mean([(lag - 1) / 2, (20 + lag) / 2]) for lag in (2, 4)]
    # at 0 s there is half of a volume of the first event, which is none before the first volume
    np.testing.assert_allclose(found.mean[1:, 0], np.array(both) / 40 - presence.mean())


def test_events_at_random_times_lie_on_volumes_where_the_events_do() -> None:
    """Interpolation between volumes would narrow the range that others are judged by.

    Of random events at volumes 24 % had p < 0.05 then, where volumes are independent.
    """
    presence = (np.arange(40.0) % 2)[:, None]
    found = lock_to_events([EventScan(presence, 2.0, np.array([20.0]))], window=(0, 0))
    np.testing.assert_allclose([found.low, found.high], [[[-0.5]], [[0.5]]])


def test_an_average_is_the_mean_of_the_volumes_after_events() -> None:
    presence = np.arange(40.0)[:, None] / 40
    found = lock_to_events(
        [EventScan(presence, 2.0, np.array([10.0, 21.0]))], window=(0, 4), n_permutations=5
    )
    expected = [np.mean([5 + k, 10.5 + k]) / 40 - presence.mean() for k in range(3)]
    np.testing.assert_allclose(found.mean[:, 0], expected)
    np.testing.assert_array_equal(found.lags, [0, 2, 4])


def test_what_is_outside_a_scan_or_does_not_count_is_no_part_of_an_average() -> None:
    """Else the end of a scan would stand before its first event, and 0 in censored volumes."""
    presence = np.zeros((40, 1))
    presence[35:] = 1
    presence[10:13] = np.nan
    presence[20:23] = 0.5
    mean = np.nanmean(presence)
    onsets = np.array([2.0, 20.0, 40.0])
    found = lock_to_events([EventScan(presence, 2.0, onsets)], window=(-6, 4), n_permutations=5)
    at = dict(zip(found.lags, found.mean[:, 0] + mean, strict=True))
    assert at[-6.0] == pytest.approx(0)  # 2 - 6 s is before the scan
    assert at[0.0] == pytest.approx(0.25)  # of volumes 1, 10 (censored) and 20
    assert at[2.0] == pytest.approx(0.25)


def test_without_events_in_the_scans_it_is_refused() -> None:
    with pytest.raises(ConnectomeError, match="expected events within the scans"):
        lock_to_events([EventScan(np.ones((30, 1)), 2.0, np.array([-3.0, 90.0]))])


def test_partitions_are_compared_and_named_alike() -> None:
    rng = np.random.default_rng(0)
    truth = np.repeat([0, 1, 2], [6, 5, 4])
    weights = (truth[:, None] == truth) + 0.3 * rng.random((15, 15))
    weights = (weights + weights.T) / 2
    weights[14] = weights[:, 14] = 0
    found = partition_connectome(weights)
    assert found[14] == -1
    (agreement,) = compare_partitions_by_name({"truth": truth, "found": found})
    assert (agreement.one, agreement.other, agreement.n_regions) == ("truth", "found", 14)
    assert agreement.mutual_information == pytest.approx(1)
    assert agreement.rand_index == pytest.approx(1)
    np.testing.assert_array_equal(name_as(truth, found)[:14], truth[:14])
    np.testing.assert_array_equal(name_as(truth, (truth + 1) % 3), truth)
