"""Subjects come first, whichever axis a program has put them on."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kraken_bids.cohort.row_axes import MovedRows, put_subjects_first
from kraken_bids.exceptions import ConnectomeError


class Reversed(np.ndarray):
    """Array of a MATLAB 7.3 file, which does not say which axis comes first."""

    is_reversed = True


@given(n=st.integers(1, 6), n_regions=st.integers(7, 12), is_known=st.booleans())
def test_squares_of_either_order_are_the_same(n: int, n_regions: int, *, is_known: bool) -> None:
    """Last axis moves; first stays."""
    squares = np.arange(n * n_regions**2, dtype=float).reshape(n, n_regions, n_regions)
    known = n_regions if is_known else None
    for array in (squares, np.moveaxis(squares, 0, -1)):
        assert np.array_equal(put_subjects_first(array, known, "x"), squares)


@given(n=st.integers(1, 12), n_regions=st.integers(6, 9))
def test_edges_of_either_order_are_the_same(n: int, n_regions: int) -> None:
    """The number of regions says which axis is which."""
    n_edges = n_regions * (n_regions - 1) // 2
    edges = np.arange(n * n_edges, dtype=float).reshape(n, n_edges)
    for array in (edges, edges.T):
        assert np.array_equal(put_subjects_first(array, n_regions, "x"), edges)


@pytest.mark.parametrize("n_regions", [5, None])
@pytest.mark.parametrize("shape", [(10,), (5, 5)])
def test_one_connectome_is_a_cohort_of_one(shape: tuple[int, ...], n_regions: int | None) -> None:
    """As edges and as a square."""
    assert put_subjects_first(np.zeros(shape), n_regions, "x").shape == (1, *shape)


@pytest.mark.parametrize("shape", [(4, 11), (11,), (2, 3, 4), (2, 2, 2, 2)])
def test_what_fits_nothing_is_left_as_it_is(shape: tuple[int, ...]) -> None:
    """Whoever checks the shape says what was found."""
    assert put_subjects_first(np.zeros(shape), 5, "x").shape == shape


def test_a_file_of_either_order_with_as_many_subjects_as_edges_is_refused() -> None:
    """No size tells them apart; with other numbers the sizes do."""
    with pytest.raises(ConnectomeError, match=r"file\.mat: expected sizes that tell subjects"):
        put_subjects_first(np.zeros((10, 10)).view(Reversed), 5, "file.mat")
    assert put_subjects_first(np.zeros((10, 4)).view(Reversed), 5, "x").shape == (4, 10)
    assert put_subjects_first(np.zeros((4, 10)).view(Reversed), 5, "x").shape == (4, 10)


def test_moved_rows_are_read_in_blocks() -> None:
    """Same blocks as of the array with its axes moved."""
    array = np.arange(24.0).reshape(2, 3, 4)
    rows = MovedRows(array)
    assert rows.shape == (4, 2, 3)
    assert rows.dtype == array.dtype
    assert np.array_equal(rows[1:3], np.moveaxis(array, -1, 0)[1:3])
