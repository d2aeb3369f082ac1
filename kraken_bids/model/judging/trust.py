"""How unlike the others a connectome is: what the transform sees of it, where its latent lies."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kraken_bids.model.engine.reduction import COMPONENTS, Reduction

Vector = NDArray[np.float64]

MIN_PEOPLE = 5
"""Fewer sessions have no robust spread, and nobody among them is called an outlier."""
MAX_Z = 3.5
FAR_Z = 5.0
"""A cohort has hundreds of files: among those only what is farther than this is unusual."""
CONSISTENT_MAD = 1.4826
"""Makes the median absolute deviation of a normal sample its standard deviation."""
MIN_LOG_SPREAD = 0.05
"""Shares and distances that differ by less than some per cent are alike, however alike others
are."""


@dataclass(frozen=True)
class InputShare:
    """Where adapted connectomes of one flavor lie, seen from the training data."""

    outside: Vector
    """Share of the squared distance from the transform's center that the transform does not see
    [n_subjects]; NaN where a subject lacks the flavor."""
    distance: Vector
    """That distance [n_subjects], in edge units."""


@dataclass(frozen=True)
class TrainingShare:
    """The same of the connectomes that the transform was fitted on."""

    outside: float
    """NaN where the transform does not keep it."""
    distance: float
    """Root mean square; NaN where the number of training subjects is not known."""


def sees_subspace(reduction: Reduction) -> bool:
    """Whether a transform keeps a subspace of edges only (``pca``, ``tsvd``)."""
    return reduction.kind in COMPONENTS


def measure_inputs(edges: NDArray[np.floating], reduction: Reduction) -> InputShare:
    """Share of each connectome outside a transform's subspace, and distance from its center.

    ``||d - CᵀC d||² / ||d||²`` with ``d = x - m``, components ``C`` and the training mean ``m``
    (zero for ``tsvd``, which has none).

    Parameters
    ----------
    edges : ndarray of shape (n_subjects, n_edges)
        Adapted; a missing edge (NaN) counts as the training mean, as in the model's input.
    reduction : Reduction
        One that :func:`sees_subspace`.
    """
    affine = reduction.to_affine()
    assert affine.matrix is not None
    deviation = np.nan_to_num(edges.astype(np.float64) - affine.center)
    total = (deviation**2).sum(axis=1)
    seen = ((deviation.astype(np.float32) @ affine.matrix.T).astype(np.float64) ** 2).sum(axis=1)
    absent = np.isnan(edges).all(axis=1) | (total == 0)
    share = 1 - seen / np.where(absent, 1.0, total)
    return InputShare(
        np.where(absent, np.nan, np.clip(share, 0.0, 1.0)),
        np.where(absent, np.nan, np.sqrt(total)),
    )


def describe_training(reduction: Reduction, n_subjects: int | None) -> TrainingShare:
    """Say what training data leave outside the subspace, and how far they lie from their mean.

    Parameters
    ----------
    reduction : Reduction
        NaN for both where it is not one that :func:`sees_subspace`.
    n_subjects : int or None
        Training subjects, where that is known.
    """
    if not sees_subspace(reduction):
        return TrainingShare(float("nan"), float("nan"))
    ratios = reduction.arrays.get("pca_explained_variance_ratio")
    kept = float("nan") if ratios is None else float(np.sum(ratios, dtype=np.float64))
    norm = float(reduction.arrays["input_normscale"].reshape(-1)[0])
    # the transform keeps the Frobenius norm of the projected training data
    square = norm**2 / n_subjects / kept if n_subjects and kept > 0 else float("nan")
    return TrainingShare(1 - kept, float(np.sqrt(square)))


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
        NaN for all where fewer than :data:`MIN_PEOPLE` are known.

    Source
    ------
    Iglewicz and Hoaglin 1993: modified z-score from the median absolute deviation, cut at 3.5.
    """
    known = np.isfinite(values)
    if known.sum() < MIN_PEOPLE:
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
        NaN where there is none, or fewer than :data:`MIN_PEOPLE` are known.
    """
    known = np.isfinite(latents).all(axis=1)
    distance, typical = np.full(len(latents), np.nan), 0.0
    if known.sum() >= MIN_PEOPLE:
        rows = latents[known].astype(np.float64)
        distance[known] = np.linalg.norm(rows - np.median(rows, axis=0), axis=1)
        typical = float(np.median(distance[known]))
    return distance, robust_z(distance, min_spread=MIN_LOG_SPREAD * typical)
