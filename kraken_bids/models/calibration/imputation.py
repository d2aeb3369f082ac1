"""Draws of connectomes that were not measured: calibrated prediction, residual and their doubt.

A calibrated prediction is what is expected of a subject; subjects scatter around it. Statistics on
predictions as if they were measured are too sure, and see too little spread. A draw adds a
residual such as measured subjects have: a part of low rank, so that edges covary as theirs do, and
noise of each edge. Each draw fits slopes and residuals anew on a bootstrap sample of subjects, so
that draws differ also by what so few subjects leave open (proper imputation).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from kraken_bids.exceptions import ConnectomeError
from kraken_bids.models.calibration.calibration import CrossFit
from kraken_bids.models.calibration.edge_slopes import FoldSums, sum_groups
from kraken_bids.models.splits import group_families
from kraken_bids.scores.metrics import list_blocks

Floats = NDArray[np.float64]
Edges = NDArray[np.float32]

MIN_FREE = 10
"""Fewer subjects beyond the number of covariates tell nothing of residuals."""
BATCH = 10
"""Draws that are fitted in one pass over the subjects."""
ROWS = 32
"""Subjects who are drawn at once."""
N_FLIPS = 3
"""Copies with random signs, whose largest factor tells chance from covariance."""


@dataclass(frozen=True, eq=False)
class ResidualFit:
    """What a bootstrap sample says: the mean and slope of each edge, and how subjects scatter."""

    mean_measured: Floats
    """[n_edges], as what follows."""
    mean_predicted: Floats
    slope: Floats
    effects: Floats
    """Of the covariates on what the prediction leaves [n_covariates, n_edges]."""
    factors: Floats
    """Of the residuals [n_factors, n_edges]."""
    noise: Floats
    """Standard deviation of what the factors leave of each edge's residual [n_edges]."""


@dataclass(frozen=True, eq=False)
class Imputer:
    """Subjects with measured and predicted connectomes, from whom those of others are drawn.

    Parameters
    ----------
    measured, predicted : ndarray of shape (n_subjects, n_edges)
        Of the subjects who have both; raw predictions.
    fitted : CrossFit
        The calibration of these subjects; what is left in subjects held out scales the residuals.
    covariates : ndarray of shape (n_subjects, n_covariates)
        The first column of ones, as of :func:`~kraken_bids.scores.covariates.encode_covariates`;
        rows with NaN have no part in the residuals.
    families : sequence of str
        Of each row; sampled together.

    Raises
    ------
    ConnectomeError
        If there are not :data:`MIN_FREE` subjects more than covariates.
    """

    measured: Edges
    predicted: Edges
    fitted: CrossFit
    covariates: Floats
    families: Sequence[str]
    seed: int = 0

    def __post_init__(self) -> None:
        """Check that there are subjects enough."""
        n_free = int(self._known.sum()) - self.covariates.shape[1]
        if n_free < MIN_FREE:
            raise ConnectomeError(
                f"expected at least {MIN_FREE + self.covariates.shape[1]} people with both "
                f"connectomes and all {self.covariates.shape[1] - 1} covariates, to impute from; "
                f"found {int(self._known.sum())}. Allow for fewer covariates."
            )

    @cached_property
    def residuals(self) -> Edges:
        """What predictions and covariates leave of subjects held out ``[n_subjects, n_edges]``.

        Around the mean of everyone, with the slopes that were fitted without the own fold; scaled
        for the degrees of freedom that mean and covariates take. 0 in rows whose covariates are
        not known.
        """
        x, n = self._design, int(self._known.sum())
        project, everyone = x @ np.linalg.pinv(x), self.fitted.calibration
        scale = self._known[:, None] * np.sqrt(n / (n - x.shape[1]))
        found = np.empty(self.measured.shape, np.float32)
        for part in list_blocks(self.measured):
            slopes = np.stack([one.slope[part] for one in self.fitted.without])
            moved = self.predicted[:, part] - everyone.mean_predicted[part].astype(np.float64)
            left = self.measured[:, part] - everyone.mean_measured[part].astype(np.float64)
            left -= slopes[self.fitted.folds] * moved
            left *= self._known[:, None]
            found[:, part] = scale * (left - project @ left)
        return found

    @cached_property
    def explained(self) -> float:
        """Share of the variance of subjects that prediction and covariates explain, 0 to 1."""
        total = sum(
            float(self.measured[:, part].var(axis=0, dtype=np.float64, ddof=1).sum())
            for part in list_blocks(self.measured)
        )
        left = float(np.trace(self._gram)) / int(self._known.sum())
        return float(np.clip(1 - left / total, 0.0, 1.0)) if total > 0 else 0.0

    @cached_property
    def n_factors(self) -> int:
        """Number of residual factors that are larger than any of residuals with random signs.

        Source: parallel analysis by sign flips, Hong, Sheng and Dobriban 2020,
        arXiv:2012.02985.
        """
        rng = np.random.default_rng([self.seed, 0])
        chance = 0.0
        for _ in range(N_FLIPS):
            gram = np.zeros_like(self._gram)
            for part in list_blocks(self.residuals):
                block = self.residuals[:, part]
                flipped = np.where(rng.integers(0, 2, block.shape, np.int8), block, -block)
                gram += flipped.astype(np.float64) @ flipped.T
            chance = max(chance, float(np.linalg.eigvalsh(gram)[-1]))
        return int((np.linalg.eigvalsh(self._gram) > chance).sum())

    def draw(
        self, predicted: NDArray[np.floating], covariates: Floats, n_draws: int
    ) -> Iterator[tuple[int, Edges]]:
        """Draw connectomes of subjects in whom they were not measured.

        Parameters
        ----------
        predicted : ndarray of shape (n_lacking, n_edges)
            Raw.
        covariates : ndarray of shape (n_lacking, n_covariates)
            Encoded as those of the subjects fitted on; one that is not known counts as their mean.

        Yields
        ------
        int
            Number of the draw, from 0.
        ndarray of shape (n_rows, n_edges)
            The next rows of that draw, in the units of the measured connectomes.
        """
        x = np.nan_to_num(covariates)
        for start in range(0, n_draws, BATCH):
            numbers = range(start, min(start + BATCH, n_draws))
            for number, fit in zip(numbers, self._fit(numbers), strict=True):
                rng = np.random.default_rng([self.seed, 2, number])
                for first in range(0, len(predicted), ROWS):
                    rows = slice(first, first + ROWS)
                    yield number, _draw_rows(fit, predicted[rows], x[rows], rng)

    def _fit(self, numbers: Sequence[int]) -> Iterator[ResidualFit]:
        """Fit everything on the bootstrap sample of each draw."""
        weights = np.stack([self._sample(number) for number in numbers])
        sums = sum_groups(self.measured, self.predicted, weights)
        known = weights * self._known
        designs = known[:, None] * self._design.T
        flat = designs.reshape(-1, designs.shape[2])
        y, p = (
            _multiply(flat, rows).reshape(*designs.shape[:2], -1)
            for rows in (self.measured, self.predicted)
        )
        for k, own in enumerate(known):
            mean_measured, mean_predicted, slope = _fit_line(sums, k, kept=self._kept)
            ones = designs[k].sum(axis=1)[:, None]
            left = y[k] - ones * mean_measured - slope * (p[k] - ones * mean_predicted)
            factors, noise = self._find_factors(own)
            yield ResidualFit(
                mean_measured,
                mean_predicted,
                slope,
                effects=np.linalg.pinv(designs[k] @ self._design) @ left,
                factors=factors,
                noise=noise,
            )

    def _sample(self, number: int) -> Floats:
        """How often each row is in the sample of a draw; families are drawn whole."""
        names, member_of = group_families(self.families, len(self.measured))
        rng = np.random.default_rng([self.seed, 1, number])
        counts = np.bincount(rng.integers(0, len(names), len(names)), minlength=len(names))
        return counts[member_of].astype(np.float64)

    def _find_factors(self, weights: Floats) -> tuple[Floats, Floats]:
        """Split residuals of a weighted sample into factors and noise of each edge."""
        root, n = np.sqrt(weights), weights.sum()
        vectors = np.linalg.eigh(self._gram * np.outer(root, root))[1]
        turned = (vectors[:, ::-1][:, : self.n_factors] * root[:, None]).T / np.sqrt(n)
        factors = _multiply(turned, self.residuals)
        variance = np.empty(self.residuals.shape[1])
        for part in list_blocks(self.residuals):
            variance[part] = weights @ self.residuals[:, part].astype(np.float64) ** 2 / n
        return factors, np.sqrt(np.maximum(variance - (factors**2).sum(axis=0), 0.0))

    @cached_property
    def _gram(self) -> Floats:
        """Inner products of the residuals [n_subjects, n_subjects]."""
        gram = np.zeros((len(self.measured),) * 2)
        for part in list_blocks(self.residuals):
            block = self.residuals[:, part].astype(np.float64)
            gram += block @ block.T
        return gram

    @property
    def _known(self) -> NDArray[np.bool_]:
        return np.asarray(np.isfinite(self.covariates).all(axis=1))

    @property
    def _design(self) -> Floats:
        """Covariates, 0 in rows where one is not known."""
        return np.where(self._known[:, None], self.covariates, 0.0)

    @property
    def _kept(self) -> float:
        return self.fitted.calibration.kept


def _multiply(weights: Floats, rows: Edges) -> Floats:
    """Weighted sums ``[n_sums, n_edges]`` of subjects' edges, in float64."""
    found = np.empty((len(weights), rows.shape[1]))
    for part in list_blocks(rows):
        found[:, part] = weights @ rows[:, part].astype(np.float64)
    return found


def _fit_line(sums: FoldSums, sample: int, *, kept: float) -> tuple[Floats, Floats, Floats]:
    """Mean measured and predicted edges of a sample, and the slopes of its calibration."""
    fit = sums.fit_slopes(set(range(len(sums.n))) - {sample})
    mean_predicted, mean_measured = sums.center
    return mean_measured + fit.mean_measured, mean_predicted + fit.mean_predicted, kept * fit.slope


def _draw_rows(
    fit: ResidualFit,
    predicted: NDArray[np.floating],
    covariates: Floats,
    rng: np.random.Generator,
) -> Edges:
    """Draw some subjects' connectomes from one fit."""
    rows = fit.mean_measured + fit.slope * (predicted - fit.mean_predicted)
    rows += covariates @ fit.effects
    rows += rng.standard_normal((len(predicted), len(fit.factors))) @ fit.factors
    rows += rng.standard_normal(predicted.shape, np.float32) * fit.noise
    return np.asarray(rows, np.float32)
