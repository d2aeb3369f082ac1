"""High-pass filter that leaves outlier frames out of its projection."""

import numpy as np
from numpy.typing import NDArray

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
        Frames that take no part in the projection; the result fills them with what the passed
        frequencies say.

    Returns
    -------
    ndarray of shape (n_volumes, n_series)
        Filtered series.

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
    """Gain of each DCT frequency k/(2·TR·n_volumes): a step at the cut, softened by a Gaussian.

    Parameters
    ----------
    n_volumes : int
        Frames of the run.
    tr : float
        Repetition time, s.
    high_pass : float
        Hz.

    Returns
    -------
    ndarray of shape (n_volumes,)
        0 … 1.
    """
    frequencies = np.arange(n_volumes) / (2 * tr * n_volumes)
    step = (frequencies >= high_pass).astype(np.float64)
    half = int(WINDOW_SECONDS / tr / 2)
    window = np.exp(-0.5 * (np.arange(-half, half + 1) * tr / ROLLOFF_SECONDS) ** 2)
    mirrored = np.concatenate([step[::-1], step, step[::-1]])
    smooth = np.convolve(window / window.sum(), mirrored, "full")
    first = n_volumes + len(window) // 2
    return smooth[first : first + n_volumes]
