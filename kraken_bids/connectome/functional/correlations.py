"""Functional connectomes of cleaned region series: correlation and ridge partial correlation."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from kraken_bids.connectome.matrices import find_missing_regions
from kraken_bids.exceptions import ConnectomeError

CORRELATION, PARTIAL_CORRELATION = "FCcorr", "FCpcorr"
"""Measures of function that this module computes."""
DEFAULT_PCORR_RIDGE = 0.06
"""Used for parcellations whose published λ is not known; fs86's value."""

PCORR_RIDGE: Mapping[str, float] = MappingProxyType({"fs86": 0.06})
"""λ of the ridge partial correlation; fs86's reproduces the published FCpcorr to 2e-15."""


def concatenate_runs(
    series: Sequence[NDArray[np.floating]], kept: Sequence[NDArray[np.bool_]]
) -> NDArray[np.float64]:
    """One series of several runs: outliers dropped, z-scored within run, stacked.

    Parameters
    ----------
    series : sequence of ndarray, each of shape (n_volumes, n_regions)
        A region may be NaN in a whole run; it is then NaN in all, so that every edge rests on the
        same frames.
    kept : sequence of ndarray of bool, each of shape (n_volumes,)
        Frames that count.

    Returns
    -------
    ndarray of shape (n_frames, n_regions)
        Population z-scores; zeros where a region does not vary in a run.

    Raises
    ------
    ConnectomeError
        If no run is given, their regions differ, or a run keeps fewer than two frames.

    Source
    ------
    fmriclean, ``fmri_clean_parcellated_timeseries.py --concat``.
    """
    if not series or len({run.shape[1] for run in series}) != 1 or len(series) != len(kept):
        raise ConnectomeError(
            "expected at least one run, all with the same regions, and one mask of kept frames "
            f"each; found runs of shape {[run.shape for run in series]} and {len(kept)} masks."
        )
    scored = np.concatenate([_zscore(run, mask) for run, mask in zip(series, kept, strict=True)])
    scored[:, np.isnan(scored).any(axis=0)] = np.nan
    return scored


def compute_correlation(series: NDArray[np.floating]) -> NDArray[np.float64]:
    """Pearson correlation of every pair of regions [n_frames, n_regions].

    Regions that are NaN or do not vary are NaN rows and columns.

    Raises
    ------
    ConnectomeError
        If fewer than two frames or fewer than two varying regions are left.
    """
    n_frames, n_regions = series.shape
    centred = np.asarray(series, dtype=np.float64) - series.mean(axis=0) if n_frames else series
    norms = np.sqrt(np.einsum("ti,ti->i", centred, centred))
    seen = np.isfinite(norms) & (norms > 0)
    if n_frames < 2 or int(seen.sum()) < 2:
        raise ConnectomeError(
            "expected at least two frames and two regions that vary, to correlate; found "
            f"{n_frames} frames and {int(seen.sum())} of {n_regions} regions. "
            "Look at the coverage tables."
        )
    unit = centred[:, seen] / norms[seen]
    correlation = np.full((n_regions, n_regions), np.nan)
    product = np.clip(unit.T @ unit, -1.0, 1.0)
    np.fill_diagonal(product, 1.0)
    correlation[np.ix_(seen, seen)] = (product + product.T) / 2
    return correlation


def partial_correlation_ridge(
    parcellation: str,
    chosen: Mapping[str, float] | None = None,
    saved: Mapping[str, float] | None = None,
) -> tuple[float, str]:
    """λ for a parcellation, and in words where it comes from.

    What the user chose wins over what a search over the cohort saved, and that over
    :data:`PCORR_RIDGE`.
    """
    if chosen and parcellation in chosen:
        return float(chosen[parcellation]), "chosen by the user"
    if saved and parcellation in saved:
        return float(saved[parcellation]), "group search, saved before this was measured"
    if parcellation in PCORR_RIDGE:
        return PCORR_RIDGE[parcellation], "published connectomes of this parcellation"
    return DEFAULT_PCORR_RIDGE, "default: the value of fs86; none is published for this one"


def compute_partial_correlation(
    correlation: NDArray[np.floating], *, ridge: float
) -> NDArray[np.float64]:
    """Partial correlation from the inverse of a ridge-regularised correlation matrix.

    With P = (X + λ tr(X)/N · I)⁻¹, cell (i, j) is -P_ij / √(P_ii P_jj), and 1 on the diagonal. λ >
    0 makes it defined even with fewer frames than regions; the fewer, the more it rests on λ.

    Parameters
    ----------
    correlation : ndarray of shape (n_regions, n_regions)
        Correlation or covariance; scaled to unit diagonal first. Missing regions (NaN rows and
        columns) stay missing.
    ridge : float
        λ, see :data:`PCORR_RIDGE`.

    Raises
    ------
    ConnectomeError
        If the matrix cannot be inverted: not positive definite at this λ, or NaN in single cells.

    Source
    ------
    fmriclean, ``fmri_regularized_inverse.py``; λ of fs86 recovered from the published connectomes.
    """
    seen = ~find_missing_regions(correlation)
    X = scale_to_unit_diagonal(correlation[np.ix_(seen, seen)])
    P = _invert(X, ridge)
    scale = np.sqrt(np.diag(P))
    partial = -P / np.outer(scale, scale)
    np.fill_diagonal(partial, 1.0)
    out = np.full(correlation.shape, np.nan)
    out[np.ix_(seen, seen)] = (partial + partial.T) / 2
    return out


def _invert(X: NDArray[np.float64], ridge: float) -> NDArray[np.float64]:
    """(X + λ tr(X)/N · I)⁻¹."""
    n = len(X)
    try:
        factor = np.linalg.cholesky(X + ridge * np.trace(X) / n * np.eye(n))
    except np.linalg.LinAlgError as error:
        raise ConnectomeError(
            f"expected a positive definite correlation matrix of {n} regions at ridge λ = "
            f"{ridge:g}; found a singular one, which happens with fewer frames than regions. "
            "Raise --pcorr-lambda (0.06 is the published value)."
        ) from error
    inverse_factor = np.linalg.solve(factor, np.eye(n))
    return inverse_factor.T @ inverse_factor


def scale_to_unit_diagonal(covariance: NDArray[np.floating]) -> NDArray[np.float64]:
    """Correlation matrix of a covariance matrix [n, n]; variances of zero count as 1."""
    X = np.asarray(covariance, dtype=np.float64)
    variances = np.where(np.abs(np.diag(X)) < 1e-10, 1.0, np.diag(X))
    return np.asarray(X / np.sqrt(np.outer(variances, variances)))


def _zscore(run: NDArray[np.floating], mask: NDArray[np.bool_]) -> NDArray[np.float64]:
    frames = np.asarray(run[mask], dtype=np.float64)
    if len(frames) < 2:
        raise ConnectomeError(
            f"expected at least two frames without outliers in a run; found {len(frames)} of "
            f"{len(run)}. Leave this run out, or raise --fd-threshold."
        )
    centred = frames - frames.mean(axis=0)
    scale = np.sqrt((centred**2).mean(axis=0))
    scale[scale == 0] = 1.0
    scored: NDArray[np.float64] = centred / scale
    return scored
