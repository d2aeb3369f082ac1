"""What a model's transform sees of a connectome, and saw of its training data."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kraken_bids.models.krakencoder.reduction import COMPONENTS, Reduction
from kraken_bids.scores.novelty import Vector


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
