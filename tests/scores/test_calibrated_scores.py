"""Scores of held-out calibrated predictions are what their definitions say."""

import numpy as np
import pytest
from sklearn.metrics import r2_score

from kraken_bids.scores.calibrated_scores import (
    QUARTERS,
    SIDES,
    classify_edges,
    cover_classes,
    judge_held_out,
)
from kraken_bids.scores.resampling import Kinship


@pytest.fixture
def people(rng: np.random.Generator) -> tuple[np.ndarray, ...]:
    folds = np.repeat(np.arange(5), 4)
    measured = rng.normal(size=(20, 60)) + 3
    means = np.stack([measured[folds != k].mean(axis=0) for k in range(5)])
    step = 0.3 * (measured - measured.mean(axis=0)) + 0.1 * rng.normal(size=(20, 60))
    return measured, means[folds] + step, means, folds


def test_gains_ranks_and_r2_are_those_of_plain_numpy(people: tuple[np.ndarray, ...]) -> None:
    measured, held_out, means, folds = people
    found = judge_held_out(*people)
    errors = ((measured - held_out) ** 2).sum(axis=1)
    mean_errors = ((measured - means[folds]) ** 2).sum(axis=1)
    np.testing.assert_allclose(found.errors, errors, rtol=1e-9)
    np.testing.assert_allclose(found.gains, 1 - errors / mean_errors, rtol=1e-9)
    assert found.r2 == pytest.approx(r2_score(measured, held_out, multioutput="uniform_average"))
    apart, step = measured - means[folds], held_out - means[folds]
    r = np.corrcoef(apart, step)[:20, 20:]
    ranks = [1 + int((r[k] > r[k, k]).sum()) for k in range(20)]
    assert found.ranks.tolist() == ranks
    swapped = ((measured[3] - means[folds[3]] - step[7]) ** 2).sum()
    assert found.swapped[3, 7] == pytest.approx(swapped)


def test_other_sessions_of_a_person_are_no_competitors(people: tuple[np.ndarray, ...]) -> None:
    """A person's two sessions have the same prediction, and each is ranked among 19."""
    measured, held_out, means, folds = people
    held_out[1] = held_out[0]
    subjects = ["a", "a", *(f"p{k}" for k in range(18))]
    found = judge_held_out(measured, held_out, means, folds, subjects=subjects)
    assert found.n_ranked.tolist() == [19, 19] + [20] * 18
    r = np.corrcoef(measured - means[folds], held_out - means[folds])[:20, 20:]
    assert found.ranks[0] == 1 + int((r[0, 2:] > r[0, 0]).sum())
    assert found.ranks[1] == 1 + int((r[1, 2:] > r[1, 1]).sum())


def test_the_gain_has_a_p_value_and_an_interval(people: tuple[np.ndarray, ...]) -> None:
    measured, held_out, means, folds = people
    found = judge_held_out(*people).score_gain(Kinship.none(20))
    assert found.low < found.value < found.high
    assert found.p < 0.01
    order = np.random.default_rng(1).permutation(20)
    other = judge_held_out(measured, (held_out - means[folds])[order] + means[folds], means, folds)
    assert other.score_gain(Kinship.none(20)).p > 0.05


def test_the_mean_as_a_prediction_gains_nothing_and_ranks_nobody(
    people: tuple[np.ndarray, ...],
) -> None:
    measured, _, means, folds = people
    found = judge_held_out(measured, means[folds], means, folds)
    assert found.gains == pytest.approx(0)
    assert set(found.ranks.tolist()) == {11}
    assert found.score_gain(Kinship.none(20)).p == 1


def test_nobody_who_differs_is_no_division_by_zero() -> None:
    same, folds = np.ones((6, 4)), np.repeat(np.arange(3), 2)
    found = judge_held_out(same, same, np.ones((3, 4)), folds)
    assert found.gains.tolist() == [0] * 6
    assert found.r2 == 1
    assert found.score_gain(Kinship.none(6)).value == 0


def test_every_edge_has_a_strength_and_a_side() -> None:
    hemispheres = ("L", "L", "R", "R", "M")
    mean = np.arange(10) / 10
    found = classify_edges(mean, hemispheres)
    assert sum(found[name] for name in QUARTERS).tolist() == [1] * 10
    assert sum(found[name] for name in SIDES).tolist() == [1] * 10
    first, second = np.triu_indices(5, 1)
    same = {(0, 1), (2, 3)}
    assert [(a, b) in same for a, b in zip(first, second, strict=True)] == found[SIDES[0]].tolist()
    assert found[SIDES[2]].sum() == 4
    assert set(classify_edges(mean, ("M",) * 5)) == set(QUARTERS)
    covered = np.zeros((2, 10), bool)
    covered[0] = True
    assert cover_classes(covered, found) == dict.fromkeys(found, 0.5)
