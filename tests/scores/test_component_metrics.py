"""Metrics from scores against the same metrics of connectomes that are built."""

from dataclasses import replace

import numpy as np
import pytest

from kraken_bids.scores.component_metrics import (
    METRICS,
    EdgeFrame,
    ObservedEdges,
    PairCorrelations,
    correlate_edges,
    correlate_rows,
    correlate_scores,
    make_frame,
)
from kraken_bids.scores.metrics import find_ranked, row_correlations
from kraken_bids.scores.resampling import Kinship
from kraken_bids.scores.significance import list_cells
from tests.plain_metrics import compute_metrics

N_SUBJECTS, N_EDGES, N_COMPONENTS = 14, 300, 6


def observe(edges: np.ndarray, center: np.ndarray, components: np.ndarray) -> ObservedEdges:
    deviations = edges - center
    return ObservedEdges(
        scores=deviations @ components.T,
        sums=deviations.sum(axis=1),
        squares=(deviations**2).sum(axis=1),
        by_center=deviations @ center,
    )


@pytest.fixture
def made(rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Connectomes with a part beyond the components, and predictions of them."""
    center = 3 + rng.normal(size=N_EDGES)
    components = np.linalg.qr(rng.normal(size=(N_EDGES, N_COMPONENTS)))[0].T
    scores = rng.normal(size=(N_SUBJECTS, N_COMPONENTS))
    beyond = 0.1 * rng.normal(size=(N_SUBJECTS, N_EDGES))
    predicted = scores + 0.7 * rng.normal(size=scores.shape) + 0.3
    edges = center + scores @ components + beyond
    return {"edges": edges, "center": center, "components": components, "predicted": predicted}


def test_edge_space_from_scores_is_that_of_built_edges(made: dict[str, np.ndarray]) -> None:
    """Every metric, to 1e-10."""
    center, components = made["center"], made["components"]
    built = center + made["predicted"] @ components
    observed = observe(made["edges"], center, components)

    found = correlate_edges(make_frame(center, components), observed, made["predicted"])

    expected = compute_metrics(made["edges"], built, mean=center)
    np.testing.assert_allclose(found.plain, row_correlations(made["edges"], built), atol=1e-12)
    for name, value in found.summarise().items():
        assert value == pytest.approx(expected[name], abs=1e-10), name
    assert 0.05 < found.summarise()["top1acc"] < 1


def test_predictions_of_a_persons_other_sessions_are_not_ranked(
    made: dict[str, np.ndarray],
) -> None:
    """Ranks as of the cells that permutations deal out; shuffled ones as of all rows dealt out."""
    people = [0, 0, 1, 2, 2, 2, 3, 4, 5, 6, 6, 7, 8, 0]
    mean = np.zeros(N_COMPONENTS)
    scores = made["edges"] @ made["components"].T
    pairs = replace(correlate_scores(scores, made["predicted"], mean), ranked=find_ranked(people))
    found, shuffled = pairs.summarise(), pairs.summarise_shuffled()
    cells = list_cells(pairs.plain, pairs.demeaned, Kinship.of(people))
    for name in METRICS:
        assert found[name] == pytest.approx(np.diag(cells[name]).mean()), name
    others = [[j for j in range(14) if j == i or people[j] != people[i]] for i in range(14)]
    assert shuffled["top1acc"] == pytest.approx(np.mean([1 / len(own) for own in others]))
    expected = np.mean([pairs.plain[i, own].mean() for i, own in enumerate(others)])
    assert shuffled["avgcorr"] == pytest.approx(expected)
    assert find_ranked(range(14)) is None


def test_several_sources_at_once_give_what_each_alone_gives(
    made: dict[str, np.ndarray], rng: np.random.Generator
) -> None:
    """In both spaces."""
    center, components = made["center"], made["components"]
    frame, observed = make_frame(center, components), observe(made["edges"], center, components)
    predicted = np.stack([made["predicted"], rng.normal(size=made["predicted"].shape)])
    mean = rng.normal(size=N_COMPONENTS)

    edges = correlate_edges(frame, observed, predicted)
    scores = correlate_scores(observed.scores, predicted, mean)

    for k, one in enumerate(predicted):
        np.testing.assert_allclose(edges.plain[k], correlate_edges(frame, observed, one).plain)
        expected = correlate_rows(observed.scores, one, mean)
        np.testing.assert_allclose(scores.plain[k], expected.plain, atol=1e-12)
        np.testing.assert_allclose(scores.demeaned[k], expected.demeaned, atol=1e-12)
        for name, values in scores.summarise().items():
            assert values[k] == pytest.approx(expected.summarise()[name]), name


def test_some_subjects_give_what_they_alone_would(made: dict[str, np.ndarray]) -> None:
    """Rows are taken in the order asked for."""
    center, components = made["center"], made["components"]
    rows = np.array([5, 1, 9])
    frame = make_frame(center, components)

    found = correlate_edges(
        frame, observe(made["edges"], center, components).take(rows), made["predicted"][rows]
    )

    alone = observe(made["edges"][rows], center, components)
    expected = correlate_edges(frame, alone, made["predicted"][rows])
    np.testing.assert_allclose(found.plain, expected.plain, atol=1e-14)


def test_the_group_mean_tells_nobody_apart(made: dict[str, np.ndarray]) -> None:
    """It correlates highly with everyone, and the demeaned correlation is 0."""
    center, components = made["center"], made["components"]
    mean_only = np.zeros((N_SUBJECTS, N_COMPONENTS))

    found = correlate_edges(
        make_frame(center, components), observe(made["edges"], center, components), mean_only
    ).summarise()

    assert found["avgcorr"] > 0.5
    assert found["avgcorr_resid"] == 0
    assert found["avgrank"] == pytest.approx((N_SUBJECTS + 1) / (2 * N_SUBJECTS))
    assert found["top1acc"] == 0


def test_shuffled_pairs_are_the_mean_of_many_shuffles(
    made: dict[str, np.ndarray], rng: np.random.Generator
) -> None:
    """The closed form against 3000 permutations."""
    edges, center = made["edges"], made["center"]
    built = center + made["predicted"] @ made["components"]
    pairs = correlate_rows(edges, built, center)
    orders = [rng.permutation(N_SUBJECTS) for _ in range(3000)]

    drawn = [
        PairCorrelations(pairs.plain[:, order], pairs.demeaned[:, order]).summarise()
        for order in orders
    ]

    for name, value in pairs.summarise_shuffled().items():
        assert value == pytest.approx(np.mean([one[name] for one in drawn]), abs=0.02), name


def test_rows_without_variance_correlate_with_nothing() -> None:
    """No NaN comes out of a prediction that is the same everywhere."""
    frame = EdgeFrame(4, 4.0, 4.0, np.zeros(1), np.zeros(1))
    observed = ObservedEdges(np.ones((2, 1)), np.zeros(2), np.ones(2), np.zeros(2))

    found = correlate_edges(frame, observed, np.zeros((2, 1)))

    assert np.array_equal(found.plain, np.zeros((2, 2)))
