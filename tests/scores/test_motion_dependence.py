import numpy as np
import pytest
from scipy.spatial.distance import pdist
from scipy.stats import false_discovery_control, pearsonr, spearmanr
from scipy.stats import t as student

from kraken_bids.exceptions import ConnectomeError
from kraken_bids.scores.motion_dependence import (
    MotionDependence,
    correlate_with_motion,
    distance_dependence,
    edge_distances,
    region_centroids,
)

N_SESSIONS, N_REGIONS = 40, 30


@pytest.fixture
def centroids() -> np.ndarray:
    """Places of regions in a head, mm."""
    return np.random.default_rng(1).uniform(-60, 60, (N_REGIONS, 3))


@pytest.fixture
def motion() -> np.ndarray:
    """Mean displacement of each session, mm."""
    return np.random.default_rng(2).gamma(3, 0.05, N_SESSIONS)


@pytest.fixture
def clean() -> np.ndarray:
    """Edges [n_sessions, n_edges] that know nothing of motion."""
    n_edges = N_REGIONS * (N_REGIONS - 1) // 2
    return 0.3 + 0.1 * np.random.default_rng(3).normal(size=(N_SESSIONS, n_edges))


def test_every_edge_is_scipys_correlation(clean: np.ndarray, motion: np.ndarray) -> None:
    """Each edge has the r and p of pearsonr over the sessions that have it."""
    clean[3, 7] = clean[4, 7] = np.nan
    clean[0, 8] = np.nan
    found = correlate_with_motion(iter(clean), motion)
    for k in range(20):
        has = np.isfinite(clean[:, k])
        expected = pearsonr(clean[has, k], motion[has])
        assert found.correlation[k] == pytest.approx(expected.statistic, abs=1e-10)
        assert found.p_value[k] == pytest.approx(expected.pvalue, abs=1e-10)


def test_edges_that_few_have_or_that_do_not_vary_are_nan(
    clean: np.ndarray, motion: np.ndarray
) -> None:
    """They have no correlation and do not count in the summaries."""
    clean[9:, 0] = np.nan
    clean[:, 1] = 0.25
    clean[:, 2] = np.nan
    found = correlate_with_motion(clean, motion)
    np.testing.assert_array_equal(np.flatnonzero(np.isnan(found.correlation)), [0, 1, 2])
    assert np.isfinite([found.median_absolute, found.share_uncorrected]).all()


def test_a_planted_artefact_with_distance_dependence_is_found(
    clean: np.ndarray, motion: np.ndarray, centroids: np.ndarray
) -> None:
    """Near edges that rise with motion, and far ones that fall, show in all three numbers."""
    distances = edge_distances(centroids)
    effect = 1 - distances / np.median(distances)
    moved = clean + 2 * motion[:, None] * effect
    found = correlate_with_motion(moved, motion)
    assert found.median_absolute > 3 * found.chance_absolute
    assert found.share_corrected > 0.5
    assert distance_dependence(found, distances) < -0.9


def test_without_an_artefact_none_is_found(
    clean: np.ndarray, motion: np.ndarray, centroids: np.ndarray
) -> None:
    """Unrelated edges give what chance gives: its median, 5 % of edges, none once corrected."""
    found = correlate_with_motion(clean, motion)
    assert found.median_absolute == pytest.approx(found.chance_absolute, rel=0.15)
    assert found.share_uncorrected == pytest.approx(0.05, abs=0.03)
    assert found.share_corrected == 0
    assert abs(distance_dependence(found, edge_distances(centroids))) < 0.15


def test_sessions_of_a_person_are_no_further_people(motion: np.ndarray) -> None:
    """Edges and motion that are much the same in three sessions are found as rarely as in one."""
    rng = np.random.default_rng(6)
    people = np.repeat(np.arange(N_SESSIONS), 3)
    moved = motion[people] * rng.uniform(0.8, 1.2, len(people))
    edges = rng.normal(size=(N_SESSIONS, 2000))[people]
    edges += 0.4 * rng.normal(size=edges.shape)
    alone = correlate_with_motion(edges, moved)
    assert alone.share_uncorrected > 0.2  # what they would be as people of their own
    found = correlate_with_motion(edges, moved, people.tolist())
    assert found.n_people == N_SESSIONS
    assert found.share_uncorrected == pytest.approx(0.05, abs=0.02)
    assert found.share_corrected == 0


def test_a_session_that_lacks_an_edge_has_no_part_in_its_persons_mean() -> None:
    """Edge and motion of a person are means over the sessions that have the edge."""
    rng = np.random.default_rng(7)
    people = np.repeat(np.arange(N_SESSIONS), 2)
    edges, moved = rng.normal(size=(len(people), 2)), rng.gamma(3, 0.05, len(people))
    edges[::6, 1] = np.nan
    edges[6:8, 1] = np.nan
    found = correlate_with_motion(iter(edges), moved, people.tolist())
    has = np.isfinite(edges[:, 1])
    kept = [k for k in range(N_SESSIONS) if has[people == k].any()]
    x, y = ([values[has & (people == k)].mean() for k in kept] for values in (edges[:, 1], moved))
    expected = pearsonr(x, y)
    assert found.correlation[1] == pytest.approx(expected.statistic, abs=1e-10)
    assert found.p_value[1] == pytest.approx(expected.pvalue, abs=1e-10)


def test_false_discovery_rate_is_that_of_benjamini_and_hochberg() -> None:
    """The share of edges is that of the step-up rule, written out."""
    p = np.concatenate([np.random.default_rng(4).uniform(0, 0.004, 30), np.linspace(0.1, 1, 70)])
    order = np.sort(p)
    passed = np.flatnonzero(order <= 0.05 * np.arange(1, 101) / 100)
    expected = (passed[-1] + 1) / 100
    values = np.append(p, np.nan)
    found = MotionDependence(values, values, 40).share_corrected
    assert found == pytest.approx(expected)
    assert found == (false_discovery_control(p) < 0.05).mean()


def test_chance_is_the_median_of_students_t() -> None:
    """The correlation whose t is the upper quartile of the distribution."""
    t = student.ppf(0.75, 38)
    assert MotionDependence(np.zeros(3), np.ones(3), 40).chance_absolute == t / np.sqrt(38 + t**2)


def test_distance_dependence_is_spearmans(
    clean: np.ndarray, motion: np.ndarray, centroids: np.ndarray
) -> None:
    """Over the edges whose correlation and length are both known."""
    clean[:, 5] = np.nan
    centroids[2] = np.nan
    found, distances = correlate_with_motion(clean, motion), edge_distances(centroids)
    expected = spearmanr(found.correlation, distances, nan_policy="omit").statistic
    assert distance_dependence(found, distances) == pytest.approx(expected)
    assert np.isnan(distance_dependence(found, np.full_like(distances, np.nan)))
    assert np.isnan(distance_dependence(found, np.ones_like(distances)))


def test_distances_are_scipys(centroids: np.ndarray) -> None:
    """In the order of the upper triangle."""
    np.testing.assert_allclose(edge_distances(centroids), pdist(centroids))


def test_centroids_are_means_of_voxels_in_millimetres() -> None:
    """Each region's voxels averaged through the affine; NaN for a region that is absent."""
    labels = np.zeros((6, 7, 8), int)
    labels[1:3, 2, 3] = 1
    labels[4, 5:7, 6] = 3
    affine = np.array([[-2, 0, 0, 90], [0, 2, 0.1, -126], [0, 0, 2, -72], [0, 0, 0, 1.0]])
    found = region_centroids(labels, affine, 3)
    for region in (1, 3):
        points = [affine[:3] @ [*voxel, 1] for voxel in np.argwhere(labels == region)]
        np.testing.assert_allclose(found[region - 1], np.mean(points, axis=0))
    assert np.isnan(found[1]).all()


@pytest.mark.parametrize(
    ("n", "values"), [(9, None), (12, 0.2), (12, np.nan)], ids=["few", "same", "unknown"]
)
def test_what_cannot_be_correlated_is_refused(n: int, values: float | None) -> None:
    """Nine people, one motion for all, or unknown motion are refused with the numbers."""
    motion = np.arange(n) / 10 if values is None else np.full(n, values)
    with pytest.raises(ConnectomeError, match=f"at least 10 people.*found {n} people"):
        correlate_with_motion(np.ones((n, 3)), motion)


def test_connectomes_of_other_sizes_and_constant_ones_are_refused(motion: np.ndarray) -> None:
    """Each with its own sentence."""
    edges = [np.ones(3)] * N_SESSIONS
    with pytest.raises(ConnectomeError, match="edges that vary"):
        correlate_with_motion(edges, motion)
    edges[5] = np.ones(4)
    with pytest.raises(ConnectomeError, match="of 3 edges; found one of 4"):
        correlate_with_motion(edges, motion)
