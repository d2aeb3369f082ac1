"""Every metric that is asked for of one label image, added up in one pass over a tractogram."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kraken_bids.connectome.structural.assignments import Visits
from kraken_bids.connectome.structural.edge_statistics import (
    SINGLE_PRECISION_FROM,
    EdgeStatistic,
    Statistic,
)
from kraken_bids.connectome.structural.streamline_counts import (
    METRICS,
    EdgeCounter,
    EndStatistics,
    Units,
)
from kraken_bids.exceptions import ConnectomeError

LENGTH_METRICS = ("meanlength", "sift2meanlength", "invlength", "sift2invlength")
SCALE = "scale"
"""Ends the name of a metric of a file of values: ``meanscale``, ``sift2sumscale``."""


@dataclass(frozen=True)
class StreamlineValues:
    """What a block of streamlines brings beside the regions it meets."""

    lengths: NDArray[np.float32] | None = None
    """[n] mm."""
    weights: NDArray[np.floating[Any]] | None = None
    """[n] SIFT2 weights."""
    scales: NDArray[np.floating[Any]] | None = None
    """[n] Any value per streamline, such as its mean FA."""


class StructuralTally:
    """Matrices of one label image, one per metric.

    Parameters
    ----------
    n_voxels : ndarray of shape (n_regions,)
        Voxels of each region.
    voxel_mm3 : float
        Volume of one.
    metrics : sequence of str
        ``count``, ``volnorm``, ``meanlength``, ``invlength`` or a statistic followed by
        ``scale``; after ``sift2`` the weighted ones.
    units : str
        ``krakencoder`` or ``mrtrix``, for count, volnorm, sift2 and sift2volnorm.

    Notes
    -----
    A metric f · w has the factor f: 1 for count, 2/(V_i + V_j) for volnorm, L for meanlength,
    1/L for invlength, the file's value for scale. Of a streamline with a list of regions (all
    voxels) volnorm has n/ΣV.
    """

    def __init__(
        self,
        n_voxels: NDArray[np.integer],
        voxel_mm3: float,
        *,
        metrics: Sequence[str],
        units: Units,
    ) -> None:
        self.metrics = tuple(metrics)
        self.units = units
        self.n_regions = len(n_voxels)
        self._volumes = np.concatenate([[0.0], n_voxels])
        self.counter = EdgeCounter(
            n_voxels, voxel_mm3, is_weighted=any(is_weighted(metric) for metric in metrics)
        )
        self._is_paired = True
        self._statistics = {
            metric: EdgeStatistic(self.n_regions, statistic_of(metric))
            for metric in metrics
            if metric not in METRICS or units == "mrtrix"
        }

    def add(self, regions: NDArray[np.int32] | Visits, values: StreamlineValues) -> None:
        """Add a block of streamlines.

        Parameters
        ----------
        regions : ndarray of int, shape (n, 2), or Visits
            Regions of their ends, 0 for none; or every region on their way.
        values : StreamlineValues
            What the metrics need.
        """
        if isinstance(regions, Visits):
            self._add_visits(regions, values)
        else:
            self._add_pairs(regions, values)

    def _add_pairs(self, pairs: NDArray[np.int32], values: StreamlineValues) -> None:
        weights = values.weights if self.counter.is_weighted else None
        self.counter.add(pairs, weights)
        for metric, statistic in self._list_statistics():
            if base_of(metric) == "volnorm":
                total = self._volumes[pairs].sum(axis=1)
                factors = _divide(2.0, total)
            else:
                factors = _factors_of(metric, values, len(pairs))
            statistic.add(pairs, factors, values.weights if is_weighted(metric) else None)

    def _add_visits(self, visits: Visits, values: StreamlineValues) -> None:
        self._is_paired = False
        owners, pairs = visits.pairs()
        for metric, statistic in self._statistics.items():
            if base_of(metric) == "volnorm":
                total = np.bincount(
                    visits.owners, self._volumes[visits.regions], minlength=visits.n_streamlines
                )
                factors = _divide(visits.n_regions, total)
            else:
                factors = _factors_of(metric, values, visits.n_streamlines)
            weights = None
            if is_weighted(metric) and values.weights is not None:
                weights = values.weights[owners]
            statistic.add(pairs, factors[owners], weights)

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


def is_weighted(metric: str) -> bool:
    """Whether a metric takes the weights of the streamlines."""
    return metric.startswith("sift2")


def base_of(metric: str) -> str:
    """Metric without its weights: ``sift2volnorm`` → ``volnorm``, ``sift2`` → ``count``."""
    return metric.removeprefix("sift2") or "count"


def statistic_of(metric: str) -> Statistic:
    """How the streamlines of an edge become one number."""
    base = base_of(metric)
    if base.endswith(SCALE):
        return base.removesuffix(SCALE)  # type: ignore[return-value]
    return "mean" if base == "meanlength" else "sum"


def _factors_of(metric: str, values: StreamlineValues, n: int) -> NDArray[np.float64]:
    base = base_of(metric)
    if base == "count":
        return np.ones(n)
    given = values.scales if base.endswith(SCALE) else values.lengths
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
