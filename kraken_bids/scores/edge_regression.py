"""Weighted least squares of every edge on the same few columns, a connectome at a time."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from kraken_bids.exceptions import ConnectomeError

Floats = NDArray[np.float64]

TOLERANCE = 1e-9
"""Share of the largest eigenvalue from which a direction of the design counts."""


@dataclass
class EdgeRegression:
    """Normal equations of every edge; memory grows with columns and edges, not with subjects."""

    design: Floats
    """[n_rows, n_columns]; finite in rows whose weight is not 0."""
    weights: Floats
    """[n_rows]; 0 for rows that are left out."""
    n_edges: int
    _total: Floats = field(init=False, repr=False)
    _gram: Floats = field(init=False, repr=False)
    _absent: list[tuple[int, NDArray[np.uint8]]] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        n_columns = self.design.shape[1]
        self._total = np.zeros((n_columns, self.n_edges))
        self._gram = np.zeros((n_columns, n_columns))
        self._absent = []

    def add(self, row: int, edges: NDArray[np.floating]) -> None:
        """Add the connectome ``[n_edges]`` of a row; NaN where a region is missing."""
        weight, own = float(self.weights[row]), self.design[row]
        if weight == 0:
            return
        absent = np.isnan(edges)
        if absent.any():
            self._absent.append((row, np.packbits(absent)))
            edges = np.where(absent, 0.0, edges)
        self._gram += weight * np.outer(own, own)
        for column in np.flatnonzero(own):
            self._total[column] += weight * own[column] * edges

    def solve(self) -> Floats:
        """Coefficients ``[n_columns, n_edges]``; NaN where nobody who has the edge says.

        Whoever lacks an edge is left out of the regression of that edge alone.

        Raises
        ------
        ConnectomeError
            If the columns cannot be told apart by those who were added.
        """
        if not _has_full_rank(self._gram):
            raise ConnectomeError(
                f"expected a regression whose {len(self._gram)} columns can be told apart; found "
                "some that say the same. Leave covariates out."
            )
        if not self._absent:
            return np.asarray(np.linalg.solve(self._gram, self._total), np.float64)
        packed = np.stack([bits for _, bits in self._absent])
        absent = np.unpackbits(packed, axis=1, count=self.n_edges)
        found = np.full_like(self._total, np.nan)
        patterns, pattern_of = np.unique(np.packbits(absent, axis=0), axis=1, return_inverse=True)
        rows = np.array([row for row, _ in self._absent])
        for number in range(patterns.shape[1]):
            edges = np.flatnonzero(pattern_of.reshape(-1) == number)
            lacking = rows[absent[:, edges[0]].astype(bool)]
            found[:, edges] = self._solve_without(lacking, self._total[:, edges])
        return found

    def _solve_without(self, rows: NDArray[np.intp], total: Floats) -> Floats:
        own = self.design[rows]
        gram = self._gram - (own * self.weights[rows, None]).T @ own
        # a column of sites that all who have the edge lack
        limit = TOLERANCE * np.maximum(np.diag(self._gram), 1)
        kept = np.flatnonzero(np.diag(gram) > limit)
        found = np.full_like(total, np.nan)
        if len(kept) and _has_full_rank(gram[np.ix_(kept, kept)]):
            found[kept] = np.linalg.solve(gram[np.ix_(kept, kept)], total[kept])
        return found


def _has_full_rank(gram: Floats) -> bool:
    values = np.linalg.eigvalsh(gram)
    return bool(len(values) and values[0] > TOLERANCE * values[-1])
