"""The generative model of subjects."""

import numpy as np
import pytest

from kraken_bids.demo.cohort import COHORT, DATA_SET
from kraken_bids.demo.population import (
    ALGORITHMS,
    compute_cell_shares,
    compute_loadings,
    compute_planted_correlation,
    compute_region_weights,
    compute_streamline_shares,
    draw_subjects,
)
from kraken_bids.demo.template_brain import N_CELLS, PARCELLATIONS


def test_people_depend_on_the_seed_alone() -> None:
    """The first subjects are the same however many are drawn; another seed gives others."""
    few, many, others = draw_subjects(2, 3), draw_subjects(5, 3), draw_subjects(2, 4)
    assert np.array_equal(few[1].shared, many[1].shared)
    assert not np.array_equal(few[0].shared, others[0].shared)


def test_training_and_demonstration_never_share_people() -> None:
    """With the same seed the cohort and the data set hold different subjects."""
    cohort, data_set = (draw_subjects(1, [1, half])[0] for half in (COHORT, DATA_SET))
    assert not np.array_equal(cohort.shared, data_set.shared)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_streamline_shares_are_a_symmetric_distribution(algorithm: str) -> None:
    """Shares over pairs of cells are symmetric, positive and sum to one."""
    shares = compute_streamline_shares(draw_subjects(1, 0)[0], algorithm)
    assert shares.shape == (N_CELLS, N_CELLS)
    assert np.allclose(shares, shares.T)
    assert shares.min() > 0
    assert np.isclose(shares.sum(), 1)


@pytest.mark.parametrize("name", PARCELLATIONS)
def test_weights_average(name: str) -> None:
    """Region weights sum to one per region, cell shares to one per cell."""
    assert np.allclose(compute_region_weights(name).sum(axis=0), 1)
    assert np.allclose(compute_cell_shares(name).sum(axis=1), 1)


def test_planted_correlation_is_a_correlation() -> None:
    """Unit diagonal, symmetric, no negative eigenvalue."""
    planted = compute_planted_correlation(draw_subjects(1, 0)[0])["shen268"]
    assert np.allclose(np.diag(planted), 1)
    assert np.allclose(planted, planted.T)
    assert np.linalg.eigvalsh(planted).min() > -1e-10


def test_modalities_share_most_of_a_person() -> None:
    """A subject's bend of the loadings is alike in function and structure, but not the same."""
    subjects = draw_subjects(20, 0)
    function = np.array([compute_loadings(p, modality="function").ravel() for p in subjects])
    structure = np.array([compute_loadings(p, modality="structure").ravel() for p in subjects])
    function -= function.mean(axis=0)
    structure -= structure.mean(axis=0)
    own = [np.corrcoef(f, s)[0, 1] for f, s in zip(function, structure, strict=True)]
    assert 0.4 < np.mean(own) < 0.9
