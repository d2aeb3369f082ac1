"""Series of the maps of a probabilistic atlas: least squares of every volume on all maps."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kraken_bids.connectome.functional.timeseries import RegionSeries

SINGULAR = 1e-12
"""Eigenvalues of the maps' products below this share of the largest one count as zero."""


@dataclass(frozen=True)
class GridMaps:
    """Maps of a probabilistic atlas on the grid of a BOLD series."""

    weights: Any
    """Sparse [n_voxels, n_maps], the voxels of the mask where some map is not 0."""
    voxels: NDArray[np.intp]
    """Flat index of each of these voxels, x fastest."""
    totals: NDArray[np.float64]
    """[n_maps] Sum of the absolute weights of each whole map."""


class MapsProjection:
    """Adds up what the least squares need, while the volumes of a run pass.

    Parameters
    ----------
    maps : GridMaps
    slope, inter : float
        What a stored value v means: ``slope * v + inter``.
    """

    def __init__(self, maps: GridMaps, *, slope: float, inter: float) -> None:
        self._maps, self._slope, self._inter = maps, slope, inter
        self._across = maps.weights.T.tocsr()
        self._products: list[NDArray[np.float64]] = []
        self._first: NDArray[np.float64] = np.empty(0)
        self._varies = np.zeros(len(maps.voxels), bool)

    def watch(self, volumes: Iterator[NDArray[Any]]) -> Iterator[NDArray[Any]]:
        """Yield flat volumes as they come; NaN and infinite values count as zero."""
        for volume in volumes:
            values = volume[self._maps.voxels] * np.float64(self._slope) + self._inter
            values = np.nan_to_num(values, copy=False, posinf=0, neginf=0)
            if not self._products:
                self._first = values
            self._varies |= values != self._first
            self._products.append(self._across @ values)
            yield volume

    def add_to(self, series: RegionSeries, name: str) -> None:
        """Put the series of the maps into the dictionaries of a run, under a name.

        A map without a voxel in the mask is NaN. Coverage is the share of a map's weight in voxels
        that vary.
        """
        weights = self._maps.weights
        gram = (self._across @ weights).toarray()
        present = np.diag(gram) > 0
        means = np.full((len(self._products), len(gram)), np.nan)
        solved = np.linalg.lstsq(
            gram[np.ix_(present, present)], np.array(self._products).T[present], rcond=SINGULAR
        )[0]
        means[:, present] = solved.T
        varying = abs(weights).T @ self._varies
        series.means[name] = means
        series.coverage[name] = varying / np.where(self._maps.totals > 0, self._maps.totals, 1)
        series.n_voxels[name] = np.asarray((weights != 0).sum(axis=0)).reshape(-1)
