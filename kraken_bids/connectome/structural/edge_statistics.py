"""One number per edge from the streamlines that meet there: their sum, mean, least or greatest."""

from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from kraken_bids.exceptions import ConnectomeError

Statistic = Literal["sum", "mean", "min", "max"]
STATISTICS: tuple[Statistic, ...] = get_args(Statistic)
SINGLE_PRECISION_FROM = 1024
"""With so many regions or more MRtrix keeps its matrices in single precision."""


class EdgeStatistic:
    """A matrix as ``tck2connectome -stat_edge`` adds it up, block by block, in file order.

    Each streamline gives its edges a factor (such as its length), with a weight. Both are rounded
    to float32; sums run in float64, or in float32 from 1024 regions on, one streamline after the
    other: the bits are those of ``tck2connectome -nthreads 0``, whatever the blocks.

    Parameters
    ----------
    n_regions : int
        Number of regions.
    statistic : str
        ``sum`` of factor · weight; ``mean``: that sum over the sum of weights; ``min`` and
        ``max`` of the factors, without weights.
    """

    def __init__(self, n_regions: int, statistic: Statistic) -> None:
        self.n_regions = n_regions
        self.statistic = statistic
        kind = np.float64 if n_regions < SINGLE_PRECISION_FROM else np.float32
        size = (n_regions + 1) ** 2
        start = {"min": np.inf, "max": -np.inf}.get(statistic, 0.0)
        self._values: NDArray[np.floating] = np.full(size, start, kind)
        self._weights = np.zeros(size if statistic == "mean" else 0, kind)

    def add(
        self,
        pairs: NDArray[np.integer],
        factors: NDArray[np.floating],
        weights: NDArray[np.floating] | None = None,
    ) -> None:
        """Add a block of streamlines.

        Parameters
        ----------
        pairs : ndarray of int, shape (n, 2)
            Regions that each streamline joins, 0 for none; in either order.
        factors : ndarray of shape (n,)
            Value of each.
        weights : ndarray of shape (n,), optional
            Weight of each; 1 if not given.

        Raises
        ------
        ConnectomeError
            If factors or weights are not as many as the pairs.
        """
        for values in (factors, weights):
            if values is not None and len(values) != len(pairs):
                raise ConnectomeError(
                    f"expected a value for each of {len(pairs)} streamlines; found {len(values)}. "
                    "Does the file belong to this tractogram?"
                )
        low, high = pairs.min(axis=1).astype(np.int64), pairs.max(axis=1)
        cells = low * (self.n_regions + 1) + high
        kind = self._values.dtype
        rounded = factors.astype(np.float32).astype(kind)
        if self.statistic in {"min", "max"}:
            (np.minimum if self.statistic == "min" else np.maximum).at(
                self._values, cells, rounded
            )
            return
        shares = np.ones(len(cells), kind)
        if weights is not None:
            shares = weights.astype(np.float32).astype(kind)
        np.add.at(self._values, cells, rounded * shares)
        if self.statistic == "mean":
            np.add.at(self._weights, cells, shares)

    def connectome(self) -> NDArray[np.floating]:
        """Symmetric matrix, region 1 first.

        Returns
        -------
        ndarray of shape (n_regions, n_regions)
            Edges without streamlines are 0 for sum and mean, NaN for min and max.
        """
        values = self._values.copy()
        if self.statistic == "mean":
            np.divide(values, self._weights, out=values, where=self._weights != 0)
        elif self.statistic != "sum":
            values[~np.isfinite(values)] = np.nan
        size = self.n_regions + 1
        upper = values.reshape(size, size)[1:, 1:]
        below = np.tril_indices(self.n_regions, -1)
        upper[below] = upper.T[below]
        return upper
