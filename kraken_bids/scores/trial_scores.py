"""How well trials are decoded: accuracies from confusions, and how sure they are."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Counts = NDArray[np.float64]
Indices = NDArray[np.intp]

N_DRAWS = 2000
"""Bootstrap samples behind an interval."""
PERCENTILES = (2.5, 97.5)


@dataclass(frozen=True)
class Interval:
    """A number and its 95 % interval; NaN where it is not known."""

    value: float
    low: float
    high: float


def count_confusions(
    labels: Indices, predicted: Indices, subjects: Indices, *, n_people: int, n_classes: int
) -> Counts:
    """Count trials by subject, label and predicted label ``[n_people, n_classes, n_classes]``.

    Parameters
    ----------
    labels, predicted : ndarray of shape (n_trials,)
        Numbers of classes.
    subjects : ndarray of shape (n_trials,)
        Number of the subject, or family, of each trial.
    """
    counts = np.zeros((n_people, n_classes, n_classes))
    np.add.at(counts, (subjects, labels, predicted), 1)
    return counts


def add_confusions(counted: Sequence[Counts]) -> Counts:
    """Add up the confusions of folds, as of :func:`count_confusions`, of the subjects held out."""
    total = np.sum(counted, axis=0)
    return np.asarray(total[total.any(axis=(1, 2))])


def estimate_accuracy(
    confusions: Counts, *, over: Counts | None = None, balanced: bool = False, seed: int = 0
) -> Interval:
    """Share of trials that are decoded, or its gain over another method's on the same trials.

    Parameters
    ----------
    confusions : ndarray of shape (n_people, n_classes, n_classes)
        As of :func:`count_confusions`.
    over : ndarray of the same shape, optional
        Those of the method whose accuracy is taken off.
    balanced : bool
        Mean of the shares of each class that has trials.

    Returns
    -------
    Interval
        Percentiles of 2,000 samples in which subjects are drawn whole, with all trials, since
        trials of one subject are no independent observations; NaN of fewer than two subjects.
    """
    n_people = len(confusions)
    draws = np.random.default_rng(seed).multinomial(
        n_people, np.full(n_people, 1 / max(n_people, 1)), size=N_DRAWS
    )
    weights = np.vstack([np.ones(n_people), draws])
    values = _compute(weights, confusions, balanced=balanced)
    if over is not None:
        values = values - _compute(weights, over, balanced=balanced)
    if n_people < 2:
        return Interval(float(values[0]), np.nan, np.nan)
    low, high = np.nanpercentile(values[1:], PERCENTILES)
    return Interval(float(values[0]), float(low), float(high))


def spread_accuracy(
    by_training: Sequence[Counts], whole: Interval, *, balanced: bool = False
) -> Interval:
    """95 % interval of an accuracy over independent trainings, each tried on its own subjects.

    For labels shuffled anew for each: a network takes alike trials for one label, right or wrong
    together, so that one shuffle says little, however many trials and subjects it is tried on.
    Log-odds are taken for normal, so that both ends lie between 0 and 1.

    Parameters
    ----------
    by_training : sequence of ndarray
        Confusions of each, as of :func:`count_confusions`.
    whole : Interval
        Of all together, whose value is kept.

    Returns
    -------
    Interval
        Student's t on log-odds, whose standard error is that of the accuracies (about the value of
        all together) by the delta method; NaN ends of fewer than two trainings. Two trainings
        leave most of 0 to 1 open.
    """
    from scipy.special import expit, logit
    from scipy.stats import t

    values = [compute_accuracy(one, balanced=balanced) for one in by_training]
    n = len(values)
    if n < 2:
        return Interval(whole.value, np.nan, np.nan)
    spread = np.sum((np.array(values) - whole.value) ** 2) / (n * (n - 1))
    if spread == 0:
        return Interval(whole.value, whole.value, whole.value)
    margin = t.ppf(0.975, n - 1) * np.sqrt(spread) / (whole.value * (1 - whole.value))
    low, high = expit(logit(whole.value) + np.array([-margin, margin]))
    return Interval(whole.value, float(low), float(high))


def compute_accuracy(confusions: Counts, *, balanced: bool = False) -> float:
    """Share of trials that are decoded; parameters as of :func:`estimate_accuracy`."""
    return float(_compute(np.ones((1, len(confusions))), confusions, balanced=balanced)[0])


def find_chance_agreement(confusions: Counts) -> float:
    """Share of trials that would be right if labels and predictions were independent.

    Parameters
    ----------
    confusions : ndarray of shape (n_people, n_classes, n_classes)
        As of :func:`count_confusions`.

    Returns
    -------
    float
        Sum over classes of the share of labels times the share of predictions.

    Source: Cohen 1960, expected agreement.
    """
    shares = confusions.sum(axis=0) / max(confusions.sum(), 1)
    return float(shares.sum(axis=1) @ shares.sum(axis=0))


def find_guessing_range(share: float, n_trials: int) -> Interval:
    """95 % range of the accuracy of guesses that are right with some probability, each by itself.

    Source: binomial distribution.
    """
    from scipy.stats import binom

    low, high = binom.ppf(np.array(PERCENTILES) / 100, n_trials, share) / max(n_trials, 1)
    return Interval(share, float(low), float(high))


def _compute(weights: NDArray[np.float64], confusions: Counts, *, balanced: bool) -> Counts:
    """Accuracy of each sample of subjects ``[n_samples]``."""
    totals = np.tensordot(weights, confusions, 1)
    right = np.diagonal(totals, axis1=1, axis2=2)
    with np.errstate(invalid="ignore", divide="ignore"):
        if not balanced:
            return np.asarray(right.sum(axis=1) / totals.sum(axis=(1, 2)))
        of_class = totals.sum(axis=2)
        shares = np.where(of_class > 0, right / np.maximum(of_class, 1), 0.0)
        return np.asarray(shares.sum(axis=1) / (of_class > 0).sum(axis=1))
