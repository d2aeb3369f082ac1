"""Planted communities are found, with their presence; what is documented of odd input holds."""

import logging
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.metrics import adjusted_rand_score

from kraken_bids.exceptions import ConnectomeError
from kraken_bids.models.communities import model, resolution
from kraken_bids.models.communities.alignment import (
    compare_partitions,
    match_communities,
    overlap_communities,
)
from kraken_bids.models.communities.community_settings import CommunitySettings
from kraken_bids.models.communities.model import find_presence, fit_communities
from kraken_bids.models.communities.resolution import choose_resolution
from kraken_bids.models.communities.scans import prepare_scans
from kraken_bids.models.communities.search import Found

QUICK = CommunitySettings(n_communities=6, epochs=120, n_seeds=2)


@pytest.fixture(scope="module")
def planted(plant: Callable[..., Any]) -> Any:
    return plant()


@pytest.fixture(scope="module")
def found(planted: Any) -> Any:
    return fit_communities(planted.series, QUICK)


def test_planted_communities_are_found_in_scans_of_unequal_length(
    planted: Any, found: Any
) -> None:
    assert adjusted_rand_score(planted.labels, found.labels) > 0.9
    assert found.stability > 0.9
    sizes = np.bincount(found.labels, minlength=6)
    assert (np.diff(sizes) <= 0).all()  # the largest first
    assert (np.isfinite(found.stability_of_each) == (sizes > 0)).all()
    np.testing.assert_allclose(found.affiliation.sum(axis=1), 1, rtol=1e-5)


def test_planted_presence_is_found(planted: Any, found: Any) -> None:
    fits = []
    for presence, wanted in zip(found.presence, planted.presence, strict=True):
        for k in range(4):
            own = np.bincount(found.labels[planted.labels == k]).argmax()
            if 0 < wanted[:, k].mean() < 1:
                fits.append(np.corrcoef(presence[:, own], wanted[:, k])[0, 1])
    assert np.mean(fits) > 0.8


@pytest.mark.parametrize("n_regions", [40, 200])
def test_the_same_seed_gives_the_same_bytes_whatever_the_threads(
    plant: Any, n_regions: int
) -> None:
    """Large products are where threads share the sums."""
    planted = plant(n_regions=n_regions)
    settings, before = replace(QUICK, epochs=10), torch.get_num_threads()
    results = []
    try:
        for n_threads in (1, 2):
            torch.set_num_threads(n_threads)
            results.append(fit_communities(planted.series, settings))
    finally:
        torch.set_num_threads(before)
    assert results[0].affiliation.tobytes() == results[1].affiliation.tobytes()
    for one, other in zip(results[0].presence, results[1].presence, strict=True):
        assert one.tobytes() == other.tobytes()


def test_presence_of_a_scan_does_not_depend_on_the_others(planted: Any, found: Any) -> None:
    (alone,) = find_presence(planted.series[1:2], found.affiliation, QUICK)
    assert alone.tobytes() == found.presence[1].tobytes()


def test_what_censored_volumes_hold_changes_nothing(planted: Any) -> None:
    counts = np.ones(len(planted.series[0]))
    counts[50:70] = 0
    wild = planted.series[0].copy()
    wild[50:70] = 1e6
    settings = replace(QUICK, epochs=10, n_seeds=1)
    one, other = (
        fit_communities([series], settings, counts=[counts])
        for series in (planted.series[0], wild)
    )
    assert one.affiliation.tobytes() == other.affiliation.tobytes()
    assert np.isnan(one.presence[0][50:70]).all()
    assert np.isfinite(one.presence[0][70:]).all()


def test_regions_that_a_scan_lacks_belong_to_no_community(
    planted: Any, caplog: pytest.LogCaptureFixture
) -> None:
    series = [one.copy() for one in planted.series]
    series[0][:, 3] = np.nan
    series[2][:, 5] = 7.0
    with caplog.at_level(logging.WARNING):
        result = fit_communities(series, replace(QUICK, epochs=5, n_seeds=1))
    assert np.flatnonzero(result.labels < 0).tolist() == [3, 5]
    assert np.isnan(result.affiliation[[3, 5]]).all()
    assert "2 of 40 regions are missing or constant" in caplog.text


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda s: s[:0], "at least one scan; found none"),
        (lambda s: [s[0], s[1][:, :-1]], "scan 2: expected 40 regions, as scan 1 has; found 39"),
        (lambda s: [s[0][0]], r"expected region series \[n_volumes, n_regions\]"),
        (lambda s: [s[0][:15]], "at least 20 volumes that count; found 15 of 15"),
        (lambda s: [np.full_like(s[0], np.nan)], "at least half of the 40 regions|volumes that"),
    ],
)
def test_series_that_cannot_be_searched_are_refused(
    planted: Any, spoil: Callable[[Any], Any], words: str
) -> None:
    with pytest.raises(ConnectomeError, match=words):
        fit_communities(spoil(planted.series), QUICK)


def test_censoring_all_volumes_is_refused_by_the_name_of_the_scan(planted: Any) -> None:
    counts = [None, np.zeros(len(planted.series[1])), None]
    with pytest.raises(ConnectomeError, match="b: expected at least 20 volumes that count"):
        fit_communities(planted.series, QUICK, counts=counts, names=["a", "b", "c"])


def test_the_printed_objective_says_what_it_is(
    planted: Any, caplog: pytest.LogCaptureFixture
) -> None:
    fit_communities(planted.series, replace(QUICK, objective="printed", epochs=1, n_seeds=1))
    assert "modularity is minimised" in caplog.text


def test_more_communities_than_regions_are_refused(planted: Any) -> None:
    with pytest.raises(ConnectomeError, match=r"as regions \(40\); found 41"):
        fit_communities(planted.series, replace(QUICK, n_communities=41))


def test_presence_in_other_regions_is_refused(found: Any) -> None:
    with pytest.raises(ConnectomeError, match="the 40 regions that the communities are of"):
        find_presence([np.ones((50, 3))], found.affiliation, QUICK)


def test_the_number_of_communities_is_found_by_agreement_of_halves(planted: Any) -> None:
    settings, table = choose_resolution(
        prepare_scans(planted.series), QUICK, gammas=(0.25, 1.0, 8.0)
    )
    assert settings.n_communities == 4
    assert settings.gamma == 1.0
    assert [one.gamma for one in table] == [0.25, 1.0, 8.0]


def test_one_community_of_all_regions_is_no_agreement(planted: Any) -> None:
    """Two halves always agree on it, and nothing is found."""
    settings, table = choose_resolution(
        prepare_scans(planted.series), replace(QUICK, sign="positive"), gammas=(0.0, 1.0)
    )
    assert [one.n_communities for one in table] == [1, 4]
    assert table[0].agreement == 0
    assert settings.gamma == 1.0


def test_nobody_is_in_both_halves(planted: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """What two sessions of a person share is that person's, and no agreement."""
    prepared = prepare_scans([one + 0 for one in (*planted.series, *planted.series)][:6])
    people = ["a", "b", "a", "c", "b", "a"]
    owner = {id(one): person for one, person in zip(prepared.series, people, strict=True)}
    halves: list[set[str]] = []

    def partition(half: Any, *_: Any) -> Any:
        halves.append({owner[id(one)] for one in half.series})
        return np.arange(40) % 2

    monkeypatch.setattr(resolution, "_partition", partition)
    choose_resolution(prepared, QUICK, gammas=(1.0,), subjects=people)
    pairs = list(zip(halves[::2], halves[1::2], strict=True))
    assert all(one and other and not one & other for one, other in pairs)
    assert all(one | other == {"a", "b", "c"} for one, other in pairs)


def test_one_scan_alone_is_cut_in_halves(plant: Callable[..., Any]) -> None:
    planted = plant(lengths=(400,), is_dynamic=False)
    settings, _ = choose_resolution(prepare_scans(planted.series), QUICK, gammas=(1.0,))
    assert settings.n_communities == 4


def test_communities_are_matched_and_compared_by_their_regions() -> None:
    shares = np.eye(3)[[0, 0, 1, 1, 2, 2]]
    other = shares[:, [2, 0, 1]]
    assert match_communities(shares, other).tolist() == [1, 2, 0]
    assert compare_partitions([shares, other]) == 1.0
    assert compare_partitions([shares]) == 1.0
    moved = np.eye(3)[[0, 0, 1, 1, 2, 1]]
    # community 1: two and three regions, two shared; community 2: two and one, one shared
    np.testing.assert_allclose(overlap_communities([shares, moved]), [1, 4 / 5, 2 / 3])


@pytest.mark.parametrize("exponent", [-600, 600])
def test_the_unit_of_a_series_changes_nothing(planted: Any, exponent: int) -> None:
    """Also where squares would be 0 or infinite."""
    with np.errstate(all="raise", under="ignore"):
        (one,), (other,) = (
            prepare_scans([np.ldexp(planted.series[0], power)]).series for power in (0, exponent)
        )
    assert one.tobytes() == other.tobytes()


def _start_at(
    monkeypatch: pytest.MonkeyPatch, planted: Any, starts: list[tuple[float, int]]
) -> CommunitySettings:
    """Let every start end at an objective, its first community of so many regions."""
    n_regions, found = planted.series[0].shape[1], iter(starts)

    def start(_scans: Any, settings: Any, **given: Any) -> Found:
        presence = tuple(np.zeros((2, len(one))) for one in planted.series)
        if "affiliation" in given:
            return Found(given["affiliation"].numpy(), presence, np.zeros((1, 5)))
        total, n_first = next(found)
        shares = np.eye(2)[(np.arange(n_regions) >= n_first).astype(int)]
        return Found(shares, presence, np.full((settings.epochs, 5), total))

    monkeypatch.setattr(model, "search", start)
    return replace(QUICK, n_communities=2, n_seeds=len(starts), epochs=1)


def test_the_largest_community_of_the_consensus_comes_first(
    planted: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not that of the best start, where the others outvote it."""
    settings = _start_at(monkeypatch, planted, [(-3.0, 25), (-2.98, 15), (-2.98, 15)])
    result = fit_communities(planted.series, settings)
    assert np.bincount(result.labels).tolist() == [25, 15]
    assert (result.labels[:15] == 1).all()
    # communities of 15 and 25: between the two starts alike, 1; with the best, 2 * 15 / 40
    np.testing.assert_allclose(
        result.stability_of_each, [(1 + 2 * 2 * 15 / 40) / 3, (1 + 2 * 2 * 15 / 40) / 3]
    )


@pytest.mark.parametrize("best", [-3.0, 3.0])
def test_a_bad_start_is_no_part_of_the_consensus(
    planted: Any, monkeypatch: pytest.MonkeyPatch, best: float
) -> None:
    """Though two bad ones outnumber the good one; of the stability they are a part."""
    starts = [(best + 0.05, 15), (best, 25), (best + 0.05, 15)]
    settings = _start_at(monkeypatch, planted, starts)
    result = fit_communities(planted.series, settings)
    assert result.is_counted.tolist() == [False, True, False]
    assert result.labels.tolist() == [0] * 25 + [1] * 15
    assert result.stability < 1
