from pathlib import Path

import numpy as np
import pytest

from kraken_bids.connectome.functional.correlations import compute_partial_correlation
from kraken_bids.connectome.functional.ridge_search import compute_mean_precision, search_ridge
from kraken_bids.exceptions import ConnectomeError

COHORT = Path(__file__).resolve().parents[3].parent / "shared/conformance/connectomes_cohort20.npz"


def draw_people(n_subjects=6, n_frames=40, n_regions=12, seed=0):
    rng = np.random.default_rng(seed)
    mixing = rng.normal(size=(n_regions, n_regions))
    runs = [rng.normal(size=(n_frames, n_regions)) @ mixing for _ in range(n_subjects)]
    return [np.corrcoef(run.T) for run in runs]


def search_densely(people, target=None):
    """Follow the rule of the reference with an inverse for each person and λ."""
    upper = np.triu_indices(len(people[0]), 1)
    target = np.mean([np.linalg.inv(x) for x in people], axis=0) if target is None else target
    tried, errors, ends = [], [], (0.0, 1.0)
    for _ in range(3):
        grid = np.linspace(*ends, 10)
        found = [
            np.mean(
                [
                    np.linalg.norm((np.linalg.inv(x + ridge * np.eye(len(x))) - target)[upper])
                    for x in people
                ]
            )
            for ridge in grid
        ]
        best = int(np.argmin(found))
        ends = (grid[best - 1] if best else 0.0, grid[best + 1] if best < 9 else 1.0)
        tried += list(grid)
        errors += found
    order = np.argsort(tried)
    return np.array(tried)[order], np.array(errors)[order]


@pytest.mark.parametrize("n_frames", [15, 40, 300])
def test_search_is_the_dense_one(n_frames):
    """λ and the error of every λ tried are those of inverting each matrix anew."""
    people = draw_people(n_frames=n_frames)
    search = search_ridge(lambda: iter(people))
    tried, errors = search_densely(people)
    np.testing.assert_allclose(search.errors, np.interp(search.tried, tried, errors), rtol=1e-9)
    assert search.found == pytest.approx(tried[np.argmin(errors)])
    assert search.ridge == round(search.found, 2)
    assert (search.n_subjects, search.n_singular) == (6, 0)


def test_covariances_count_as_correlations():
    """The scale of a region does not move λ."""
    people = draw_people()
    scale = np.linspace(0.1, 50, 12)
    scaled = [x * np.outer(scale, scale) for x in people]
    assert search_ridge(lambda: scaled).found == search_ridge(lambda: people).found


def test_given_target_wins():
    """With a target of other people, λ is the one nearest to that target; one person is enough."""
    people = draw_people(n_frames=25)
    others = draw_people(n_subjects=30, n_frames=400, seed=0)
    target = np.mean([np.linalg.inv(x) for x in others], axis=0)
    for few in (people, people[:1]):
        tried, errors = search_densely(few, target)
        found = search_ridge(lambda few=few: few, target=target)
        assert found.found == pytest.approx(tried[np.argmin(errors)])
        assert found.n_subjects == len(few)


def test_missing_regions_count_where_they_are():
    """Who lacks a region takes part with the others; the mean of a cell is over who has it."""
    people = draw_people()
    people[2][4] = people[2][:, 4] = np.nan
    whole = [np.linalg.inv(x) for k, x in enumerate(people) if k != 2]
    rest = np.delete(np.arange(12), 4)
    part = np.linalg.inv(people[2][np.ix_(rest, rest)])
    precision = compute_mean_precision(lambda: people)
    expected = np.sum(whole, axis=0)[np.ix_(rest, rest)] + part
    np.testing.assert_allclose(precision[np.ix_(rest, rest)], expected / 6, rtol=1e-9)
    np.testing.assert_allclose(precision[4], np.mean(whole, axis=0)[4], rtol=1e-9)
    assert search_ridge(lambda: people).n_subjects == 6


def test_region_that_nobody_has():
    """A region that nobody has changes nothing for the others."""
    people = draw_people()
    without = [np.delete(np.delete(x, 4, axis=0), 4, axis=1) for x in people]
    for person in people:
        person[4] = person[:, 4] = np.nan
    assert search_ridge(lambda: people).found == search_ridge(lambda: without).found


def test_fewer_frames_than_regions():
    """The target is the mean pseudo-inverse, 0 is no candidate, and λ makes an inverse."""
    people = draw_people(n_frames=9)
    expected = np.mean([np.linalg.pinv(x, rcond=1e-9, hermitian=True) for x in people], axis=0)
    np.testing.assert_allclose(compute_mean_precision(lambda: people), expected, rtol=1e-6)
    search = search_ridge(lambda: people)
    assert search.n_singular == 6
    assert search.tried[0] == 0
    assert search.errors[0] == np.inf
    assert search.ridge >= 0.01
    assert np.isfinite(compute_partial_correlation(people[0], ridge=search.ridge)).all()


def test_rounded_singular_matrices():
    """Six digits in a file leave λ as it was, if eigenvalues of their size count as zero."""
    people = draw_people(n_frames=9)
    rounded = [np.vectorize(lambda v: float(f"{v:.6g}"))(x) for x in people]
    search = search_ridge(lambda: rounded, smallest=1e-6 * 12**0.5)
    assert search.n_singular == 6
    assert search.found == search_ridge(lambda: people).found


def test_everyone_is_read_four_times_and_nobody_kept():
    """The target and three grids read everyone once each, one matrix at a time."""
    people = draw_people()
    n_reads = 0

    def read_all():
        nonlocal n_reads
        for person in people:
            n_reads += 1
            mine = person.copy()
            yield mine
            mine[:] = np.nan  # whoever looks back finds nothing

    assert search_ridge(read_all).found == search_ridge(lambda: people).found
    assert n_reads == 4 * len(people)


@pytest.mark.parametrize("n_subjects", [0, 1])
def test_too_few_people_are_refused(n_subjects):
    """One person's own inverse is no target: said, with the way out."""
    people = draw_people()[:n_subjects]
    with pytest.raises(ConnectomeError, match=rf"at least 2.*found {n_subjects}.*--pcorr-lambda"):
        search_ridge(lambda: people)


def test_nobody_to_match_a_target():
    """A target without people is refused."""
    with pytest.raises(ConnectomeError, match="at least one subject"):
        search_ridge(list, target=np.eye(12))


def test_other_sizes_are_refused():
    """People or a target of another atlas are refused."""
    people = draw_people()
    with pytest.raises(ConnectomeError, match="different atlases"):
        search_ridge(lambda: people, target=np.eye(5))
    with pytest.raises(ConnectomeError, match="different atlases"):
        search_ridge(lambda: [*people, np.eye(5)])


@pytest.mark.skipif(not COHORT.exists(), reason="shared conformance data are not here")
def test_published_people():
    """On real people the search agrees with the dense one, and lands near the published 0.06."""
    people = np.load(COHORT)["FCcorr_fs86_hpf"].astype(float)
    for some in (people[:10], people):
        tried, errors = search_densely(some)
        search = search_ridge(lambda some=some: some)
        assert search.found == pytest.approx(tried[np.argmin(errors)])
        assert search.ridge == pytest.approx(0.06, abs=0.011)
