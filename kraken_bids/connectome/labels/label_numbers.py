"""Label images as whole numbers and as region numbers."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kraken_bids.exceptions import ConnectomeError


def check_labels(labels: NDArray[np.generic]) -> NDArray[np.int32]:
    """Label image [x, y, z] or [x, y, z, 1] as int32 [x, y, z]; floats may be whole numbers.

    Raises
    ------
    ConnectomeError
        If it has another shape, or holds negative, fractional or non-finite numbers.
    """
    if labels.ndim == 4 and labels.shape[3] == 1:
        labels = labels[..., 0]
    if labels.ndim != 3:
        raise ConnectomeError(
            f"expected a label image with three axes [x, y, z]; found shape {labels.shape}. "
            "Give one label image, not a probabilistic atlas or a series."
        )
    is_sound = labels.dtype.kind in "iub" or bool(np.isfinite(labels.sum()))
    whole = labels.astype(np.int32, copy=False) if is_sound else np.empty(0, np.int32)
    if labels.dtype != np.int32:
        is_sound = is_sound and bool((whole == labels).all())
    if not is_sound or whole.min(initial=0) < 0:
        raise ConnectomeError(
            "expected whole, non-negative region labels; found negative, fractional or non-finite "
            "values. Was the label image interpolated? Resample it with nearest neighbour."
        )
    return whole


def index_labels(
    labels: NDArray[np.generic], values: Sequence[int], *, in_place: bool = False
) -> NDArray[np.int32]:
    """Label image whose values are region numbers: 1 … n in the order of ``values``, 0 elsewhere.

    With ``in_place`` an image of int32 may be overwritten: large ones fill half the memory.

    Raises
    ------
    ConnectomeError
        If the image holds numbers that are not whole.
    """
    whole = check_labels(labels)
    # one look-up per voxel: sorting the labels of a whole brain takes seconds
    last = max(values, default=0)
    numbers = np.zeros(last + 2, dtype=np.int32)
    numbers[np.asarray(values, dtype=np.int64)] = np.arange(1, len(values) + 1)
    numbers[0] = 0
    indexed = whole if in_place else np.empty_like(whole)
    for plane, target in zip(planes_of(whole), planes_of(indexed), strict=True):
        target[...] = numbers[np.minimum(plane, last + 1)]
    return indexed


def count_labels(labels: NDArray[np.integer], n_regions: int) -> NDArray[np.int64]:
    """Voxels of regions 1 … n_regions.

    Parameters
    ----------
    labels : ndarray of int, shape (x, y, z)
        Region numbers, 0 outside.
    n_regions : int
        The highest that may come.
    """
    counts = np.zeros(n_regions + 1, np.int64)
    for plane in planes_of(labels):
        counts += np.bincount(plane.ravel(order="K"), minlength=n_regions + 1)
    return counts[1:]


def planes_of(labels: NDArray[Any]) -> NDArray[Any]:
    """Give an image plane by plane: counting takes several times the memory of what is counted."""
    return np.moveaxis(labels, int(np.argmax(np.abs(labels.strides))), 0)
