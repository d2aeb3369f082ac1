"""Every metric that is asked for of one label image, added up in one pass over a tractogram."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from kraken_bids.connectome.structural.assignments import TouchedRegions
from kraken_bids.connectome.structural.streamline_counts import (
    METRICS,
    EdgeCounter,
    EndStatistics,
    Units,
    list_cells,
)
from kraken_bids.exceptions import ConnectomeError

Statistic = Literal["sum", "mean", "min", "max"]
STATISTICS: tuple[Statistic, ...] = get_args(Statistic)
SINGLE_PRECISION_FROM = 1024
"""With so many regions or more MRtrix keeps its matrices in single precision."""
LENGTH_METRICS = ("meanlength", "sift2meanlength", "invlength", "sift2invlength")
SCALE = "scale"
"""What values of a file are called: they make the metrics ``meanscale``, ``sift2sumscale``."""


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
        *,
        cells: NDArray[np.int64] | None = None,
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
        cells : ndarray of shape (n,), optional
            :func:`~kraken_bids.connectome.structural.streamline_counts.list_cells` of the pairs.

        Raises
        ------
        ConnectomeError
            If factors or weights are not as many as the pairs.
        """
        for values in (factors, weights):
            _check_length(values, len(pairs))
        cells = list_cells(pairs, self.n_regions) if cells is None else cells
        kind = self._values.dtype
        rounded = factors.astype(np.float32).astype(kind)
        if self.statistic in {"min", "max"}:
            (np.minimum if self.statistic == "min" else np.maximum).at(
                self._values, cells, rounded
            )
            return
        shares = None if weights is None else weights.astype(np.float32).astype(kind)
        np.add.at(self._values, cells, rounded if shares is None else rounded * shares)
        if self.statistic == "mean":
            np.add.at(self._weights, cells, kind.type(1) if shares is None else shares)

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


@dataclass(frozen=True)
class StreamlineValues:
    """What a block of streamlines brings beside the regions it meets."""

    lengths: NDArray[np.float32] | None = None
    """[n] mm."""
    weights: NDArray[np.floating[Any]] | None = None
    """[n] SIFT2 weights."""
    scalars: Mapping[str, NDArray[np.floating[Any]]] = field(default_factory=dict)
    """[n] Any value per streamline, such as its mean FA, by what it is called."""


class StructuralTally:
    """Matrices of one label image, one per metric.

    Parameters
    ----------
    n_voxels : ndarray of shape (n_regions,)
    voxel_mm3 : float
    metrics : sequence of str
        ``count``, ``volnorm``, ``meanlength``, ``invlength`` or a statistic followed by what
        a scalar is called (``meanFA``); after ``sift2`` the weighted ones.
    units : str
        ``krakencoder`` or ``mrtrix``, for count, volnorm, sift2 and sift2volnorm.
    is_weighted : bool
        Whether the weights of the streamlines are added up too.

    Notes
    -----
    A metric f · w has the factor f: 1 for count, 2/(V_i + V_j) for volnorm, L for meanlength,
    1/L for invlength, the value for a scalar. Of a streamline with a list of regions (all
    voxels) volnorm has n/ΣV.
    """

    def __init__(
        self,
        n_voxels: NDArray[np.integer],
        voxel_mm3: float,
        *,
        metrics: Sequence[str],
        units: Units,
        is_weighted: bool,
    ) -> None:
        self.units = units
        self.n_regions = len(n_voxels)
        self._volumes = np.concatenate([[0.0], n_voxels])
        self.counter = EdgeCounter(n_voxels, voxel_mm3, is_weighted=is_weighted)
        self._is_paired = True
        self._statistics = {
            metric: EdgeStatistic(self.n_regions, statistic_of(metric))
            for metric in metrics
            if metric not in METRICS or units == "mrtrix"
        }

    def add(self, regions: NDArray[np.int32] | TouchedRegions, values: StreamlineValues) -> None:
        """Add a block of streamlines.

        Parameters
        ----------
        regions : ndarray of int, shape (n, 2), or TouchedRegions
            Regions of their ends, 0 for none; or every region on their way.
        values : StreamlineValues
            What the metrics need.
        """
        if isinstance(regions, TouchedRegions):
            self._add_touched(regions, values)
        else:
            self._add_pairs(regions, values)

    def _add_pairs(self, pairs: NDArray[np.int32], values: StreamlineValues) -> None:
        weights = values.weights if self.counter.is_weighted else None
        cells = list_cells(pairs, self.n_regions)
        self.counter.add(pairs, weights, cells=cells)
        for metric, statistic in self._list_statistics():
            if base_of(metric) == "volnorm":
                total = self._volumes[pairs].sum(axis=1)
                factors = _divide(2.0, total)
            else:
                factors = _factors_of(metric, values, len(pairs))
            own = values.weights if takes_weights(metric) else None
            statistic.add(pairs, factors, own, cells=cells)

    def _add_touched(self, touched: TouchedRegions, values: StreamlineValues) -> None:
        self._is_paired = False
        owners, pairs = touched.pairs()
        cells = list_cells(pairs, self.n_regions)
        for metric, statistic in self._statistics.items():
            if base_of(metric) == "volnorm":
                total = np.bincount(
                    touched.owners, self._volumes[touched.regions], minlength=touched.n_streamlines
                )
                factors = _divide(touched.n_regions, total)
            else:
                factors = _factors_of(metric, values, touched.n_streamlines)
            weights = None
            if takes_weights(metric) and values.weights is not None:
                weights = values.weights[owners]
            statistic.add(pairs, factors[owners], weights, cells=cells)

    def connectome(self, metric: str) -> NDArray[np.floating[Any]]:
        """Symmetric matrix [n_regions, n_regions] of a metric."""
        if metric in self._statistics and (not self._counts(metric)):
            return self._statistics[metric].connectome()
        return self.counter.connectome(metric, units=self.units)  # type: ignore[arg-type]

    def statistics(self) -> EndStatistics | None:
        """How the ends met the regions; None where streamlines have any number of regions."""
        return self.counter.statistics() if self._is_paired else None

    def _counts(self, metric: str) -> bool:
        """Whether the counter holds this metric to the last bit."""
        return (
            metric in METRICS
            and self._is_paired
            and (self.units == "krakencoder" or self.n_regions < SINGLE_PRECISION_FROM)
        )

    def _list_statistics(self) -> list[tuple[str, EdgeStatistic]]:
        return [(m, s) for m, s in self._statistics.items() if not self._counts(m)]


def takes_weights(metric: str) -> bool:
    """Whether a metric takes the weights of the streamlines."""
    return metric.startswith("sift2")


def base_of(metric: str) -> str:
    """Metric without its weights: ``sift2volnorm`` → ``volnorm``, ``sift2`` → ``count``."""
    return metric.removeprefix("sift2") or "count"


def statistic_of(metric: str) -> Statistic:
    """How the streamlines of an edge become one number."""
    scalar = scalar_of(metric)
    if scalar:
        return base_of(metric).removesuffix(scalar)  # type: ignore[return-value]
    return "mean" if base_of(metric) == "meanlength" else "sum"


def scalar_of(metric: str) -> str:
    """Name of a metric's scalar: ``FA`` of ``sift2meanFA``; '' where it has none."""
    base = base_of(metric)
    statistic = next((one for one in STATISTICS if base.startswith(one)), "")
    is_own = base in (*METRICS, *LENGTH_METRICS) or not statistic
    return "" if is_own else base.removeprefix(statistic)


def _factors_of(metric: str, values: StreamlineValues, n: int) -> NDArray[np.float64]:
    base = base_of(metric)
    if base == "count":
        return np.ones(n)
    scalar = scalar_of(metric)
    given = values.scalars.get(scalar) if scalar else values.lengths
    if given is None:
        raise ConnectomeError(
            f"expected a value per streamline for the metric {metric}; found none. "
            "Give lengths or the file of values."
        )
    factors = given.astype(np.float64)
    return _divide(1.0, factors) if base == "invlength" else factors


def _divide(above: float | NDArray[Any], below: NDArray[Any]) -> NDArray[np.float64]:
    """Quotient; 0 where the divisor is 0."""
    out: NDArray[np.float64] = np.divide(
        above, below, out=np.zeros(len(below)), where=(below != 0) & ~np.isnan(below)
    )
    return out


def _check_length(values: NDArray[Any] | None, n_streamlines: int) -> None:
    if values is not None and len(values) != n_streamlines:
        raise ConnectomeError(
            f"expected a value for each of {n_streamlines} streamlines; found {len(values)}. "
            "Does the file belong to this tractogram?"
        )
