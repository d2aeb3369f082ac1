"""How much larger than usual the errors of a subject's predictions are expected to be."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]

LOWEST, HIGHEST = 0.5, 2.0
"""Bounds of a difficulty: nobody's intervals are narrower, or wider, than usual by more."""
MIN_DISTANCE = 1e-12


@dataclass(frozen=True, eq=False)
class Difficulty:
    """Expected size of a subject's errors, relative to that of the subjects it was fitted on."""

    center: Vector
    """Mean features of the subjects it was fitted on [n_features]."""
    weights: Vector
    """Change of the logarithm of the errors with each feature [n_features]."""

    def judge(self, features: Vector) -> Vector:
        """Difficulty of subjects by their features ``[n_subjects, n_features]``; 1 is usual.

        A feature that is not known (NaN) counts as usual.
        """
        step = np.nan_to_num(features - self.center) @ self.weights
        return np.asarray(np.clip(np.exp(step), LOWEST, HIGHEST))


def fit_difficulty(errors: Vector, features: Vector) -> Difficulty:
    """Regress the logarithm of subjects' errors on what may predict them.

    Least squares, shrunk towards no difference by the ratio of adjusted to plain R², so that
    features that predict nothing change little.

    Parameters
    ----------
    errors : ndarray of shape (n_subjects,)
        Root mean square error of each subject, positive.
    features : ndarray of shape (n_subjects, n_features)
        NaN where not known.
    """
    known = np.isfinite(features)
    counts = np.maximum(known.sum(axis=0), 1)
    center = np.where(known, features, 0.0).sum(axis=0) / counts
    x = np.where(known, features - center, 0.0)
    y = np.log(errors) - np.log(errors).mean()
    n, n_features = x.shape
    total = float(y @ y)
    weights = np.zeros(n_features)
    if total > 0 and n > n_features + 1:
        weights = np.linalg.lstsq(x, y, rcond=None)[0]
        explained = 1 - float(((y - x @ weights) ** 2).sum()) / total
        adjusted = 1 - (1 - explained) * (n - 1) / (n - n_features - 1)
        weights *= max(adjusted, 0.0) / explained if explained > 0 else 0.0
    return Difficulty(center, np.asarray(weights))


def describe_subjects(latents: NDArray[np.floating], center: Vector, outside: Vector) -> Vector:
    """Features of subjects that may predict their errors ``[n_subjects, 2]``.

    Parameters
    ----------
    latents : ndarray of shape (n_subjects, n_latent)
        Fused, of the source.
    center : ndarray of shape (n_latent,)
        Mean latent of the subjects whom a calibration was fitted on.
    outside : ndarray of shape (n_subjects,)
        Share of the inputs' variance that the model does not see; NaN where not known.

    Returns
    -------
    ndarray of shape (n_subjects, 2)
        Logarithms of the distance from the center, and of that share.
    """
    distance = np.sqrt(((latents.astype(np.float64) - center) ** 2).sum(axis=1))
    columns = (np.maximum(distance, MIN_DISTANCE), np.maximum(outside, MIN_DISTANCE))
    return np.asarray(np.log(np.stack(columns, axis=1)))
