"""Structural connectomes: regions at the ends of streamlines → counts and weights per edge."""

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from kraken_bids.exceptions import ConnectomeError

Metric = Literal["count", "volnorm", "sift2", "sift2volnorm"]
Units = Literal["krakencoder", "mrtrix"]

METRICS: tuple[Metric, ...] = get_args(Metric)
MODEL_VOXEL_MM3 = 1.25**3
"""The model's region volumes count voxels of the HCP diffusion grid."""
MODEL_N_STREAMLINES = 5_000_000
"""The model's counts are out of this many streamlines."""


@dataclass(frozen=True)
class EndStatistics:
    """How the ends of a tractogram met the regions of one parcellation."""

    n_streamlines: int
    n_both: int
    """Streamlines with both ends in a region."""
    n_one: int
    n_none: int
    n_self: int
    """Streamlines with both ends in the same region."""
    sum_of_weights: float | None
    """Sum of the weights of all streamlines; None without weights."""


class EdgeCounter:
    """Counts and weights per edge, added up block by block in the order of the file.

    One counter serves one parcellation; every metric comes out of the same read. Sums run in the
    order of the streamlines, in float64, with factor and weight rounded to float32: bit-identical
    to ``tck2connectome -nthreads 0``, whatever the sizes of the blocks.

    Parameters
    ----------
    n_voxels : ndarray of shape (n_regions,)
        0: the region is missing in the label image.
    voxel_mm3 : float
    is_weighted : bool
        Whether streamlines come with weights (SIFT2).
    """

    def __init__(
        self, n_voxels: NDArray[np.integer], voxel_mm3: float, *, is_weighted: bool
    ) -> None:
        self.n_voxels = np.asarray(n_voxels, dtype=np.float64)
        self.voxel_mm3 = voxel_mm3
        self.is_weighted = is_weighted
        self.n_regions = len(self.n_voxels)
        size = self.n_regions + 1
        self._counts = np.zeros(size * size, dtype=np.int64)
        self._weights = np.zeros(size * size if is_weighted else 0)
        self._products = np.zeros(size * size if is_weighted else 0)
        self._factors = _volume_factors(np.concatenate([[0.0], self.n_voxels]))
        self._sum_of_weights = 0.0

    def add(
        self,
        assignments: NDArray[np.integer],
        weights: NDArray[np.floating] | None = None,
        *,
        cells: NDArray[np.int64] | None = None,
    ) -> None:
        """Add a block: region number of either end [n, 2], 0 where it met none, and weights [n].

        Where :func:`list_cells` of the block are at hand they need not be found again.

        Raises
        ------
        ConnectomeError
            If weights are lacking or too many, or a region number is beyond the table.
        """
        self._check_block(assignments, weights)
        cells = list_cells(assignments, self.n_regions) if cells is None else cells
        self._counts += np.bincount(cells, minlength=len(self._counts))
        if weights is not None:
            rounded = weights.astype(np.float32).astype(np.float64)
            # np.add.at adds one by one in order, so blocks of any size give the same bits
            np.add.at(self._weights, cells, rounded)
            np.add.at(self._products, cells, rounded * self._factors[cells])
            self._sum_of_weights += float(rounded.sum())

    def connectome(self, metric: Metric, *, units: Units) -> NDArray[np.float64]:
        """Symmetric matrix of a metric, region 1 first.

        Parameters
        ----------
        metric : str
            ``count``: N streamlines; ``volnorm``: N · 2/(V_i + V_j); ``sift2``: sum of weights;
            ``sift2volnorm``: sum of weights · 2/(V_i + V_j).
        units : str
            ``mrtrix``: V in voxels of the label image, N as counted, diagonal kept, zeros for
            missing regions: equal to ``tck2connectome -symmetric [-scale_invnodevol]``.
            ``krakencoder``: as the published model was trained: V in voxels of 1.953125 mm³, sums
            scaled to 5 million streamlines, diagonal 0, NaN for missing regions.

        Raises
        ------
        ConnectomeError
            If the metric needs weights and there are none.

        Source
        ------
        MRtrix3 ``tck2connectome``; units of the model: upstream's example connectomes times
        (V_i + V_j)/2 are whole numbers for V on the 1.25 mm grid.
        """
        if metric.startswith("sift2") and not self.is_weighted:
            raise ConnectomeError(
                f"expected streamline weights for the metric {metric}; found none. "
                "Give the SIFT2 weights of the tractogram."
            )
        if units == "mrtrix":
            sums = {
                "count": self._counts.astype(np.float64),
                "volnorm": self._counts * self._factors,
                "sift2": self._weights,
                "sift2volnorm": self._products,
            }[metric]
            return self._square(sums)
        return self._in_model_units(metric)

    def _in_model_units(self, metric: Metric) -> NDArray[np.float64]:
        square = self._square(self._weights if metric.startswith("sift2") else self._counts)
        if metric.endswith("volnorm"):
            square = volume_norm(square, self.n_voxels * self.voxel_mm3)
        square *= MODEL_N_STREAMLINES / max(1, self.n_streamlines)
        np.fill_diagonal(square, 0.0)
        missing = self.n_voxels == 0
        square[missing, :] = np.nan
        square[:, missing] = np.nan
        return square

    @property
    def n_streamlines(self) -> int:
        """Streamlines added so far."""
        return int(self._counts.sum())

    @property
    def missing_regions(self) -> tuple[int, ...]:
        """Numbers (from 1) of the regions that the label image does not hold."""
        return tuple(int(k) + 1 for k in np.flatnonzero(self.n_voxels == 0))

    def statistics(self) -> EndStatistics:
        """How the ends met the regions, over all that was added."""
        size = self.n_regions + 1
        counts = self._counts.reshape(size, size)
        n_both = int(counts[1:, 1:].sum())
        n_none = int(counts[0, 0])
        return EndStatistics(
            n_streamlines=self.n_streamlines,
            n_both=n_both,
            n_one=self.n_streamlines - n_both - n_none,
            n_none=n_none,
            n_self=int(np.trace(counts[1:, 1:])),
            sum_of_weights=self._sum_of_weights if self.is_weighted else None,
        )

    def _square(self, cells: NDArray[np.generic]) -> NDArray[np.float64]:
        size = self.n_regions + 1
        upper = np.triu(cells.reshape(size, size)[1:, 1:].astype(np.float64))
        return upper + np.triu(upper, 1).T

    def _check_block(
        self, assignments: NDArray[np.integer], weights: NDArray[np.floating] | None
    ) -> None:
        n = len(assignments)
        if (weights is not None) != self.is_weighted or (
            weights is not None and len(weights) != n
        ):
            found = "none" if weights is None else str(len(weights))
            raise ConnectomeError(
                f"expected {n if self.is_weighted else 'no'} weights for a block of {n} "
                f"streamlines; found {found}. Do the weights belong to this tractogram?"
            )
        if n and (assignments.min() < 0 or assignments.max() > self.n_regions):
            raise ConnectomeError(
                f"expected region numbers 0 … {self.n_regions}; found {assignments.min()} … "
                f"{assignments.max()}. Is the label image that of this parcellation?"
            )


def list_cells(pairs: NDArray[np.integer], n_regions: int) -> NDArray[np.int64]:
    """Cell [n] of each pair of regions [n, 2], in either order, in a matrix with a row 0."""
    low = np.minimum(pairs[:, 0], pairs[:, 1]).astype(np.int64)
    cells: NDArray[np.int64] = low * (n_regions + 1) + np.maximum(pairs[:, 0], pairs[:, 1])
    return cells


def volume_norm(
    square: NDArray[np.floating], volumes_mm3: NDArray[np.floating]
) -> NDArray[np.float64]:
    """Divide counts or weights by the mean volume of the two regions, in the model's unit.

    square · 2/(V_i + V_j), V in voxels of 1.25 mm; 0 where both volumes are 0.

    Source
    ------
    Proven on upstream's fs86 example (SCifod2actVN, SCsdstreamVN), see :class:`EdgeCounter`.
    """
    volumes = np.asarray(volumes_mm3, dtype=np.float64) / MODEL_VOXEL_MM3
    total = volumes[:, None] + volumes[None, :]
    normed: NDArray[np.float64] = np.divide(
        2.0 * square, total, out=np.zeros_like(total), where=total > 0
    )
    return normed


def _volume_factors(n_voxels: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return 2/(V_i + V_j) per cell, rounded to float32 as MRtrix stores it."""
    total = n_voxels[:, None] + n_voxels[None, :]
    factors = np.divide(2.0, total, out=np.zeros_like(total), where=total > 0)
    return factors.astype(np.float32).astype(np.float64).ravel()
