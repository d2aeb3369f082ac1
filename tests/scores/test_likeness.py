"""Cohorts whose regions or edges lie in another order are named; those that lie right are not."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from kraken_bids.connectome.matrices import square_to_edges
from kraken_bids.flavors import Flavor, parse_flavor
from kraken_bids.parcellations import list_parcellations, load_parcellation
from kraken_bids.region_orders import list_edge_orders
from kraken_bids.scores.doubt_words import Doubt
from kraken_bids.scores.likeness import MIN_LIKENESS, judge_mean
from kraken_bids.scores.plausibility import check_inputs

CONFORMANCE = Path(__file__).resolve().parents[2].parent / "shared" / "conformance"
FC, SC = parse_flavor("FCcorr_fs86_hpf"), parse_flavor("SCifod2act_fs86_volnorm")
Edges = np.ndarray


def make_mean(flavor: Flavor, seed: int = 0) -> Edges:
    """Make a mean connectome whose regions differ in place and strength, as in brains."""
    rng = np.random.default_rng(seed)
    n = load_parcellation(flavor.parcellation).n_regions
    place, strength = rng.normal(size=(n, 3)), rng.gamma(2.0, size=n)
    distance = np.linalg.norm(place[:, None] - place[None], axis=2)
    square = np.exp(-distance) * np.sqrt(strength[:, None] * strength[None])
    return square_to_edges(square / square.max())


def make_people(mean: Edges, n_people: int = 1, *, likeness: float = 0.5, seed: int = 1) -> Edges:
    """Make people who correlate so with their mean; right ones do by 0.4 and more."""
    noise = np.random.default_rng(seed).normal(size=(n_people, mean.size)) * mean.std()
    return mean + noise * np.sqrt(1 / likeness**2 - 1)


def judge(flavor: Flavor, people: Edges, means: dict[Flavor, Edges]) -> list[Doubt]:
    return [
        doubt
        for doubt in check_inputs(flavor, people, means).list_doubts(means)
        if "correlations beyond" not in doubt.claim and "negative" not in doubt.claim
    ]


@pytest.mark.parametrize(
    ("parcellation", "n_people"),
    [*((name, 1) for name in list_parcellations()), ("fs86", 2), ("fs86", 12), ("shen268", 12)],
)
def test_every_known_order_is_named(parcellation: str, n_people: int) -> None:
    """From one noisy person on, in every parcellation; certain where it fits far better."""
    flavor = Flavor("FCpcorr", parcellation, "hpf")
    means = {flavor: make_mean(flavor)}
    people = make_people(means[flavor], n_people)
    for order in list_edge_orders(parcellation, means[flavor].size):
        (doubt,) = judge(flavor, people[:, order.edges], means)
        assert order.words in doubt.claim
        own, in_order = (float(number) for _, number in doubt.figures)
        assert doubt.is_certain == (in_order - own > 0.3)  # some orders move a few regions only
        assert doubt.whom == ()
        wanted = "kraken_bids.to_edges" if order.is_lower else f"given={order.name!r}"
        assert wanted in doubt.remedy


@pytest.mark.parametrize("n_people", [1, 2, 12])
def test_people_in_the_models_own_order_are_not_doubted(n_people: int) -> None:
    """However noisy, alone or together."""
    means = {FC: make_mean(FC), SC: make_mean(SC, seed=5)}
    for flavor, mean in means.items():
        assert judge(flavor, make_people(mean, n_people), means) == []


def test_an_unknown_order_resembles_nothing() -> None:
    """It is said, and not certain enough to be refused: nobody knows what these are."""
    means = {FC: make_mean(FC)}
    shuffled = np.random.default_rng(3).permutation(3655)
    (doubt,) = judge(FC, make_people(means[FC], 12)[:, shuffled], means)
    assert "does not resemble" in doubt.claim
    assert abs(float(dict(doubt.figures)["correlation with their mean"])) < MIN_LIKENESS
    assert not doubt.is_certain


def test_a_turned_sign_is_named() -> None:
    """Negative counts that once were positive."""
    means = {SC: make_mean(SC)}
    (doubt,) = judge(SC, -make_people(means[SC], 3), means)
    assert "sign were turned" in doubt.claim


def test_function_given_as_structure_is_named() -> None:
    """And the reverse."""
    means = {FC: make_mean(FC), SC: make_mean(SC, seed=5)}
    for flavor, other in ((FC, SC), (SC, FC)):
        (doubt,) = judge(flavor, make_people(means[other]), means)
        assert doubt.claim == f"looks like {other}"
        assert doubt.is_certain


def test_flavors_that_hardly_differ_are_not_told_apart() -> None:
    """A person may resemble the mean of another cleaning more than that of his own."""
    gsr = parse_flavor("FCcorr_fs86_hpfgsr")
    means = {FC: make_mean(FC)}
    means[gsr] = means[FC] + 0.02 * make_mean(FC, seed=8)
    assert judge(gsr, make_people(means[FC], likeness=0.9), means) == []


def test_some_people_of_a_cohort_are_named_with_their_order() -> None:
    """The others are not doubted for their sake."""
    means = {FC: make_mean(FC)}
    people = make_people(means[FC], 12)
    orders = {order.name: order for order in list_edge_orders("fs86", 3655)}
    people[[2, 7]] = people[[2, 7]][:, orders["alphabetical"].edges]
    (doubt,) = judge(FC, people, means)
    assert doubt.whom == (2, 7)
    assert orders["alphabetical"].words in doubt.claim


def test_what_cannot_be_compared_is_not_judged() -> None:
    """No training mean, one that is the same everywhere, another size, very few edges."""
    mean = make_mean(FC)
    assert judge_mean(FC, mean, {}) == []
    assert judge_mean(FC, mean, {FC: np.full(3655, 2.0)}) == []
    assert judge_mean(FC, np.full(3655, 2.0), {FC: mean}) == []
    assert judge_mean(FC, mean[:3000], {FC: mean}) == []
    few = np.random.default_rng(0).random(28)
    assert judge_mean(parse_flavor("FCcorr_mini_hpf"), few, {FC: few[::-1]}) == []


@pytest.mark.skipif(
    not CONFORMANCE.is_dir(), reason="the conformance data (../shared/conformance) are not here"
)
@pytest.mark.parametrize("n_people", [1, 2, 5, 10])
def test_real_people_are_named_in_every_order_and_never_in_their_own(n_people: int) -> None:
    """Twenty people of HCP, five flavors, against the mean of those left out."""
    with np.load(CONFORMANCE / "connectomes_cohort20.npz") as file:
        cohort = {parse_flavor(k): square_to_edges(file[k]) for k in file if k != "subjects"}
    rng = np.random.default_rng(n_people)
    for _ in range(20):
        order = rng.permutation(20)
        chosen, others = order[:n_people], order[n_people:]
        means = {flavor: rows[others].mean(axis=0) for flavor, rows in cohort.items()}
        for flavor, rows in cohort.items():
            assert check_inputs(flavor, rows[chosen], means).list_doubts(means) == []
            known = list_edge_orders("fs86", 3655)
            given = known[rng.integers(len(known))]
            found = judge(flavor, rows[chosen][:, given.edges], means)
            assert [given.words in doubt.claim for doubt in found] == [True]


@pytest.mark.parametrize("n_swapped", [1, 3])
def test_people_whose_sides_are_swapped_are_named_among_others(n_swapped: int) -> None:
    """Their likeness hardly suffers, so that the cohort's mean does not show it."""
    (swap,) = (o for o in list_edge_orders("fs86", 3655) if o.name == "hemispheres-swapped")
    mean = make_mean(SC)
    means = {SC: 1.4 * mean + mean[swap.edges]}  # sides that are nearly alike
    people = make_people(means[SC], 12, likeness=0.9)
    assert judge(SC, people, means) == []
    people[:n_swapped] = people[:n_swapped, swap.edges]
    (doubt,) = judge(SC, people, means)
    assert "left and right swapped" in doubt.claim
    assert doubt.whom == tuple(range(n_swapped))
    assert not doubt.is_certain


@pytest.mark.parametrize(("n_people", "is_seen"), [(1, False), (12, True)])
def test_logarithms_of_small_numbers_are_seen_in_means(n_people: int, *, is_seen: bool) -> None:
    """One person's noise hides them; right ones of as small numbers are left alone."""
    mean = make_mean(SC)
    mean *= 1.5 / mean.max()
    target = np.corrcoef(mean, np.log1p(mean))[0, 1]
    assert 0.98 < target < 0.997
    people = np.abs(make_people(mean, n_people, likeness=0.97))
    assert judge(SC, people, {SC: mean}) == []
    doubts = judge(SC, np.log1p(people), {SC: mean})
    assert [doubt.claim for doubt in doubts] == [
        "seems to hold logarithms or roots in place of the measured edges"
    ] * is_seen


@pytest.mark.parametrize(
    ("flavor", "transform", "words"),
    [
        (FC, np.abs, "absolute values"),
        (FC, np.square, "squares"),
        (SC, np.log1p, "logarithms or roots"),
        (SC, np.sqrt, "logarithms or roots"),
        (SC, np.square, "squares"),
        (SC, lambda edges: (edges > np.median(edges)) + 0.5, "ones and zeros"),
    ],
)
@pytest.mark.parametrize("n_people", [1, 12])
def test_transformed_edges_are_named(
    flavor: Flavor, transform: Callable[[Edges], Edges], words: str, n_people: int
) -> None:
    """Of one person and of many; an adaptation, a line, undoes none of these."""
    mean = make_mean(SC) if flavor == SC else 1.5 * make_mean(SC) - 0.3 * make_mean(SC, 4) - 0.05
    mean = 20 * mean if flavor == SC else mean
    people = make_people(mean, n_people, likeness=0.95)
    people = np.abs(people) if flavor == SC else people
    assert judge(flavor, people, {flavor: mean}) == []
    (doubt,) = judge(flavor, transform(people), {flavor: mean})
    assert f"seems to hold {words}" in doubt.claim
    assert not doubt.is_certain
    if n_people == 12:  # one among others, whose mean he hardly changes
        people[3] = transform(people[3])
        found = {doubt.claim: doubt.whom for doubt in judge(flavor, people, {flavor: mean})}
        assert found[f"seems to hold {words} in place of the measured edges"] == (3,)
