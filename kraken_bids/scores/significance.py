"""How sure a metric is: permutation p-values and bootstrap intervals from matrices made once."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from kraken_bids.scores.component_metrics import correlate_around
from kraken_bids.scores.inner_products import (
    Products,
    center_products,
    leave_out_means,
    multiply,
    multiply_left_out,
)
from kraken_bids.scores.metrics import rank_cells
from kraken_bids.scores.resampling import Draws, Kinship, draw

Matrix = NDArray[np.float64]

INTERVAL = (2.5, 97.5)
"""Percentiles of a 95 % interval."""
TIE = 1e-12
"""Permuted values this near to the observed one count as equal: they are sums in another order."""
UNKNOWN = float("nan")


@dataclass(frozen=True)
class Score:
    """One metric of one source and target."""

    value: float
    p: float = UNKNOWN
    """Share of permutations that do as well or better; NaN without permutations."""
    low: float = UNKNOWN
    """Lower end of the 95 % interval; NaN without bootstraps."""
    high: float = UNKNOWN
    """Upper end of it."""
    samples: Matrix = field(default_factory=lambda: np.empty(0), repr=False, compare=False)
    """The metric of each bootstrap sample ``[n_bootstraps]``."""

    @classmethod
    def of(cls, value: float, samples: Matrix, p: float = UNKNOWN) -> "Score":
        """Take the interval from bootstrap samples."""
        finite = samples[np.isfinite(samples)]
        low, high = np.percentile(finite, INTERVAL).tolist() if finite.size else (UNKNOWN,) * 2
        return cls(value, p, low, high, samples)


@dataclass(frozen=True)
class Comparison:
    """Everybody's observed connectome against everybody's prediction: rows observed."""

    cells: Mapping[str, Matrix]
    """Metrics that are the mean over subjects of one cell each, ``[n_subjects, n_subjects]``:
    the diagonal is the metric, another assignment picks other cells."""
    observed_gram: Matrix
    """Inner products of the observed connectomes less their mean, ``[n_subjects, n_subjects]``."""
    predicted_gram: Matrix
    """The same of the predictions, less their own mean."""
    cross_gram: Matrix
    """Inner products of observed (rows) and predicted ones."""
    errors: Matrix
    """Squared error of every prediction for every observed connectome."""
    mean_errors: Matrix
    """Squared error of the group mean for every observed connectome ``[n_subjects]``."""
    mean_correlations: Matrix
    """Correlation of every observed connectome with the group mean ``[n_subjects]``."""
    kinship: Kinship

    @property
    def n_subjects(self) -> int:
        """Rows compared: sessions of subjects."""
        return len(self.observed_gram)

    @property
    def correlations(self) -> Matrix:
        """Everyone observed (rows) with everyone predicted."""
        return self.cells["avgcorr"]


def compare(
    observed: NDArray[np.floating],
    predicted: NDArray[np.floating],
    *,
    mean: NDArray[np.floating] | None = None,
    folds: NDArray[np.intp] | None = None,
    kinship: Kinship | None = None,
) -> Comparison:
    """Compare every observed connectome with every prediction; the only step that sees edges.

    Parameters
    ----------
    observed, predicted : ndarray of shape (n_subjects, n_edges)
        The same subjects in the same order.
    mean : ndarray of shape (n_edges,), optional
        Mean connectome for ``avgcorr_resid`` (the observed mean), and the group mean of ``gain``.
    folds : ndarray of shape (n_subjects,), optional
        Without a mean, everyone's group mean is that of the subjects outside the own fold (of
        everyone else).
    kinship : Kinship, optional
        Who is a session of whom, and whose relative.

    Raises
    ------
    ConnectomeError
        If the shapes differ.
    """
    if mean is None and folds is None:
        folds = np.arange(len(observed))
    products = multiply(observed, predicted, center=mean)
    return compare_products(products, folds=folds, kinship=kinship)


def compare_products(
    products: Products,
    *,
    folds: NDArray[np.intp] | None = None,
    kinship: Kinship | None = None,
) -> Comparison:
    """Compare connectomes of which the inner products are known.

    Parameters
    ----------
    folds : ndarray of shape (n_subjects,), optional
        Everyone's group mean is that of the subjects outside the own fold; without any, it is the
        center of the products.
    """
    n = len(products.cross)
    kinship = kinship or Kinship.none(n)
    found = products.correlate()
    cells = list_cells(found.plain, found.demeaned, kinship)
    if products.r2 is not None:
        cells["r2"] = products.r2
    of_means = _judge_means(products, folds)
    return Comparison(
        cells,
        center_products(products.observed.gram),
        center_products(products.predicted.gram),
        center_products(products.cross),
        products.errors,
        *of_means,
        kinship,
    )


def _judge_means(products: Products, folds: NDArray[np.intp] | None) -> tuple[Matrix, Matrix]:
    """Squared error of everyone's group mean, and its correlation ``[n_subjects]``."""
    center, observed, n = products.center, products.observed, len(products.cross)
    own = (observed.sums, np.diag(observed.gram), observed.by_center)
    means, cross = (np.zeros(n),) * 3, np.zeros(n)
    if folds is not None:
        weights, by_means = leave_out_means(folds), multiply_left_out(observed.gram, folds)
        squares = np.einsum("ij,ji->i", weights, by_means)
        means = (weights @ observed.sums, squares, weights @ observed.by_center)
        cross = np.diag(by_means)
    # everyone with the own mean only: as many matrices of one cell
    x, y = ((a[:, None], b[:, None], c[:, None]) for a, b, c in (own, means))
    around = (center.n_edges, center.total, center.square)
    found = correlate_around(around, cross[:, None, None], x, y)
    return np.maximum(own[1] + means[1] - 2 * cross, 0), found.plain[:, 0, 0]


def list_cells(plain: Matrix, demeaned: Matrix, kinship: Kinship) -> dict[str, Matrix]:
    """Cells of the metrics that correlations of everyone with everyone give.

    A prediction is ranked among those of others: other sessions of the subject predicted are
    passed over, since they are no one else's.

    Parameters
    ----------
    plain, demeaned : ndarray of shape (n_subjects, n_subjects)
        Observed in rows; with the means, and without them.
    """
    ranks = rank_cells(plain)
    people = np.array(kinship.people, np.intp)
    sizes = np.bincount(people)
    for person in np.flatnonzero(sizes > 1):
        own = np.flatnonzero(people == person)
        ranks[:, own] -= rank_cells(plain[:, own])
    return {
        "top1acc": (ranks <= 0).astype(np.float64),
        "top2acc": (ranks <= 1).astype(np.float64),
        "avgrank": 1 - ranks / (len(people) + 1.0 - sizes[people]),
        "avgcorr": plain,
        "avgcorr_resid": demeaned,
    }


def score_comparison(
    comparison: Comparison, *, n_permutations: int = 1000, n_bootstraps: int = 1000, seed: int = 0
) -> dict[str, Score]:
    """Every metric with its permutation p-value and its bootstrap interval.

    A permutation deals the predictions out to other subjects. A bootstrap sample draws observed
    subjects with replacement and ranks each among the predictions of all subjects: the gallery
    stays whole, so that a subject drawn twice does not tie with itself. Means that are taken
    from both sides, the group mean of everyone, and the spread of edges that ``r2`` divides by
    stay those of all subjects, but explained variance has each sample's own.

    Parameters
    ----------
    n_permutations, n_bootstraps : int
        0 leaves p-values or intervals out (NaN).
    seed : int
        The same seed and number of subjects give the same permutations and samples.

    Source
    ------
    Phipson and Smyth 2010 (doi:10.2202/1544-6115.1585): p = (1 + number as good) / (1 + number).
    """
    drawn = draw(
        comparison.kinship,
        n_permutations=n_permutations,
        n_bootstraps=n_bootstraps,
        seed=seed,
    )
    scores = _score_means(comparison, drawn)
    scores["explainedvar"] = _score_explained(comparison, drawn)
    scores["gain"] = _score_gain(comparison, drawn)
    own = comparison.mean_correlations
    scores["baseline_avgcorr"] = Score.of(float(own.mean()), _average(own, drawn))
    return scores


def _score_means(comparison: Comparison, drawn: Draws) -> dict[str, Score]:
    """Metrics that are means of cells."""
    own = np.stack([np.diag(cells) for cells in comparison.cells.values()])
    values = own.mean(axis=1)
    samples = _average(own.T, drawn)
    found = {}
    for k, (name, cells) in enumerate(comparison.cells.items()):
        p = _compute_p(float(values[k]), _deal(cells, drawn).mean(axis=1))
        found[name] = Score.of(float(values[k]), samples[:, k], p)
    return found


def _score_explained(comparison: Comparison, drawn: Draws) -> Score:
    """Explained variance: of each assignment, only the cross products differ."""
    total = float(np.trace(comparison.observed_gram))
    squares = total + float(np.trace(comparison.predicted_gram))
    if not total > 0:
        return Score(UNKNOWN)
    value = 1 - (squares - 2 * float(np.trace(comparison.cross_gram))) / total
    dealt = 1 - (squares - 2 * _deal(comparison.cross_gram, drawn).sum(axis=1)) / total
    return Score.of(value, _explain_samples(comparison, drawn.counts), _compute_p(value, dealt))


def _score_gain(comparison: Comparison, drawn: Draws) -> Score:
    """Gain over the group mean."""
    own, total = np.diag(comparison.errors), float(comparison.mean_errors.sum())
    if not total > 0:
        return Score(UNKNOWN)
    value = 1 - float(own.sum()) / total
    dealt = 1 - _deal(comparison.errors, drawn).sum(axis=1) / total
    with np.errstate(divide="ignore", invalid="ignore"):
        samples = 1 - (drawn.counts @ own) / (drawn.counts @ comparison.mean_errors)
    return Score.of(value, np.asarray(samples), _compute_p(value, dealt))


def _compute_p(value: float, dealt: Matrix) -> float:
    if not len(dealt) or not np.isfinite(value):
        return UNKNOWN
    return (1 + int((dealt >= value - TIE * max(1.0, abs(value))).sum())) / (1 + len(dealt))


def _deal(cells: Matrix, drawn: Draws) -> Matrix:
    """Cells that each assignment picks ``[n_permutations, n_subjects]``."""
    n = len(cells)
    return np.asarray(np.take(cells, drawn.assignments + n * np.arange(n)))


def _average(values: Matrix, drawn: Draws) -> Matrix:
    """Mean of each bootstrap sample of values ``[n_subjects, ...]``."""
    totals = drawn.counts.sum(axis=1).reshape(-1, *[1] * (values.ndim - 1))
    return np.asarray(drawn.counts @ values / totals)


def _explain_samples(comparison: Comparison, counts: NDArray[np.int64]) -> Matrix:
    """Explained variance of each bootstrap sample, given how often it holds each subject."""
    cross = comparison.cross_gram
    error_gram = comparison.observed_gram + comparison.predicted_gram - cross - cross.T
    total = _scatter(comparison.observed_gram, counts)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.where(total > 0, 1 - _scatter(error_gram, counts) / total, np.nan))


def _scatter(gram: Matrix, counts: NDArray[np.int64]) -> Matrix:
    """Sum of squared distances from the sample's own mean, from inner products alone."""
    weights = counts.astype(np.float64)
    squares = ((weights @ gram) * weights).sum(axis=1)
    return np.asarray(weights @ np.diag(gram) - squares / weights.sum(axis=1))
