"""The cohort of connectomes, and the effect that is planted in it."""

from collections.abc import Mapping

import numpy as np
import pytest
from numpy.typing import NDArray

from kraken_bids.demo.cohort import simulate_cohort, simulate_subject
from kraken_bids.demo.population import compute_planted_correlation, draw_subjects
from kraken_bids.flavors import Flavor, parse_flavor
from kraken_bids.published.models import list_published_flavors

FloatArray = NDArray[np.float64]
FC, SC = Flavor("FCcorr", "fs86", "hpf"), Flavor("SCifod2act", "fs86", "volnorm")


@pytest.fixture(scope="module")
def cohort() -> dict[Flavor, np.ndarray]:
    """Connectomes of 112 subjects, fs86 only."""
    return simulate_cohort(112, 7, parcellations=("fs86",))


def test_cohort_has_the_published_flavors() -> None:
    """The 15 flavors of the published model, float32, one row per subject."""
    cohort = simulate_cohort(2, 0)
    assert {flavor.name for flavor in cohort} == set(list_published_flavors()[:15])
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
    squares = simulate_subject(
        draw_subjects(1, 0)[0], np.random.default_rng(0), parcellations=("fs86",)
    )
    precision = np.linalg.inv(squares[FC] + 0.06 * np.eye(86))
    expected = -precision[3, 40] / np.sqrt(precision[3, 3] * precision[40, 40])
    assert np.isclose(squares[parse_flavor("FCpcorr_fs86_hpf")][3, 40], expected)


def test_function_follows_the_plan() -> None:
    """Simulated FC differs from the planted correlation by sampling noise only."""
    subject = draw_subjects(1, 0)[0]
    squares = simulate_subject(subject, np.random.default_rng(0), parcellations=("fs86",))
    planted = compute_planted_correlation(subject)["fs86"]
    pairs = np.triu_indices(86, 1)
    assert np.corrcoef(squares[FC][pairs], planted[pairs])[0, 1] > 0.9
    assert np.abs(squares[FC] - planted).max() < 0.4


def test_similar_function_means_similar_structure(cohort: dict[Flavor, np.ndarray]) -> None:
    """The similarity of subjects in FC goes with that in SC; for shuffled subjects it does not."""
    function, structure = cohort[FC].astype(float), cohort[SC].astype(float)
    shuffled = np.random.default_rng(0).permutation(len(structure))
    assert compare_similarities(function, structure) > 0.12
    assert abs(compare_similarities(function, structure[shuffled])) < 0.08


@pytest.mark.parametrize(("source", "target"), [(SC, FC), (FC, SC)])
def test_held_out_people_are_identified(
    cohort: dict[Flavor, np.ndarray], source: Flavor, target: Flavor
) -> None:
    """A linear translation learnt on 100 subjects finds 12 others far above chance (1/12, 0.5)."""
    edges = {"source": cohort[source].astype(float), "target": cohort[target].astype(float)}
    train, test = (
        {k: v[part] for k, v in edges.items()} for part in (slice(100), slice(100, None))
    )
    top1, average_rank = identify_across(train, test)
    assert top1 > 0.4
    assert average_rank > 0.8


def test_identification_scores() -> None:
    """A perfect prediction scores 1 and 1; a prediction of the next subject never ranks first."""
    observed = np.random.default_rng(0).standard_normal((6, 50))
    assert score_identification(observed, observed) == (1.0, 1.0)
    top1, average_rank = score_identification(observed, np.roll(observed, 1, axis=0))
    assert top1 == 0
    assert average_rank < 0.8


def compare_similarities(function: FloatArray, structure: FloatArray) -> float:
    """Measure whether subjects alike in function resemble each other in structure (Mantel).

    Parameters
    ----------
    function, structure : ndarray [n_subjects, n_edges]
        Connectomes of the same subjects in the same order; edge counts may differ.

    Returns
    -------
    float
        Correlation, over all pairs of subjects, between the similarity of their functional and of
        their structural connectomes, each taken after removing the mean over subjects.
    """
    pairs = np.triu_indices(len(function), 1)
    alike = [np.corrcoef(edges - edges.mean(axis=0))[pairs] for edges in (function, structure)]
    return float(np.corrcoef(alike[0], alike[1])[0, 1])


def identify_across(
    train: Mapping[str, FloatArray], test: Mapping[str, FloatArray], *, n_components: int = 20
) -> tuple[float, float]:
    """Translate linearly from one modality to another and look for each subject among all.

    Principal components of ``source`` and ``target``, ridge regression between them, then the
    correlation of every observed with every predicted connectome.

    Parameters
    ----------
    train, test : mapping with keys ``source`` and ``target``
        Connectomes [n_subjects, n_edges] of the same subjects under both keys. Their own mean is
        removed from each of the four arrays (mean-shift adaptation).
    n_components : int
        Principal components kept on each side.

    Returns
    -------
    top1, average_rank : float
        Share of the test subjects who are found first, and the mean rank (1 perfect, 0.5 chance).
    """
    centred = {key: edges - edges.mean(axis=0) for key, edges in train.items()}
    axes = {key: _principal_axes(edges, n_components) for key, edges in centred.items()}
    scores = {key: centred[key] @ axes[key].T for key in centred}
    gram = scores["source"].T @ scores["source"]
    ridge = 0.1 * np.trace(gram) / n_components * np.eye(n_components)
    weights = np.linalg.solve(gram + ridge, scores["source"].T @ scores["target"])
    source, target = test["source"] - test["source"].mean(axis=0), test["target"]
    predicted = source @ axes["source"].T @ weights @ axes["target"]
    return score_identification(target - target.mean(axis=0), predicted)


def score_identification(observed: FloatArray, predicted: FloatArray) -> tuple[float, float]:
    """Top-1 share and average rank of the right subject; both arrays [n_subjects, n_edges]."""
    n = len(observed)
    correlation = np.corrcoef(observed, predicted)[:n, n:]
    rank = (correlation > np.diag(correlation)[:, None]).sum(axis=1)
    return float((rank == 0).mean()), float((1 - rank / n).mean())


def _principal_axes(edges: FloatArray, n_components: int) -> FloatArray:
    """First principal axes [n_components, n_edges] of centred rows, from the small Gram matrix."""
    values, vectors = np.linalg.eigh(edges @ edges.T)
    largest = np.argsort(values)[::-1][:n_components]
    return np.asarray((vectors[:, largest] / np.sqrt(values[largest])).T @ edges)
