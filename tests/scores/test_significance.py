"""p-values and intervals against plain loops over permuted and resampled subjects."""

from itertools import permutations

import numpy as np
import pytest
from sklearn.metrics import explained_variance_score, r2_score

from kraken_bids.scores.resampling import Kinship, draw
from kraken_bids.scores.significance import Comparison, compare, score_comparison
from tests.plain_metrics import compute_metrics

METRICS = (
    "top1acc", "top2acc", "avgrank", "avgcorr", "avgcorr_resid", "explainedvar", "r2", "gain",
)  # fmt: skip


@pytest.fixture
def pair(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    x = rng.normal(size=(7, 40)) + 3 * rng.normal(size=40)
    return x, x + 1.6 * rng.normal(size=x.shape) + 0.2


def metrics_of(x: np.ndarray, y: np.ndarray) -> dict[str, float]:
    return all_metrics(x, y, None)


def all_metrics(x: np.ndarray, y: np.ndarray, mean: np.ndarray | None) -> dict[str, float]:
    """Every metric from its definition; the group mean is that of all others, or a given one."""
    n = len(x)
    group = np.stack(
        [x[np.arange(n) != k].mean(axis=0) if mean is None else mean for k in range(n)]
    )
    return {
        **compute_metrics(x, y, mean=x.mean(axis=0) if mean is None else mean),
        "r2": r2_score(x, y),
        "gain": 1 - ((x - y) ** 2).sum() / ((x - group) ** 2).sum(),
        "baseline_avgcorr": np.mean(
            [np.corrcoef(a, b)[0, 1] for a, b in zip(x, group, strict=True)]
        ),
    }


def test_values_are_the_metrics(pair: tuple[np.ndarray, np.ndarray]) -> None:
    """With and without a mean of one's own; so are the diagonals that permutations replace."""
    for mean in (None, np.linspace(-1, 1, 40)):
        comparison = compare(*pair, mean=mean)
        scores = score_comparison(comparison, n_permutations=0, n_bootstraps=0)
        expected = all_metrics(*pair, mean)

        assert {m: s.value for m, s in scores.items()} == pytest.approx(expected)
        assert all(np.isnan([s.p, s.low, s.high]).all() for s in scores.values())


def test_p_values_are_those_of_every_permutation_in_turn(rng: np.random.Generator) -> None:
    """5 subjects have 120 assignments; metrics recomputed from the dealt-out edges."""
    x = rng.normal(size=(5, 30))
    y = x + 2 * rng.normal(size=x.shape)
    every = [metrics_of(x, y[list(order)]) for order in permutations(range(5))]
    own = metrics_of(x, y)

    scores = score_comparison(compare(x, y), n_permutations=20_000, n_bootstraps=0)

    for metric in METRICS:
        exact = np.mean([values[metric] >= own[metric] - 1e-9 for values in every])
        assert scores[metric].p == pytest.approx(exact, abs=0.015), metric


def test_a_permutation_sees_all_metrics_through_the_same_assignment(
    pair: tuple[np.ndarray, np.ndarray],
) -> None:
    """A prediction better than all others has the smallest p that there can be."""
    x, _ = pair

    scores = score_comparison(compare(x, x), n_permutations=99, n_bootstraps=0, seed=3)

    assert {scores[name].p for name in METRICS} == {0.01}
    assert np.isnan(scores["baseline_avgcorr"].p)


def resample(comparison: Comparison, n: int, seed: int) -> np.ndarray:
    """Repeat the draws of score_comparison: permutations come first."""
    rng = np.random.default_rng(seed)
    rng.permuted(np.tile(np.arange(comparison.n_subjects), (0, 1)), axis=1)
    return rng.multinomial(
        comparison.n_subjects, np.full(comparison.n_subjects, 1 / comparison.n_subjects), size=n
    )


def test_intervals_are_those_of_resampled_subjects(pair: tuple[np.ndarray, np.ndarray]) -> None:
    """Rows of the correlation matrix are drawn, all columns stay; variance is recomputed."""
    x, y = pair
    comparison = compare(x, y)
    correlations = np.corrcoef(x, y)[:7, 7:]
    ranks = np.array([(row > row[i]).sum() for i, row in enumerate(correlations)])
    names = ("avgrank", "avgcorr", "explainedvar", "gain", "baseline_avgcorr")
    samples: dict[str, list[float]] = {name: [] for name in names}
    group = np.stack([x[np.arange(7) != k].mean(axis=0) for k in range(7)])
    for counts in resample(comparison, 200, seed=5):
        drawn = np.repeat(np.arange(7), counts)
        samples["avgrank"].append(np.mean(1 - ranks[drawn] / 7))
        samples["avgcorr"].append(np.mean(np.diag(correlations)[drawn]))
        errors = ((x - y)[drawn] ** 2).sum() / ((x - group)[drawn] ** 2).sum()
        samples["gain"].append(1 - errors)
        own = [np.corrcoef(x[k], group[k])[0, 1] for k in drawn]
        samples["baseline_avgcorr"].append(np.mean(own))
        samples["explainedvar"].append(
            explained_variance_score(x[drawn], y[drawn], multioutput="variance_weighted")
        )

    scores = score_comparison(comparison, n_permutations=0, n_bootstraps=200, seed=5)

    for metric, values in samples.items():
        expected = np.percentile(values, (2.5, 97.5))
        assert (scores[metric].low, scores[metric].high) == pytest.approx(tuple(expected)), metric


def test_predictions_of_chance_have_uniform_p_values() -> None:
    """Among 200 cohorts without any relation, about 5 % have p < 0.05."""
    found = []
    for seed in range(200):
        rng = np.random.default_rng(seed)
        comparison = compare(rng.normal(size=(10, 20)), rng.normal(size=(10, 20)))
        scores = score_comparison(comparison, n_permutations=199, n_bootstraps=0, seed=seed)
        found.append(scores["avgcorr"].p)

    assert 0.01 < np.mean(np.array(found) < 0.05) < 0.10
    assert 0.4 < np.mean(found) < 0.6


def test_people_who_do_not_vary_have_no_explained_variance() -> None:
    """NaN, without a p-value or an interval, and no warning."""
    scores = score_comparison(compare(np.ones((4, 6)), np.ones((4, 6))))

    assert np.isnan([scores["explainedvar"].value, scores["explainedvar"].p]).all()
    assert np.isnan(scores["explainedvar"].low)


def test_a_persons_other_session_is_nobody_elses(rng: np.random.Generator) -> None:
    """Ranks pass over it, permutations give whole people away, samples hold whole families."""
    people = ["a", "a", "b", "c", "c", "d", "e"]
    kinship = Kinship.of(people, ["x", "x", "x", "y", "y", "z", "z"])
    truth = rng.normal(size=(5, 300))
    x = truth[[0, 0, 1, 2, 2, 3, 4]] + 0.3 * rng.normal(size=(7, 300))
    y = x[[1, 0, 2, 4, 3, 5, 6]]  # everyone's best prediction is that of the other session

    found = compare(x, y, kinship=kinship)
    drawn = draw(kinship, n_permutations=50, n_bootstraps=50, seed=1)

    assert np.diag(found.cells["top1acc"]).all()
    assert np.diag(found.cells["avgrank"]).tolist() == [1] * 7
    for given in drawn.assignments:
        whose = [people[k] for k in given]
        assert whose[0] == whose[1]
        assert whose[3] == whose[4]
        assert len({whose[0], whose[2], whose[3], whose[5], whose[6]}) == 5
    for counts in drawn.counts:
        assert len(set(counts[:3])) == len(set(counts[3:5])) == len(set(counts[5:])) == 1


def test_ranks_among_other_people_are_those_of_the_table_without_the_other_session(
    rng: np.random.Generator,
) -> None:
    """Whoever is predicted, their other sessions are taken out first."""
    kinship = Kinship.of(["a", "b", "a", "c", "b", "d"])
    x, y = rng.normal(size=(2, 6, 20))
    cells = compare(x, y, kinship=kinship).cells

    for i, j in np.ndindex(6, 6):
        kept = [k for k in range(6) if k == j or kinship.people[k] != kinship.people[j]]
        better = np.sum(cells["avgcorr"][i, kept] > cells["avgcorr"][i, j])
        assert cells["avgrank"][i, j] == pytest.approx(1 - better / len(kept))
