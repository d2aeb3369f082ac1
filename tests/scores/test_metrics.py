"""Metrics against numpy, scipy and scikit-learn."""

import numpy as np
import pytest
from scipy.stats import rankdata

from kraken_bids.exceptions import ConnectomeError
from kraken_bids.scores import metrics
from kraken_bids.scores.component_metrics import PairCorrelations
from kraken_bids.scores.metrics import (
    own_correlations,
    rank_cells,
    rank_own,
    row_correlations,
)


@pytest.fixture
def pair(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    x = rng.normal(size=(12, 60)) + rng.normal(size=60)
    return x, x + 2.5 * rng.normal(size=x.shape)


def test_row_correlations_are_numpys(pair: tuple[np.ndarray, np.ndarray]) -> None:
    """Observed subjects in rows, predicted ones in columns."""
    x, y = pair

    np.testing.assert_allclose(row_correlations(x, y), np.corrcoef(x, y)[:12, 12:], atol=1e-12)
    with pytest.raises(ConnectomeError, match="one shape"):
        row_correlations(x, y[:, 1:])


def test_identification_counts_ranks_of_the_own_prediction(
    pair: tuple[np.ndarray, np.ndarray],
) -> None:
    """top-1 and average rank follow from scipy's ranks of each row."""
    cc = row_correlations(*pair)
    ranks = np.array([rankdata(-row)[i] - 1 for i, row in enumerate(cc)])
    found = PairCorrelations(cc, cc).summarise()

    np.testing.assert_array_equal(rank_own(cc), ranks)
    assert 0 < found["top1acc"] < 1
    assert found["top1acc"] == pytest.approx(np.mean(ranks < 1))
    assert found["avgrank"] == pytest.approx(np.mean(1 - ranks / 12))


def test_every_cell_is_ranked_as_scipy_ranks_it(rng: np.random.Generator) -> None:
    """The highest first, ties in the middle."""
    cells = rng.integers(0, 4, (9, 9)).astype(float)

    expected = np.stack([rankdata(-row) - 1 for row in cells])
    np.testing.assert_allclose(rank_cells(cells), expected)


def test_predictions_that_are_all_alike_identify_nobody(rng: np.random.Generator) -> None:
    """The mean connectome predicted for everyone is chance, not perfection."""
    x = rng.normal(size=(10, 30))
    cc = row_correlations(x, np.tile(np.arange(30.0), (10, 1)))

    found = PairCorrelations(cc, cc).summarise()

    assert found["top1acc"] == 0
    assert found["avgrank"] == pytest.approx(0.55)


def test_ranks_of_the_own_cells_are_those_of_all_cells(rng: np.random.Generator) -> None:
    """With ties too, and with rows that are all alike."""
    cells = rng.integers(0, 4, size=(9, 9)).astype(float)
    cells[3] = 1.0

    np.testing.assert_array_equal(rank_own(cells), np.diag(rank_cells(cells)))


def test_blocks_of_edges_change_no_correlation(
    rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Edges taken a few at a time give what all at once give."""
    x = rng.normal(size=(8, 50)).astype(np.float32)
    y = (x + rng.normal(size=x.shape)).astype(np.float32)
    whole = row_correlations(x, y)

    monkeypatch.setattr(metrics, "BLOCK", 7 * len(x))

    np.testing.assert_allclose(row_correlations(x, y), whole, atol=1e-12)


def test_own_correlations_are_the_diagonal(pair: tuple[np.ndarray, np.ndarray]) -> None:
    """Less a mean on either side too; a row without variance gives 0."""
    x, y = pair
    means = x.mean(axis=0), y.mean(axis=0) + 1
    expected = np.diag(row_correlations(x - means[0], y - means[1]))
    found = own_correlations(x, y, observed_mean=means[0], predicted_mean=means[1])

    np.testing.assert_allclose(found, expected, atol=1e-12)
    assert own_correlations(np.ones((1, 5)), np.arange(5.0)[None]) == [0.0]


@pytest.mark.parametrize("n_subjects", [2, 3, 7])
def test_two_alike_predictions_identify_neither(n_subjects: int) -> None:
    """Not even among two; two that share the first two places lie between them."""
    alike = np.full((n_subjects, n_subjects), 0.4)

    assert PairCorrelations(alike, alike).summarise()["top1acc"] == 0
    assert rank_own(np.full((2, 2), 0.4)).tolist() == [0.5, 0.5]
    assert rank_own(np.eye(n_subjects)).tolist() == [0] * n_subjects
