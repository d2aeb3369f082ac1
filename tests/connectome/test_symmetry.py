"""Symmetric matrices and lone triangles give their edges; anything else is refused by name."""

import numpy as np
import pytest

from kraken_bids.connectome.matrices import edges_to_square
from kraken_bids.connectome.symmetry import fill_square, fold_square
from kraken_bids.exceptions import ConnectomeError

N = 9
EDGES = np.random.default_rng(0).random(N * (N - 1) // 2) + 0.1


@pytest.fixture
def square() -> np.ndarray:
    return edges_to_square(EDGES, diagonal=1.0)


@pytest.mark.parametrize("diagonal", [0.0, 1.0, np.nan, np.inf])
def test_a_symmetric_matrix_gives_its_edges(square: np.ndarray, diagonal: float) -> None:
    """Whatever its diagonal holds: zeros, ones, Fisher's z of 1."""
    np.fill_diagonal(square, diagonal)
    edges, is_mirrored = fold_square(square, "x")
    np.testing.assert_array_equal(edges, EDGES)
    assert not is_mirrored


@pytest.mark.parametrize("diagonal", [0.0, 1.0, np.nan, np.inf])
@pytest.mark.parametrize("empty", [0.0, np.nan])
@pytest.mark.parametrize("keep", [np.triu, np.tril])
def test_a_lone_triangle_is_taken_for_both(
    square: np.ndarray, keep: object, empty: float, diagonal: float
) -> None:
    """The upper one, the lower one; the other of zeros or NaN."""
    assert callable(keep)
    inside = keep(np.ones((N, N), bool))
    square[~inside] = empty
    np.fill_diagonal(square, diagonal)
    edges, is_mirrored = fold_square(square, "x")
    np.testing.assert_array_equal(edges, EDGES)
    assert is_mirrored
    filled, its_edges, _ = fill_square(square, "x")
    np.testing.assert_array_equal(its_edges, EDGES)
    expected = edges_to_square(EDGES, diagonal=0.0)
    np.fill_diagonal(expected, diagonal)
    np.testing.assert_array_equal(filled, expected)


def test_a_whole_matrix_is_not_copied(square: np.ndarray) -> None:
    """As most are."""
    assert fill_square(square, "x")[0] is square


@pytest.mark.parametrize("diagonal", [0.0, np.nan, np.inf])
@pytest.mark.parametrize("value", [0.7, 0.0, np.nan, np.inf])
def test_two_different_triangles_are_refused(
    square: np.ndarray, value: float, diagonal: float
) -> None:
    """By one entry, whatever the diagonal, which switches nothing off."""
    square[5, 2] = value
    np.fill_diagonal(square, diagonal)
    with pytest.raises(ConnectomeError, match=r"four: expected a symmetric.*1 of 36 pairs"):
        fold_square(square, "four")


def test_the_tolerance_is_that_of_the_matrix_itself(square: np.ndarray) -> None:
    """Six digits of text differ by less; a thousandth of the largest edge does not."""
    rounded = square.copy()
    rounded[5, 2] *= 1 + 1e-6
    assert not fold_square(rounded, "x")[1]
    for scale in (1e-9, 1.0, 1e9):
        wrong = square * scale
        wrong[5, 2] += 1e-3 * wrong.max()
        with pytest.raises(ConnectomeError, match="symmetric"):
            fold_square(wrong, "x")


def test_missing_regions_and_equal_infinities_are_no_asymmetry(square: np.ndarray) -> None:
    """Whole rows and columns of NaN stay; infinite edges are for others to refuse."""
    square[3], square[:, 3] = np.nan, np.nan
    edges, is_mirrored = fold_square(square, "x")
    assert np.isnan(edges).sum() == N - 1
    assert not is_mirrored
    square[0, 1] = square[1, 0] = np.inf
    square[2, 2] = np.nan
    assert np.isinf(fold_square(square, "x")[0]).sum() == 1


def test_a_matrix_of_zeros_is_no_triangle() -> None:
    """Both are empty."""
    edges, is_mirrored = fold_square(np.zeros((N, N)), "x")
    assert not edges.any()
    assert not is_mirrored
