"""Whether predictions are about people: what they explain, and whom they find."""

import numpy as np
import pytest
from sklearn.metrics import explained_variance_score

from kraken_bids.scores.individuality import Evidence, explain_subjects


@pytest.fixture
def people() -> np.ndarray:
    """Twelve people who share a mean."""
    rng = np.random.default_rng(3)
    return rng.standard_normal(20_000) + 0.3 * rng.standard_normal((12, 20_000))


def test_the_truth_explains_everything_and_the_mean_nothing(people: np.ndarray) -> None:
    """Whatever constant lies between the two."""
    total, own = explain_subjects(people, people + 5.0)
    assert total == pytest.approx(1)
    assert own == pytest.approx(np.ones(12))

    total, own = explain_subjects(people, np.tile(people.mean(axis=0), (12, 1)))
    assert total == pytest.approx(0, abs=1e-12)
    assert own == pytest.approx(np.zeros(12), abs=1e-12)


def test_the_total_is_the_explained_variance_over_people(people: np.ndarray) -> None:
    """The same number as in the table of metrics, once units are the same."""
    rng = np.random.default_rng(4)
    predicted = 0.5 * people + 0.1 * rng.standard_normal(people.shape)

    total, own = explain_subjects(people, predicted)
    assert total == pytest.approx(
        explained_variance_score(people, predicted, multioutput="variance_weighted")
    )
    deviation = ((people - people.mean(axis=0)) ** 2).sum(axis=1)
    assert np.average(own, weights=deviation) == pytest.approx(total)

    in_other_units, _ = explain_subjects(people / 30, predicted, slope=30)
    assert in_other_units == pytest.approx(total)


def test_another_persons_connectome_explains_less_than_nothing(people: np.ndarray) -> None:
    """A prediction that is about somebody else errs more than the mean does."""
    total, own = explain_subjects(people, np.roll(people, 1, axis=0))

    assert total < -0.5
    assert (own < -0.5).all()


def test_nobody_differs(people: np.ndarray) -> None:
    """Copies of one connectome leave nothing to explain."""
    total, own = explain_subjects(np.tile(people[:1], (5, 1)), people[:5])

    assert np.isnan(total)
    assert np.isnan(own).all()


@pytest.mark.parametrize(
    ("explained", "average_rank", "own", "rank", "is_about"),
    [
        (0.2, 0.97, 0.1, 1, True),
        (0.2, 0.97, 0.1, 3, True),
        (0.2, 0.97, 0.1, 4, False),
        (0.2, 0.97, -0.01, 1, False),
        (-0.02, 0.97, 0.01, 1, False),
        (0.2, 0.6, 0.1, 1, False),
        (float("nan"), 0.97, 0.1, 1, False),
    ],
)
def test_a_prediction_is_about_a_person_only_if_everything_says_so(
    explained: float, average_rank: float, own: float, rank: int, *, is_about: bool
) -> None:
    """Predictions beat the mean and find people, and this one does so for this person."""
    others = dict.fromkeys(range(1, 12), (0.1, 1))
    evidence = Evidence(explained, average_rank, {0: (own, rank), **others})

    assert evidence.is_enough
    assert evidence.is_about(0) is is_about


def test_four_people_are_too_few() -> None:
    """A rank among four is no evidence."""
    assert not Evidence(0.5, 1.0, dict.fromkeys(range(4), (0.5, 1))).is_enough


def test_chance_finds_nobody() -> None:
    """Random assignments pass as better than chance in one case of twenty."""
    rng = np.random.default_rng(6)
    passed = []
    for _ in range(2000):
        ranks = np.array([np.flatnonzero(rng.permutation(12) == 0)[0] for _ in range(12)])
        found = Evidence(0.1, float(np.mean(1 - ranks / 12)), dict.fromkeys(range(12), (0.1, 1)))
        passed.append(found.tells_apart)
    assert 0.02 < np.mean(passed) < 0.08


def test_sessions_of_a_person_are_no_further_evidence() -> None:
    """Three sessions whose ranks are those of one pass as rarely; four people are too few."""
    rng = np.random.default_rng(7)
    passed: dict[int | None, list[bool]] = {12: [], None: []}
    for _ in range(2000):
        ranks = np.repeat(rng.integers(0, 36, 12), 3)
        average, rows = float(np.mean(1 - ranks / 36)), dict.fromkeys(range(36), (0.1, 1))
        for n_people, own in passed.items():
            own.append(Evidence(0.1, average, rows, n_people=n_people).tells_apart)
    assert 0.02 < np.mean(passed[12]) < 0.08
    assert np.mean(passed[None]) > 0.1  # what they would be as people of their own
    assert not Evidence(0.5, 1.0, dict.fromkeys(range(12), (0.5, 1)), n_people=4).is_enough
