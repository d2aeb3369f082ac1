"""The cohort of connectomes, and the effect that is planted in it."""

import numpy as np
import pytest

from kraken_bids.demo.cohort import simulate_cohort, simulate_person
from kraken_bids.demo.effect import compare_similarities, identify_across, score_identification
from kraken_bids.demo.population import compute_planted_correlation, draw_people
from kraken_bids.flavors import Flavor, list_flavors, parse_flavor

FC, SC = Flavor("FCcorr", "fs86", "hpf"), Flavor("SCifod2act", "fs86", "volnorm")


@pytest.fixture(scope="module")
def cohort() -> dict[Flavor, np.ndarray]:
    """Connectomes of 112 people, fs86 only."""
    return simulate_cohort(112, 7, parcellations=("fs86",))


def test_cohort_has_the_published_flavors() -> None:
    """The 15 flavors of the published model, float32, one row per person."""
    cohort = simulate_cohort(2, 0)
    expected = list_flavors(
        ("fs86", "shen268", "coco439"), processings=("hpf", "hpfgsr", "volnorm")
    )
    assert set(cohort) == set(expected)
    for flavor, edges in cohort.items():
        n = flavor.n_regions
        assert edges.shape == (2, n * (n - 1) // 2)
        assert edges.dtype == np.float32
        assert np.isfinite(edges).all()


def test_cohort_depends_on_the_seed_alone() -> None:
    """The same seed gives the same numbers, another seed others."""
    first, again, other = (simulate_cohort(1, seed, parcellations=("fs86",)) for seed in (1, 1, 2))
    assert np.array_equal(first[SC], again[SC])
    assert not np.array_equal(first[SC], other[SC])


def test_partial_correlation_is_the_ridge_one() -> None:
    """FCpcorr follows from FCcorr by inversion with ridge 0.06."""
    squares = simulate_person(
        draw_people(1, 0)[0], np.random.default_rng(0), parcellations=("fs86",)
    )
    precision = np.linalg.inv(squares[FC] + 0.06 * np.eye(86))
    expected = -precision[3, 40] / np.sqrt(precision[3, 3] * precision[40, 40])
    assert np.isclose(squares[parse_flavor("FCpcorr_fs86_hpf")][3, 40], expected)


def test_function_follows_the_plan() -> None:
    """Simulated FC differs from the planted correlation by sampling noise only."""
    person = draw_people(1, 0)[0]
    squares = simulate_person(person, np.random.default_rng(0), parcellations=("fs86",))
    planted = compute_planted_correlation(person)["fs86"]
    pairs = np.triu_indices(86, 1)
    assert np.corrcoef(squares[FC][pairs], planted[pairs])[0, 1] > 0.9
    assert np.abs(squares[FC] - planted).max() < 0.4


def test_similar_function_means_similar_structure(cohort: dict[Flavor, np.ndarray]) -> None:
    """The similarity of people in FC goes with that in SC; for shuffled people it does not."""
    function, structure = cohort[FC].astype(float), cohort[SC].astype(float)
    shuffled = np.random.default_rng(0).permutation(len(structure))
    assert compare_similarities(function, structure) > 0.12
    assert abs(compare_similarities(function, structure[shuffled])) < 0.08


@pytest.mark.parametrize(("source", "target"), [(SC, FC), (FC, SC)])
def test_held_out_people_are_identified(
    cohort: dict[Flavor, np.ndarray], source: Flavor, target: Flavor
) -> None:
    """A linear translation learnt on 100 people finds 12 others far above chance (1/12, 0.5)."""
    edges = {"source": cohort[source].astype(float), "target": cohort[target].astype(float)}
    train, test = (
        {k: v[part] for k, v in edges.items()} for part in (slice(100), slice(100, None))
    )
    top1, average_rank = identify_across(train, test)
    assert top1 > 0.4
    assert average_rank > 0.8


def test_identification_scores() -> None:
    """A perfect prediction scores 1 and 1; a prediction of the next person never ranks first."""
    observed = np.random.default_rng(0).standard_normal((6, 50))
    assert score_identification(observed, observed) == (1.0, 1.0)
    top1, average_rank = score_identification(observed, np.roll(observed, 1, axis=0))
    assert top1 == 0
    assert average_rank < 0.8
