"""Cleaning of region series: one regression of every confound, then a high-pass filter."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from kraken_bids.connectome.functional.cleaning import NILEARN, CleanRun, Nuisance
from kraken_bids.connectome.functional.confounds import (
    orthonormal_basis,
)
from kraken_bids.connectome.functional.timeseries import RegionSeries
from kraken_bids.exceptions import ConnectomeError, TooShortError

MIN_DEGREES_OF_FREEDOM = 10
FMRIPREP_COSINE_HZ = 1 / 128
COSINES, DCT = "regression of fMRIPrep's cosines", "DCT-II projection after the regression"
NO_COSINES = "none: the confounds hold no cosines"
NEGLIGIBLE = 1e-10
"""A region whose residual is this small, relative to its series, did not vary: it is set to 0."""


def apply_nuisance(series: RegionSeries, nuisance: Nuisance, *, gsr: bool) -> CleanRun:
    """Regress every nuisance at once from the region series, then filter them.

    Regions that do not vary become 0.

    Raises
    ------
    TooShortError
        If too few frames remain for the regressors and the filter.
    ConnectomeError
        If there is no global signal and ``gsr`` asks for it.

    Source
    ------
    fmriclean, ``fmri_clean_parcellated_timeseries.py --filterstrategy connregbp``.
    """
    if gsr and nuisance.global_signal is None:
        raise ConnectomeError(nuisance.missing)
    blocks = nuisance.list_blocks(gsr=gsr)
    basis = orthonormal_basis(np.hstack([block.values for block in blocks]))
    _check_degrees_of_freedom(basis.shape[1], nuisance, gsr=gsr)
    note = nuisance.global_signal_note
    return CleanRun(
        cleaned=_clean_means(series.means, basis, nuisance),
        kept=~nuisance.left_out,
        regressors=tuple(name for block in blocks for name in block.names),
        n_volumes=series.n_volumes,
        n_dropped=int(nuisance.dropped.sum()),
        n_outliers=int(nuisance.outliers.sum()),
        outlier_rule=nuisance.cleaning.outlier_rule,
        mean_fd=nuisance.frames.mean_fd,
        frames=nuisance.frames,
        tr=nuisance.tr,
        high_pass=FMRIPREP_COSINE_HZ if nuisance.by_cosines else nuisance.high_pass,
        high_pass_method=_name_high_pass(nuisance),
        strategy=nuisance.cleaning.strategy,
        gsr=gsr,
        notes=(note,) if gsr and note else (),
    )


def _name_high_pass(nuisance: Nuisance) -> str:
    if nuisance.by_cosines:
        return COSINES
    return NO_COSINES if nuisance.cleaning.strategy in NILEARN else DCT


def _clean_means(
    means: Mapping[str, NDArray[np.float64]], basis: NDArray[np.float64], nuisance: Nuisance
) -> dict[str, NDArray[np.float64]]:
    """Regress and filter the series of all parcellations at once."""
    cleaned = high_pass_filter(
        _regress(np.hstack(list(means.values())), basis),
        tr=nuisance.tr,
        high_pass=nuisance.high_pass,
        left_out=nuisance.left_out,
    )
    cuts = np.cumsum([values.shape[1] for values in means.values()])[:-1]
    return dict(zip(means, np.split(cleaned, cuts, axis=1), strict=True))


def _regress(raw: NDArray[np.float64], basis: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return what a basis does not explain; exactly 0 where that is nothing."""
    residual = raw - basis @ (basis.T @ raw)
    with np.errstate(invalid="ignore"):
        residual[:, np.abs(residual).max(axis=0) <= NEGLIGIBLE * np.abs(raw).max(axis=0)] = 0.0
    return residual


def _check_degrees_of_freedom(rank: int, nuisance: Nuisance, *, gsr: bool) -> None:
    n = len(nuisance.dropped)
    n_dropped, n_outliers = int(nuisance.dropped.sum()), int(nuisance.outliers.sum())
    n_regressors = rank - n_dropped - n_outliers
    n_slow = int(np.ceil(2 * nuisance.tr * n * max(0.0, nuisance.high_pass)))
    left = n - rank - n_slow
    if left < MIN_DEGREES_OF_FREEDOM:
        ways_out = {
            "Lower --drop-volumes": n_dropped,
            "The run moves too much: leave it out, or raise --fd-threshold": n_outliers,
            "The run is too short: leave it out, or use --denoise 24p or none": n_regressors,
            "Lower --high-pass": n_slow,
        }
        raise TooShortError(
            f"expected at least {MIN_DEGREES_OF_FREEDOM} degrees of freedom after cleaning; found "
            f"{left}: {n} volumes - {n_dropped} dropped - {n_outliers} outliers - "
            f"{n_regressors} regressors of --denoise {nuisance.cleaning.strategy}"
            f"{' with global signal' if gsr else ''} - {n_slow} slow frequencies. "
            f"{max(ways_out, key=lambda way: ways_out[way])}."
        )


ROLLOFF_SECONDS = 3.6
"""Standard deviation of the Gaussian that softens the edge of the pass band is this / TR bins."""
WINDOW_SECONDS = 36.0


def high_pass_filter(
    series: NDArray[np.float64],
    *,
    tr: float,
    high_pass: float,
    left_out: NDArray[np.bool_],
) -> NDArray[np.float64]:
    """Remove slow drifts: project on the DCT-II basis, damp frequencies below the cut, go back.

    Parameters
    ----------
    series : ndarray of shape (n_volumes, n_series)
        Residuals of a regression. NaN columns stay NaN.
    tr : float
        Repetition time, s.
    high_pass : float
        Hz; 0 or less: ``series`` is returned as it is.
    left_out : ndarray of bool, shape (n_volumes,)
        Frames that take no part in the projection and are filled with what passes.

    Source
    ------
    fmriclean, ``utils.py``, ``dctfilt`` with ``filter_edge_rolloff``.
    """
    if high_pass <= 0:
        return series
    from scipy.fft import dct, idct  # here: its import takes a tenth of a small run

    gain = pass_band(len(series), tr=tr, high_pass=high_pass)
    projected = dct(np.where(left_out[:, None], 0.0, series), type=2, norm="ortho", axis=0)
    filtered: NDArray[np.float64] = idct(projected * gain[:, None], type=2, norm="ortho", axis=0)
    filtered[:, np.isnan(series).any(axis=0)] = np.nan
    return filtered


def pass_band(n_volumes: int, *, tr: float, high_pass: float) -> NDArray[np.float64]:
    """Gain [n_volumes] of each DCT frequency k/(2·TR·n_volumes): a step at the cut, softened."""
    frequencies = np.arange(n_volumes) / (2 * tr * n_volumes)
    step = (frequencies >= high_pass).astype(np.float64)
    half = int(WINDOW_SECONDS / tr / 2)
    window = np.exp(-0.5 * (np.arange(-half, half + 1) * tr / ROLLOFF_SECONDS) ** 2)
    mirrored = np.concatenate([step[::-1], step, step[::-1]])
    smooth = np.convolve(window / window.sum(), mirrored, "full")
    first = n_volumes + len(window) // 2
    return smooth[first : first + n_volumes]
