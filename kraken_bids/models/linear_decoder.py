"""The linear peer of a decoding: logistic regression on the mean pattern of each trial."""

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kraken_bids.models.splits import deal_folds

Floats = NDArray[np.floating]
Indices = NDArray[np.intp]

STRENGTHS = tuple(10.0**k for k in range(-4, 2))
"""Inverse penalties that are tried, the strictest first."""
N_FOLDS = 3
"""Inner folds that one is chosen in."""


def mean_patterns(values: Sequence[Floats]) -> NDArray[np.float64]:
    """Mean over the volumes of each trial ``[n_trials, n_regions]``."""
    return np.stack([np.mean(one, axis=0, dtype=np.float64) for one in values])


def decode_linearly(
    patterns: Floats, labels: Indices, subjects: Sequence[str], shown: Floats, *, seed: int = 0
) -> tuple[Indices, float]:
    """Predict the labels of patterns by a regression fitted on others.

    The penalty is that which decodes most trials of training subjects held out in turn; of equals
    the strictest. Nobody who is predicted has a say in it.

    Parameters
    ----------
    patterns : ndarray of shape (n_training, n_regions)
    labels : ndarray of shape (n_training,)
        Numbers of classes; those of the prediction are among them.
    subjects : sequence of str
        Subject, or family, of each training trial.
    shown : ndarray of shape (n_test, n_regions)
        What is predicted.

    Returns
    -------
    predicted : ndarray of shape (n_test,)
    strength : float
        Inverse penalty.
    """
    names, persons = np.unique(np.asarray(subjects), return_inverse=True)
    strength = STRENGTHS[len(STRENGTHS) // 2]
    if len(names) >= 2:
        folds = deal_folds(len(names), min(N_FOLDS, len(names)), seed=seed)[persons]
        strength = _choose_strength(patterns, labels, folds)
    predicted = _fit(patterns, labels, strength).predict(shown)
    return np.asarray(predicted, np.intp), strength


def _choose_strength(patterns: Floats, labels: Indices, folds: Indices) -> float:
    right = dict.fromkeys(STRENGTHS, 0)
    for fold in np.unique(folds):
        kept, out = folds != fold, folds == fold
        for strength in STRENGTHS:
            found = _fit(patterns[kept], labels[kept], strength).predict(patterns[out])
            right[strength] += int((found == labels[out]).sum())
    return max(STRENGTHS, key=lambda strength: right[strength])


def _fit(patterns: Floats, labels: Indices, strength: float) -> Any:
    from sklearn.dummy import DummyClassifier
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    if len(np.unique(labels)) < 2:
        return DummyClassifier().fit(patterns, labels)
    regression = make_pipeline(StandardScaler(), LogisticRegression(C=strength, max_iter=1000))
    with warnings.catch_warnings():
        # the strictest that decode well converge; a loose one that does not is seldom chosen
        warnings.simplefilter("ignore", ConvergenceWarning)
        return regression.fit(patterns, labels)
