"""What predictions add to the mean in subjects who were held out, and how much of it to keep."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kraken_bids.models.calibration.edge_slopes import FoldSums
from kraken_bids.scores.metrics import list_blocks

Vector = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Increments:
    """Products of what subjects are apart from the mean with what was predicted of that.

    Of each subject, with the own fold and one more left out of the fit; where that is the own
    fold, with no more. In two units: as edges are, and by the variance of each edge over those
    who have a part in the choice, as R² has it. The subject is among them: an edge of sparse
    structure that is near 0 in all but one would else count a million times in that one.
    """

    products: Vector
    """Sum over edges of (measured - mean) times the predicted increment
    [n_subjects, n_folds, 2]."""
    squares: Vector
    """Sum over edges of the squared increment [n_subjects, n_folds, 2]."""
    deviations: Vector
    """Sum over edges of (measured - mean) squared [n_subjects, n_folds]; as edges are."""
    folds: NDArray[np.intp]
    """[n_subjects]"""

    def spread_gains(self, kept: Vector) -> Vector:
        """Give the standard error of each subject's gain over the mean that the fit brings.

        By the jackknife that leaves out one fold more: how much the gain changes.

        Parameters
        ----------
        kept : ndarray of shape (n_folds,)
            Share of the increments that is kept without each fold.
        """
        n_folds = self.deviations.shape[1]
        own = self.folds
        share = kept[own][:, None]
        products, squares = self.products[:, :, 0], self.squares[:, :, 0]
        gains = (2 * share * products - share**2 * squares) / self.deviations
        others = np.arange(n_folds)[None, :] != own[:, None]
        mean = np.where(others, gains, 0).sum(axis=1) / (n_folds - 1)
        squared = np.where(others, (gains - mean[:, None]) ** 2, 0).sum(axis=1)
        return np.asarray(np.sqrt((n_folds - 2) / (n_folds - 1) * squared))

    def choose_share(self, without: int | None = None) -> float:
        """Share of the increments that serves subjects best who were held out, 0 to 1.

        The share that would have been best for them, less its variance over subjects divided by
        it: of one that is no more than its standard error nothing is kept. The smaller one of the
        two units, in both of which the result then is no worse than the mean.

        Parameters
        ----------
        without : int, optional
            Fold whose subjects have no part in this at all.
        """
        rows = np.arange(len(self.folds))
        if without is None:
            left_out = self.folds
        else:
            rows = rows[self.folds != without]
            left_out = np.full(len(rows), without)
        products, squares = (x[rows, left_out] for x in (self.products, self.squares))
        return min(_choose(a, d) for a, d in zip(products.T, squares.T, strict=True))


def sum_increments(
    measured: NDArray[np.floating],
    predicted: NDArray[np.floating],
    sums: FoldSums,
    folds: NDArray[np.intp],
) -> Increments:
    """Sum over edges what predictions add to the mean, for everyone with two folds left out."""
    n_folds = len(sums.n)
    found = np.zeros((2, len(folds), n_folds, 2))
    deviations = np.zeros((len(folds), n_folds))
    weight_of_all = _weigh(sums.fit_slopes().variance)
    left_out = {frozenset((a, b)) for a in range(n_folds) for b in range(n_folds)}
    known = {pair: sums.fit_slopes(pair) for pair in left_out}
    weights = np.stack([_weigh(known[frozenset((k,))].variance) for k in range(n_folds)])
    for own in range(n_folds):
        rows = np.flatnonzero(folds == own)
        fits = [known[frozenset((own, other))] for other in range(n_folds)]
        slope, mean_x, mean_y = (
            np.stack([getattr(fit, name) for fit in fits])
            for name in ("slope", "mean_predicted", "mean_measured")
        )
        weight = np.where(np.arange(n_folds)[:, None] == own, weight_of_all, weights)
        for part in list_blocks(measured):
            x = predicted[rows][:, part] - sums.center[0][part]
            y = measured[rows][:, part] - sums.center[1][part]
            b, p, m = slope[:, part], mean_x[:, part], mean_y[:, part]
            deviations[rows] += (
                (y * y).sum(axis=1, keepdims=True) - 2 * y @ m.T + (m * m).sum(axis=1)
            )
            for unit, w in enumerate((np.ones_like(b), weight[:, part])):
                wb, wbb = w * b, w * b * b
                found[0, rows, :, unit] += (
                    (x * y) @ wb.T - y @ (wb * p).T - x @ (wb * m).T + (wb * p * m).sum(axis=1)
                )
                found[1, rows, :, unit] += (
                    (x * x) @ wbb.T - 2 * x @ (wbb * p).T + (wbb * p * p).sum(axis=1)
                )
    return Increments(found[0], found[1], deviations, folds)


def _weigh(variance: Vector) -> Vector:
    """Weight of each edge, 1 over its variance; 0 where nobody differs."""
    return np.where(variance > 0, 1 / np.where(variance > 0, variance, 1.0), 0.0)


def _choose(products: Vector, squares: Vector) -> float:
    total = float(squares.sum())
    best = float(products.sum()) / total if total > 0 else 0.0
    if best <= 0:
        return 0.0
    n = len(products)
    variance = float(((products - best * squares) ** 2).sum()) * n / max(n - 1, 1) / total**2
    return min(max(best - variance / best, 0.0), 1.0)
