"""How sure a metric is: permutation p-values and bootstrap intervals from matrices made once."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from kraken_bids.scores.metrics import compute_metrics, rank_cells, row_correlations

Matrix = NDArray[np.float64]

INTERVAL = (2.5, 97.5)
"""Percentiles of a 95 % interval."""
TIE = 1e-12
"""Permuted values this near to the observed one count as equal: they are sums in another order."""


@dataclass(frozen=True)
class Score:
    """One metric of one source and target."""

    value: float
    p: float
    """Share of permutations that do as well or better; NaN without permutations."""
    low: float
    """Lower end of the 95 % interval; NaN without bootstraps."""
    high: float
    """Upper end of it."""


@dataclass(frozen=True)
class Comparison:
    """Everybody's observed connectome against everybody's prediction: rows observed."""

    values: Mapping[str, float]
    """Every metric, as of :func:`~kraken_bids.scores.metrics.compute_metrics`."""
    cells: Mapping[str, Matrix]
    """Metrics that are the mean over subjects of one cell each, ``[n_subjects, n_subjects]``:
    the diagonal is the metric, another assignment picks other cells."""
    observed_gram: Matrix
    """Inner products of the observed connectomes less their mean, ``[n_subjects, n_subjects]``."""
    predicted_gram: Matrix
    """The same of the predictions, less their own mean."""
    cross_gram: Matrix
    """Inner products of observed (rows) and predicted ones."""

    @property
    def n_subjects(self) -> int:
        """Subjects compared."""
        return len(self.observed_gram)


def compare(
    observed: NDArray[np.floating],
    predicted: NDArray[np.floating],
    *,
    mean: NDArray[np.floating] | None = None,
) -> Comparison:
    """Compare every observed connectome with every prediction; the only step that sees edges.

    Parameters
    ----------
    observed, predicted : ndarray of shape (n_subjects, n_edges)
        The same subjects in the same order.
    mean : ndarray of shape (n_edges,), optional
        Mean connectome for ``avgcorr_resid`` (the observed mean).

    Raises
    ------
    ConnectomeError
        If the shapes differ.
    """
    correlations = row_correlations(observed, predicted)
    ranks = rank_cells(correlations)
    x = observed - observed.mean(axis=0, dtype=np.float64)
    y = predicted - predicted.mean(axis=0, dtype=np.float64)
    center = observed.mean(axis=0, dtype=np.float64) if mean is None else mean
    cells = {
        "top1acc": (ranks <= 0).astype(np.float64),
        "top2acc": (ranks <= 1).astype(np.float64),
        "avgrank": 1 - ranks / len(ranks),
        "avgcorr": correlations,
        "avgcorr_resid": row_correlations(observed - center, predicted - center),
    }
    values = compute_metrics(observed, predicted, mean=center, correlations=correlations)
    return Comparison(values, cells, x @ x.T, y @ y.T, x @ y.T)


def score_comparison(
    comparison: Comparison, *, n_permutations: int = 1000, n_bootstraps: int = 1000, seed: int = 0
) -> dict[str, Score]:
    """Every metric with its permutation p-value and its bootstrap interval.

    A permutation deals the predictions out to other subjects. A bootstrap sample draws observed
    subjects with replacement and ranks each among the predictions of all subjects: the gallery
    stays whole, so that a subject drawn twice does not tie with itself. Means that are taken
    from both sides stay those of all subjects, but explained variance has each sample's own.

    Parameters
    ----------
    comparison : Comparison
    n_permutations, n_bootstraps : int
        0 leaves p-values or intervals out (NaN).
    seed : int
        The same seed and number of subjects give the same permutations and samples.

    Source
    ------
    Phipson and Smyth 2010 (doi:10.2202/1544-6115.1585): p = (1 + number as good) / (1 + number).
    """
    n = comparison.n_subjects
    rng = np.random.default_rng(seed)
    assignments = rng.permuted(np.tile(np.arange(n)[None], (n_permutations, 1)), axis=1)
    counts = rng.multinomial(n, np.full(n, 1 / n), size=n_bootstraps)
    scores = {
        name: _score(
            comparison.values[name],
            partial(_mean_cells, cells),
            assignments,
            samples=counts @ np.diag(cells) / n,
        )
        for name, cells in comparison.cells.items()
    }
    scores["explainedvar"] = _score(
        comparison.values["explainedvar"], partial(_explain_dealt, comparison), assignments,
        samples=_explain_samples(comparison, counts),
    )  # fmt: skip
    return scores


def _score(
    value: float,
    metric: Callable[[NDArray[np.intp]], Matrix],
    assignments: NDArray[np.intp],
    *,
    samples: Matrix,
) -> Score:
    p = low = high = float("nan")
    if len(assignments) and np.isfinite(value):
        n_as_good = int((metric(assignments) >= value - TIE).sum())
        p = (1 + n_as_good) / (1 + len(assignments))
    finite = samples[np.isfinite(samples)]
    if finite.size:
        low, high = (float(end) for end in np.percentile(finite, INTERVAL))
    return Score(value, p, low, high)


def _mean_cells(cells: Matrix, dealt: NDArray[np.intp]) -> Matrix:
    """Mean over subjects of the cell that each assignment [n_assignments, n_subjects] picks."""
    return np.asarray(cells[np.arange(len(cells)), dealt].mean(axis=1))


def _explain_dealt(comparison: Comparison, dealt: NDArray[np.intp]) -> Matrix:
    """Explained variance of each assignment: only the cross products depend on it."""
    total = np.trace(comparison.observed_gram)
    crossed = comparison.n_subjects * _mean_cells(comparison.cross_gram, dealt)
    error = total + np.trace(comparison.predicted_gram) - 2 * crossed
    return np.asarray(1 - error / total if total > 0 else np.full(len(dealt), np.nan))


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
    return np.asarray(weights @ np.diag(gram) - squares / gram.shape[0])
