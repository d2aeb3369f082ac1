import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kraken_bids.connectome.matrices import (
    check_connectome,
    edges_to_square,
    find_missing_regions,
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
