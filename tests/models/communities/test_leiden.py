"""The baseline against enumeration of all partitions; consensus; surrogates."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score

from kraken_bids.models.communities.community_settings import CommunitySettings
from kraken_bids.models.communities.leiden import (
    find_consensus,
    find_leiden,
    score_partition,
    sort_labels,
)
from kraken_bids.models.communities.model import fit_communities
from kraken_bids.models.communities.null_series import (
    compare_with_null,
    randomise_phases,
    shuffle_time,
)

pytest.importorskip("leidenalg", reason="the extra communities is not installed")


def list_partitions(n: int) -> Iterator[list[int]]:
    """All partitions of n things, as labels."""
    if n == 0:
        yield []
        return
    for labels in list_partitions(n - 1):
        for k in range(max(labels, default=-1) + 2):
            yield [*labels, k]


@pytest.mark.parametrize("sign", ["signed", "positive"])
@pytest.mark.parametrize("gamma", [0.6, 1.0, 1.7])
def test_no_partition_of_seven_regions_has_a_larger_modularity(sign: str, gamma: float) -> None:
    for seed in range(3):
        weights = np.corrcoef(np.random.default_rng(seed).standard_normal((7, 12)))
        found = find_leiden(weights, gamma=gamma, sign=sign)
        best = max(
            score_partition(weights, np.array(labels), gamma=gamma, sign=sign)
            for labels in list_partitions(7)
        )
        assert score_partition(weights, found, gamma=gamma, sign=sign) == pytest.approx(best)


def test_static_modularity_reaches_that_of_leiden(plant: Callable[..., Any]) -> None:
    for seed, strength in enumerate((0.5, 0.2)):
        planted = plant(6, 60, strength=strength, is_dynamic=False, seed=seed)
        mean = np.mean([np.corrcoef(one.T) for one in planted.series], axis=0)
        found = fit_communities(
            planted.series, CommunitySettings(n_communities=8, epochs=100, n_seeds=1)
        )
        leiden = find_leiden(mean)
        assert score_partition(mean, found.labels) >= 0.98 * score_partition(mean, leiden)
        assert adjusted_rand_score(planted.labels, leiden) > 0.9
        assert adjusted_rand_score(planted.labels, found.labels) > 0.9


def test_a_consensus_is_what_most_partitions_share() -> None:
    truth = np.repeat([0, 1, 2], 8)
    rng = np.random.default_rng(0)
    partitions = []
    for _ in range(12):
        own = truth.copy()
        own[rng.choice(24, 4, replace=False)] = rng.integers(0, 3, 4)
        partitions.append(own)
    assert adjusted_rand_score(truth, find_consensus(partitions)) == 1.0


def test_labels_are_sorted_by_size() -> None:
    assert sort_labels(np.array([5, 2, 2, 9, 9, 5, 2])).tolist() == [1, 0, 0, 2, 2, 1, 0]


@pytest.mark.parametrize("n_volumes", [50, 51])
def test_surrogates_keep_static_correlations(n_volumes: int) -> None:
    rng = np.random.default_rng(0)
    series = rng.standard_normal((n_volumes, 5)) @ rng.standard_normal((5, 5)) + 3
    for surrogate in (randomise_phases(series, rng), shuffle_time(series, rng)):
        np.testing.assert_allclose(np.cov(surrogate.T), np.cov(series.T), rtol=1e-9)
        assert not np.allclose(surrogate, series)
    spectrum = np.abs(np.fft.rfft(series, axis=0))
    turned = np.abs(np.fft.rfft(randomise_phases(series, rng), axis=0))
    np.testing.assert_allclose(turned, spectrum, rtol=1e-9)


def test_presence_beyond_a_null_is_told_from_none(plant: Callable[..., Any]) -> None:
    settings = CommunitySettings(epochs=80)
    dynamic, still = plant(lengths=(300,)), plant(lengths=(300,), is_dynamic=False, seed=1)
    p = {}
    for name, planted in (("dynamic", dynamic), ("still", still)):
        truth = np.eye(4)[planted.labels]
        p[name] = compare_with_null(planted.series[0], truth, settings, n_nulls=19).p
    assert (p["dynamic"] <= 0.05).mean() >= 0.75
    assert (p["still"] > 0.05).sum() >= 3
