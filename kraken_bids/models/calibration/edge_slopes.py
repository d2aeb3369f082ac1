"""Regression of measured on predicted edges over subjects, with any fold of them left out."""

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kraken_bids.scores.metrics import list_blocks

Vector = NDArray[np.float64]

ROUNDING = 1e-10
"""Share of an edge's mean square below which its variance is rounding of 32-bit numbers."""


@dataclass(frozen=True, eq=False)
class FoldSums:
    """Sums over the subjects of each fold, from which those of any others follow.

    Values are less ``center``, so that nothing is lost where an edge's mean is far from 0.
    """

    center: tuple[Vector, Vector]
    """Mean predicted and mean measured edges of everyone [n_edges]."""
    n: NDArray[np.intp]
    """Subjects of each fold [n_folds]."""
    predicted: Vector
    """[n_folds, n_edges], as what follows."""
    measured: Vector
    predicted_squares: Vector
    measured_squares: Vector
    products: Vector

    def take(self, part: slice) -> "FoldSums":
        """Give the sums of some edges."""
        x, y = (one[part] for one in self.center)
        names = ("predicted", "measured", "predicted_squares", "measured_squares", "products")
        return FoldSums((x, y), self.n, *(getattr(self, name)[:, part] for name in names))

    def fit_slopes(self, without: Collection[int] = ()) -> "EdgeSlopes":
        """Regress measured on predicted edges over everyone but some folds; slopes are shrunk.

        The correlation of each edge is shrunk to their mean by empirical Bayes: the variance of
        true correlations is that over edges less what chance gives so many subjects
        (``(1 - r²)² / (n - 1)``), and no less than 0.
        """
        kept = np.array([fold not in without for fold in range(len(self.n))], np.float64)
        n = int(self.n @ kept)
        x, y, xx, yy, xy = (
            (kept @ sums) / n
            for sums in (
                *(self.predicted, self.measured),
                *(self.predicted_squares, self.measured_squares, self.products),
            )
        )
        mean_x, mean_y = x, y
        var_x, var_y = (
            _variance(square, mean, far)
            for square, mean, far in zip((xx, yy), (x, y), self.center, strict=True)
        )
        varies = (var_x > 0) & (var_y > 0)
        scale = np.sqrt(np.where(varies, var_x * var_y, 1.0))
        r = np.clip(np.where(varies, (xy - x * y) / scale, 0.0), -1.0, 1.0)
        common, share = _shrink(r[varies], n)
        ratio = np.sqrt(np.where(varies, var_y / np.where(varies, var_x, 1.0), 0.0))
        slope = np.where(varies, common + share * (r - common), 0.0) * ratio
        return EdgeSlopes(n, mean_x, mean_y, var_y, slope=slope, correlation=common)


@dataclass(frozen=True, eq=False)
class EdgeSlopes:
    """What :meth:`FoldSums.fit_slopes` gives; means are less the center of the sums."""

    n: int
    mean_predicted: Vector
    mean_measured: Vector
    variance: Vector
    """Of measured edges over subjects [n_edges]; 0 where nobody differs."""
    slope: Vector
    """[n_edges]; 0 where predicted or measured edges do not differ."""
    correlation: float
    """That all edges have in common."""


def sum_folds(
    measured: NDArray[np.floating], predicted: NDArray[np.floating], folds: NDArray[np.intp]
) -> FoldSums:
    """Add up predicted and measured edges ``[n_subjects, n_edges]``, fold by fold."""
    member = folds == np.arange(int(folds.max()) + 1)[:, None]
    return sum_groups(measured, predicted, member.astype(np.float64))


def sum_groups(
    measured: NDArray[np.floating], predicted: NDArray[np.floating], member: Vector
) -> FoldSums:
    """Add up predicted and measured edges ``[n_subjects, n_edges]`` of any groups of subjects.

    Parameters
    ----------
    measured, predicted : ndarray of shape (n_subjects, n_edges)
    member : ndarray of shape (n_groups, n_subjects)
        How often each one is in each group.
    """
    center = tuple(rows.mean(axis=0, dtype=np.float64) for rows in (predicted, measured))
    sums = np.empty((5, len(member), measured.shape[1]))
    for part in list_blocks(measured):
        x, y = predicted[:, part] - center[0][part], measured[:, part] - center[1][part]
        for k, values in enumerate((x, y, x * x, y * y, x * y)):
            sums[k, :, part] = member @ values
    return FoldSums((center[0], center[1]), member.sum(axis=1).astype(np.intp), *sums)


def _variance(square: Vector, mean: Vector, far: Vector) -> Vector:
    """Variance of each edge; 0 where it is no more than rounding."""
    variance = square - mean**2
    return np.where(variance > ROUNDING * (variance + (mean + far) ** 2), variance, 0.0)


def _shrink(r: Vector, n: int) -> tuple[float, float]:
    """Say what correlations of edges have in common, and how much of their differences is true."""
    if r.size < 2:
        return float(r.mean()) if r.size else 0.0, 0.0
    common = float(r.mean())
    chance = (1 - common**2) ** 2 / max(n - 1, 1)
    true = max(float(r.var()) - chance, 0.0)
    return common, true / (true + chance) if true > 0 else 0.0
