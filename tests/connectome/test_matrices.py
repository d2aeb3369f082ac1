import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kraken_bids.connectome.matrices import (
    check_connectome,
    edges_to_square,
    fill_square,
    find_missing_regions,
    fold_square,
    n_regions_of,
    square_to_edges,
)
from kraken_bids.exceptions import ConnectomeError


def random_connectome(n_regions=6, seed=0):
    values = np.random.default_rng(seed).normal(size=(n_regions, n_regions))
    return values + values.T


@given(st.integers(2, 40), st.integers(0, 3))
def test_squares_and_edges_round_trip(n_regions, n_leading):
    """Edges, squared and flattened again, are the same edges, for any leading axes."""
    shape = (2,) * n_leading + (n_regions * (n_regions - 1) // 2,)
    edges = np.random.default_rng(n_regions).normal(size=shape).astype(np.float32)
    square = edges_to_square(edges, diagonal=1.0)
    assert square.shape == (*shape[:-1], n_regions, n_regions)
    assert square.dtype == np.float32
    np.testing.assert_array_equal(square, np.swapaxes(square, -1, -2))
    np.testing.assert_array_equal(np.diagonal(square, axis1=-2, axis2=-1), 1.0)
    np.testing.assert_array_equal(square_to_edges(square), edges)


def test_edges_are_the_strict_upper_triangle_row_by_row():
    """The order is (0,1), (0,2), (1,2), as upstream's numpy.triu_indices."""
    square = np.arange(9.0).reshape(3, 3)
    assert square_to_edges(square).tolist() == [1.0, 2.0, 5.0]


def test_number_of_regions():
    """86, 268 and 439 regions have 3655, 35778 and 96141 pairs; other numbers are refused."""
    assert [n_regions_of(n) for n in (3655, 35778, 96141, 1)] == [86, 268, 439, 2]
    for n_edges in (0, 2, 3654):
        with pytest.raises(ConnectomeError, match=f"found {n_edges} edges"):
            n_regions_of(n_edges)
    with pytest.raises(ConnectomeError, match=r"\(3, 4\)"):
        square_to_edges(np.zeros((3, 4)))


def test_a_good_connectome_passes_with_missing_regions():
    """Whole NaN rows are allowed and found, whatever their diagonal holds."""
    square = random_connectome()
    square[2], square[:, 2] = np.nan, np.nan
    check_connectome(square, "here")
    square[2, 2] = 1.0
    assert np.flatnonzero(find_missing_regions(square)).tolist() == [2]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda m: m[:, :4], "square"),
        (np.triu, "symmetric"),
        (lambda m: np.where(np.eye(6) > 0, np.inf, m), "infinite"),
        (lambda m: np.where(np.add.outer(range(6), range(6)) == 1, np.nan, m), "single NaN"),
        (lambda m: m * np.nan, "6 of 6 regions missing"),
    ],
)
def test_what_cannot_be_a_connectome_is_refused(change, words):
    """Every defect is named, with where it was found."""
    with pytest.raises(ConnectomeError, match=words) as caught:
        check_connectome(change(random_connectome()), "sub-01 SC")
    assert "sub-01 SC" in str(caught.value)


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
