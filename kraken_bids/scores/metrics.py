"""How well predicted connectomes match observed ones: observed in rows, predicted in columns."""

from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from kraken_bids.exceptions import ConnectomeError

Matrix = NDArray[np.float64]

BLOCK = 1 << 20
"""Numbers of a cohort that are in memory in float64 at once."""


def row_correlations(observed: NDArray[np.floating], predicted: NDArray[np.floating]) -> Matrix:
    """Pearson correlation of every observed row with every predicted row.

    Parameters
    ----------
    observed, predicted : ndarray of shape (n_subjects, n_edges)

    Returns
    -------
    ndarray of shape (n_subjects, n_subjects)
        Observed subjects in rows. A row without variance gives 0.

    Raises
    ------
    ConnectomeError
    """
    check_shapes(observed, predicted)
    n = len(observed)
    total = np.zeros((n, n))
    x_squares, y_squares = np.zeros((2, n))
    x_mean, y_mean = (
        rows.mean(axis=1, dtype=np.float64, keepdims=True) for rows in (observed, predicted)
    )
    for part in list_blocks(observed):
        x, y = observed[:, part] - x_mean, predicted[:, part] - y_mean
        total += x @ y.T
        x_squares += np.einsum("ne,ne->n", x, x)
        y_squares += np.einsum("ne,ne->n", y, y)
    total /= _norms(x_squares)[:, None]
    total /= np.where(y_squares > 0, np.sqrt(y_squares), np.inf)
    return total


def check_shapes(observed: NDArray[np.floating], predicted: NDArray[np.floating]) -> None:
    """Check that observed and predicted connectomes have one shape.

    Raises
    ------
    ConnectomeError
    """
    if observed.shape != predicted.shape or observed.ndim != 2:
        raise ConnectomeError(
            "expected observed and predicted connectomes of one shape [n_subjects, n_edges]; "
            f"found {observed.shape} and {predicted.shape}."
        )


def own_correlations(
    observed: NDArray[np.floating],
    predicted: NDArray[np.floating],
    *,
    observed_mean: NDArray[np.floating] | float = 0.0,
    predicted_mean: NDArray[np.floating] | float = 0.0,
) -> Matrix:
    """Pearson correlation of every observed row with the predicted row of the same subject.

    Parameters
    ----------
    observed, predicted : ndarray of shape (n_subjects, n_edges)
    observed_mean, predicted_mean : ndarray of shape (n_edges,) or float
        Subtracted from the rows before.

    Returns
    -------
    ndarray of shape (n_subjects,)
        A row without variance gives 0.
    """
    pairs = zip(observed, predicted, strict=True)
    return np.array([_unit(x, observed_mean) @ _unit(y, predicted_mean) for x, y in pairs])


def chance_rank(n_subjects: int) -> float:
    """Average rank that guessing reaches among so many subjects.

    With the 0-based rank r the metric is the mean of 1 - r/n, whose expectation under guessing is
    (n + 1) / 2n: 0.5 in a large cohort, 0.54 among 12.
    """
    n_subjects = max(n_subjects, 1)
    return (n_subjects + 1) / (2 * n_subjects)


def find_ranked(people: Sequence[object]) -> NDArray[np.bool_] | None:
    """Whose predictions the own one is ranked among: those of other subjects, no other sessions.

    Parameters
    ----------
    people : sequence of length n_rows
        Whose session each row is.

    Returns
    -------
    ndarray of bool of shape (n_rows, n_rows), or None
        The own one is among them. None where everybody has one session, and all are.
    """
    names = np.array(people)
    if len(np.unique(names)) == len(names):
        return None
    return np.asarray((names[:, None] != names) | np.eye(len(names), dtype=bool))


def rank_own(
    correlations: NDArray[np.floating], ranked: NDArray[np.bool_] | None = None
) -> Matrix:
    """Zero-based rank of every row's own cell, the diagonal's, within its row.

    Parameters
    ----------
    correlations : ndarray of shape (..., n_subjects, n_subjects)
    ranked : ndarray of bool of shape (n_subjects, n_subjects), optional
        As of :func:`find_ranked`: other cells of the row are passed over.

    Returns
    -------
    ndarray of shape (..., n_subjects)
        The diagonal of :func:`rank_cells`, without sorting anything.
    """
    own = np.diagonal(correlations, axis1=-2, axis2=-1)[..., None]
    counts = True if ranked is None else ranked
    above = ((correlations > own) & counts).sum(axis=-1)
    alike = ((correlations == own) & counts).sum(axis=-1)
    return np.asarray(above + (alike - 1) / 2, np.float64)


def rank_cells(correlations: NDArray[np.floating]) -> Matrix:
    """Zero-based rank of every cell within its row, the highest first; ties share the middle.

    Ties must not count as hits: predictions that are all alike would otherwise identify everyone.

    Parameters
    ----------
    correlations : ndarray of shape (n_subjects, n_subjects)
    """
    n = correlations.shape[1]
    order = np.sort(correlations, axis=1)
    ranks = np.empty(correlations.shape)
    for row, values in enumerate(correlations):
        below = np.searchsorted(order[row], values, side="left")
        up_to = np.searchsorted(order[row], values, side="right")
        ranks[row] = ((n - up_to) + (n - 1 - below)) / 2
    return ranks


class EdgeArray(Protocol):
    """Connectomes ``[n_subjects, n_edges]`` that are an array, or are sliced like one."""

    def __getitem__(self, key: Any, /) -> Any:
        """Take some rows, or some edges of some rows, as an array."""


def list_blocks(rows: NDArray[np.floating]) -> Iterator[slice]:
    """Slices of the edges of a cohort ``[n_subjects, n_edges]``: no copy of all of it is made."""
    step = max(1, BLOCK // max(1, len(rows)))
    return (slice(start, start + step) for start in range(0, rows.shape[1], step))


def _unit(row: NDArray[np.floating], mean: NDArray[np.floating] | float) -> Matrix:
    """Row less a mean connectome, centered and of unit length."""
    x = row - np.asarray(mean, np.float64)
    x = x - x.mean()
    return np.asarray(x / _norms(x @ x))


def _norms(squares: Any) -> Any:
    """Lengths of rows by their sums of squares; 1 for a row without variance."""
    return np.where(squares > 0, np.sqrt(squares), 1.0)


def correlate(edges: NDArray[np.floating], standardized: Matrix) -> tuple[float, float]:
    """Correlate edges with what has mean 0 and length 1; and the length of their deviation."""
    squares = float(edges @ edges) - float(edges.sum()) ** 2 / edges.size
    length = max(squares, 0.0) ** 0.5
    return (float(edges @ standardized) / length if length else 0.0), length


def standardize(values: Matrix) -> Matrix:
    """Values less their mean, of length 1."""
    centred = values - values.mean()
    return np.asarray(centred / np.linalg.norm(centred))
