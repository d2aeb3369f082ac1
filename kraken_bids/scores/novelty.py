"""How unlike the others a connectome is: what the transform sees of it, where its latent lies."""

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]

MIN_SUBJECTS = 5
"""Fewer sessions have no robust spread, and nobody among them is called an outlier."""
MAX_Z = 3.5
FAR_Z = 5.0
"""A cohort has hundreds of files: among those only what is farther than this is unusual."""
CONSISTENT_MAD = 1.4826
"""Makes the median absolute deviation of a normal sample its standard deviation."""
MIN_LOG_SPREAD = 0.05
"""Shares and distances that differ by less than some per cent are alike, however alike others
are."""


def robust_z(values: Vector, *, min_spread: float = 0.0) -> Vector:
    """Distance of each value from the median in robust standard deviations.

    Parameters
    ----------
    values : ndarray of shape (n,)
        NaN stays NaN.
    min_spread : float
        Spread below which values count as alike; without any spread all are 0.

    Returns
    -------
    ndarray of shape (n,)
        NaN for all where fewer than :data:`MIN_SUBJECTS` are known.

    Source
    ------
    Iglewicz and Hoaglin 1993: modified z-score from the median absolute deviation, cut at 3.5.
    """
    known = np.isfinite(values)
    if known.sum() < MIN_SUBJECTS:
        return np.full(len(values), np.nan)
    centre = np.median(values[known])
    spread = max(CONSISTENT_MAD * np.median(np.abs(values[known] - centre)), min_spread)
    z: Vector = (values - centre) / spread if spread > 0 else np.where(known, 0.0, np.nan)
    return z


def measure_distances(latents: NDArray[np.floating]) -> tuple[Vector, Vector]:
    """Euclidean distance of each latent from the cohort's median latent, and its robust z.

    Not Mahalanobis: a cohort is rarely much larger than a latent is long, and a covariance of so
    few is mostly its shrinkage. Unit latents all lie at nearly one distance, so distances that
    differ by less than some per cent count as alike.

    Parameters
    ----------
    latents : ndarray of shape (n_subjects, n_latent)
        NaN rows where a subject has none.

    Returns
    -------
    distance, z : ndarray of shape (n_subjects,)
        NaN where there is none, or fewer than :data:`MIN_SUBJECTS` are known.
    """
    known = np.isfinite(latents).all(axis=1)
    distance, typical = np.full(len(latents), np.nan), 0.0
    if known.sum() >= MIN_SUBJECTS:
        rows = latents[known].astype(np.float64)
        distance[known] = np.linalg.norm(rows - np.median(rows, axis=0), axis=1)
        typical = float(np.median(distance[known]))
    return distance, robust_z(distance, min_spread=MIN_LOG_SPREAD * typical)
