"""Both triangles of squares that pass cell by cell weigh the same, or their row is named."""

import numpy as np
import pytest

from kraken_bids.cohort import triangles
from kraken_bids.cohort.triangles import Triangles

N = 23
COLUMN, ROW = np.triu_indices(N, 1)
Squares = np.ndarray


def list_unlike(squares: Squares) -> list[int]:
    """Let squares pass as from a file in which the second axis varies fastest."""
    found = Triangles(N, len(squares))
    own = squares[:, ROW, COLUMN].T
    for start in range(0, len(own), 50):
        found.add_own(own[start : start + 50])
    for column in range(1, N):
        found.add_other(squares[:, :column, column].T)
    return found.list_unlike()


@pytest.fixture
def squares() -> Squares:
    edges = np.random.default_rng(0).normal(size=(6, N, N))
    return edges + edges.swapaxes(1, 2)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("step", [1, 100, 1 << 16])
def test_symmetric_squares_are_alike_whatever_their_diagonal(
    squares: Squares, monkeypatch: pytest.MonkeyPatch, dtype: type[np.floating], step: int
) -> None:
    """In steps of any size."""
    monkeypatch.setattr(triangles, "STEP_VALUES", step)
    squares[:, range(N), range(N)] = np.nan
    assert list_unlike(squares.astype(dtype)) == []


@pytest.mark.parametrize("place", [(0, 1), (1, 0), (22, 21), (3, 17), (17, 3)])
def test_one_entry_of_one_row_is_noticed(squares: Squares, place: tuple[int, int]) -> None:
    """By one bit of float32; twice the rounding that programs leave is not."""
    squares = squares.astype(np.float32)
    squares[4][place] = np.nextafter(squares[4][place], np.float32(9))
    assert list_unlike(squares) == [4]
    noisy = squares.astype(np.float64)[:4]
    noisy[2][place] *= 1 + 4e-16
    assert list_unlike(noisy) == []


def test_differences_that_add_up_to_nothing_are_noticed(squares: Squares) -> None:
    """Two entries exchanged, signs turned, a triangle of zeros."""
    squares[0, 3, 9], squares[0, 5, 2] = squares[0, 5, 2], squares[0, 3, 9]
    squares[2] = np.triu(squares[2]) - np.tril(squares[2])
    squares[3] = np.tril(squares[3])
    assert list_unlike(squares) == [0, 2, 3]


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_named(squares: Squares, value: float) -> None:
    """In both triangles or one."""
    squares[1, 2, 3] = squares[1, 3, 2] = value
    squares[5, 7, 3] = value
    assert list_unlike(squares) == [1, 5]
