"""Region series of several scans, checked and brought to one form."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kraken_bids.exceptions import ConnectomeError

logger = logging.getLogger(__name__)

Floats = NDArray[np.floating]
MIN_VOLUMES = 20
"""Fewer volumes that count say nothing of correlations."""


@dataclass(frozen=True)
class PreparedScans:
    """Scans of the regions that every one of them has."""

    series: tuple[NDArray[np.float64], ...]
    """[n_regions, n_volumes] each, mean 0 and variance 1 over the volumes that count, 0 in
    others."""
    counts: tuple[NDArray[np.float64], ...]
    """Whether each volume counts: 1 or 0 [n_volumes]."""
    regions: NDArray[np.intp]
    """Which of the regions they are."""
    n_regions: int
    """Regions there were."""


def prepare_scans(
    series: Sequence[Floats],
    counts: Sequence[NDArray[np.floating] | None] | None = None,
    *,
    names: Sequence[str] = (),
) -> PreparedScans:
    """Check region series and standardise them.

    Regions that are missing (NaN in every volume) or constant in any scan are left out of all,
    with a warning. A volume with a NaN elsewhere does not count.

    Parameters
    ----------
    series : sequence of ndarray of shape (n_volumes, n_regions)
        One per scan; scans may differ in length.
    counts : sequence of ndarray of shape (n_volumes,) or None, optional
        Per scan whether each volume counts (1) or is censored (0); None: all count.
    names : sequence of str, optional
        Of the scans, for messages.

    Raises
    ------
    ConnectomeError
        If there is no scan, scans differ in regions, fewer than half of the regions are left, or
        a scan has fewer than 20 volumes that count.
    """
    names = names or [f"scan {k}" for k in range(1, len(series) + 1)]
    _check_shapes(series, names)
    given = list(counts) if counts is not None else [None] * len(series)
    if len(given) != len(series):
        raise ConnectomeError(
            f"expected which volumes count for each of {len(series)} scans; found {len(given)}."
        )
    arrays = [np.asarray(one, np.float64) for one in series]
    kept = np.all([np.isfinite(one).any(axis=0) for one in arrays], axis=0)
    masks = [
        _mask(one[:, kept], own, name) for one, own, name in zip(arrays, given, names, strict=True)
    ]
    pairs = list(zip(arrays, masks, strict=True))
    varies = np.all([np.ptp(one[mask][:, kept], axis=0) > 0 for one, mask in pairs], axis=0)
    regions = np.flatnonzero(kept)[varies]
    n_lost = len(kept) - len(regions)
    if 2 * len(regions) < len(kept) or len(regions) < 2:
        raise ConnectomeError(
            f"expected at least half of the {len(kept)} regions to vary in every scan; found "
            f"{len(regions)}. Leave out the scans that lack many regions, or take a coarser atlas."
        )
    if n_lost:
        logger.warning(
            "%d of %d regions are missing or constant in some scan and belong to no community",
            n_lost, len(kept),
        )  # fmt: skip
    return PreparedScans(
        tuple(_standardise(one[:, regions].T, mask) for one, mask in pairs),
        tuple(mask.astype(np.float64) for mask in masks),
        regions,
        len(kept),
    )


def _check_shapes(series: Sequence[Floats], names: Sequence[str]) -> None:
    if not series:
        raise ConnectomeError("expected the region series of at least one scan; found none.")
    for one, name in zip(series, names, strict=True):
        if np.ndim(one) != 2:
            raise ConnectomeError(
                f"{name}: expected region series [n_volumes, n_regions]; found an array of shape "
                f"{list(np.shape(one))}."
            )
        if one.shape[1] != series[0].shape[1]:
            raise ConnectomeError(
                f"{name}: expected {series[0].shape[1]} regions, as {names[0]} has; found "
                f"{one.shape[1]}. Give scans of one atlas."
            )


def _mask(series: Floats, counts: NDArray[np.floating] | None, name: str) -> NDArray[np.bool_]:
    """Volumes that count."""
    mask = np.asarray(np.isfinite(series).all(axis=1), bool)
    n_broken = int((~mask).sum())
    if counts is not None:
        if np.shape(counts) != (len(series),):
            raise ConnectomeError(
                f"{name}: expected whether each of {len(series)} volumes counts; found "
                f"{np.size(counts)} numbers."
            )
        mask &= np.asarray(counts) > 0
    if n_broken:
        logger.warning(
            "%s: %d volumes lack the value of a region and do not count", name, n_broken
        )
    if mask.sum() < MIN_VOLUMES:
        raise ConnectomeError(
            f"{name}: expected at least {MIN_VOLUMES} volumes that count; found {mask.sum()} of "
            f"{len(mask)}. Leave this scan out, or censor fewer volumes."
        )
    return mask


def _standardise(series: Floats, mask: NDArray[np.bool_]) -> NDArray[np.float64]:
    inside = series[:, mask]
    # whatever the unit, squares are neither 0 nor infinite; powers of 2 change no digit
    exponent = np.frexp(np.abs(inside).max(axis=1, keepdims=True))[1]
    inside = np.ldexp(inside, -exponent)
    scaled = np.zeros(series.shape)
    spread = inside.std(axis=1, keepdims=True)
    scaled[:, mask] = (inside - inside.mean(axis=1, keepdims=True)) / spread
    return scaled
