"""What means that hold a person tell of the person: nothing, or 1/n."""

import numpy as np
import pytest

import kraken_bids
from kraken_bids.flavors import Flavor
from kraken_bids.models.krakencoder.model import Model
from kraken_bids.scores.significance import compare, score_comparison

N_COHORTS, N_PEOPLE, N_EDGES = 300, 10, 50


def score_without_signal(what: str) -> np.ndarray:
    """Demeaned correlation, average rank and gain in cohorts of which nothing is known."""
    found = []
    for seed in range(N_COHORTS):
        rng = np.random.default_rng(seed)
        truth = rng.normal(size=N_EDGES)
        x = truth + rng.normal(size=(N_PEOPLE, N_EDGES))
        y = np.tile(truth, (N_PEOPLE, 1))
        if what == "noise":
            y = y + rng.normal(size=y.shape)
        scores = score_comparison(compare(x, y), n_permutations=0, n_bootstraps=0)
        found.append([scores[name].value for name in ("avgcorr_resid", "avgrank", "gain")])
    return np.array(found)


@pytest.mark.parametrize("what", ["noise", "mean"])
def test_the_mean_of_the_cohort_tells_nothing_of_people(what: str) -> None:
    """Though it is taken from both sides and holds each of them."""
    resid, rank, _ = score_without_signal(what).T

    assert abs(resid.mean()) < 4 * resid.std() / N_COHORTS**0.5
    assert abs(rank.mean() - 0.55) < 4 * max(rank.std(), 1e-9) / N_COHORTS**0.5 + 1e-9


def test_who_knows_the_true_mean_gains_by_the_number_of_people() -> None:
    """1/(n + 1) of the n people whose mean it is compared with, and no more."""
    gains = score_without_signal("mean")[:, 2]

    assert gains.mean() == pytest.approx(1 / N_PEOPLE, abs=4 * gains.std() / N_COHORTS**0.5)


def test_an_adaptation_holds_a_person_by_the_nth_part(
    model: Model, cohort_edges: dict[Flavor, np.ndarray]
) -> None:
    """Predictions of everyone by an adaptation fitted on all others differ by little more."""
    source, target = model.flavors[0], model.flavors[2]
    x, y = cohort_edges[source], cohort_edges[target]
    n = len(x)

    def predict(rows: np.ndarray, fitted_on: np.ndarray) -> np.ndarray:
        means = {source: (fitted_on.mean(axis=0), len(fitted_on))}
        adaptation = kraken_bids.fit_adaptation(means, model.training_means())
        edges = {source: rows}
        return model.predict(edges, source=source.name, targets=[target], adaptation=adaptation)[
            target
        ]

    together = predict(x, x)
    apart = np.concatenate([predict(x[[k]], np.delete(x, k, axis=0)) for k in range(n)])

    spread = np.linalg.norm(together - together.mean(axis=0))
    assert np.linalg.norm(apart - together) < 2 / n * spread
    of_both = [
        score_comparison(compare(y, rows), n_permutations=0, n_bootstraps=0)
        for rows in (together, apart)
    ]
    for name in ("avgrank", "avgcorr_resid"):
        assert of_both[0][name].value == pytest.approx(of_both[1][name].value, abs=1 / n)
