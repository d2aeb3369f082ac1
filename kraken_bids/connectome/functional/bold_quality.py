"""How good a BOLD run is: frame by frame, region by region, and whether there is enough of it."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kraken_bids.connectome.functional.confounds import Columns, read_numbers

STD_DVARS, DVARS = "std_dvars", "dvars"


@dataclass(frozen=True)
class FrameQuality:
    """What is known about every frame of a run."""

    framewise_displacement: NDArray[np.float64]
    """[n_volumes], mm; NaN first."""
    dvars: NDArray[np.float64]
    """[n_volumes]: change from the frame before over all the brain; about 1 where nothing happens,
    NaN first."""
    dvars_source: str
    """Where it comes from, in words for a sidecar."""
    global_signal: NDArray[np.float64]
    """[n_volumes]: mean of the brain, in the unit of the BOLD file."""
    kept: NDArray[np.bool_]
    """[n_volumes]: frames that count."""

    @property
    def mean_dvars(self) -> float:
        """Mean over the frames that count; NaN where no frame has a value."""
        values = self.dvars[self.kept & np.isfinite(self.dvars)]
        return float(values.mean()) if values.size else float("nan")


def standardized_dvars(
    columns: Columns, means: Mapping[str, NDArray[np.floating]]
) -> tuple[NDArray[np.float64], str]:
    """Change of the whole brain's signal from frame to frame, 1 where it is that of a quiet scan.

    Parameters
    ----------
    columns : mapping of str to ndarray of shape (n_volumes,)
        fMRIPrep's confounds: ``std_dvars``, else ``dvars`` over its median.
    means : mapping of str to ndarray of shape (n_volumes, n_regions)
        Region means, which stand in where the confounds have neither: root mean square over
        regions of the change in per cent of each region's mean, over its median.

    Returns
    -------
    dvars : ndarray of shape (n_volumes,)
        NaN first.
    source : str
        Which of the three, in words.

    Source
    ------
    Power et al. 2012, doi:10.1016/j.neuroimage.2011.10.018; standardised as in Nichols 2013.
    """
    if STD_DVARS in columns:
        return read_numbers(columns, STD_DVARS), "std_dvars of the confounds"
    if DVARS in columns:
        values, source = read_numbers(columns, DVARS), "dvars of the confounds"
    else:
        values, source = _region_dvars(means), "computed from region means"
    typical = np.nanmedian(values) if np.isfinite(values).any() else 0.0
    return (values / typical if typical > 0 else values), f"{source}, divided by the median"


def temporal_snr(
    means: NDArray[np.floating], kept: NDArray[np.bool_] | None = None
) -> NDArray[np.float64]:
    """Mean over standard deviation, in time, of each region's mean before cleaning.

    Parameters
    ----------
    means : ndarray of shape (n_volumes, n_regions)
    kept : ndarray of bool, shape (n_volumes,), optional
        Frames that count (all). The first volumes, brighter than the rest, would swamp it.

    Returns
    -------
    ndarray of shape (n_regions,)
        NaN where a region holds no data or does not vary.
    """
    frames = np.asarray(means, np.float64)[slice(None) if kept is None else kept]
    if not len(frames):
        return np.full(means.shape[1], np.nan)
    deviation = frames.std(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio: NDArray[np.float64] = np.where(
            deviation > 0, frames.mean(axis=0) / deviation, np.nan
        )
    return ratio


def find_uncovered(coverage: NDArray[np.float64], least: float) -> NDArray[np.bool_]:
    """Regions that hold too little signal for a connectome.

    Parameters
    ----------
    coverage : ndarray of shape (n_regions,)
        Share of each region's voxels that hold signal.
    least : float
        Share that is wanted; 0 too needs some.

    Returns
    -------
    ndarray of bool, shape (n_regions,)
    """
    uncovered: NDArray[np.bool_] = (coverage < least) | (coverage == 0)
    return uncovered


def correlation_noise(n_frames: int) -> float:
    """Spread that chance alone gives a correlation of two unrelated regions.

    Parameters
    ----------
    n_frames : int
        Frames that count.

    Returns
    -------
    float
        Standard deviation of Pearson's r where the true correlation is 0 and frames are
        independent, 1/√(n - 1). Frames of BOLD resemble their neighbours and cleaning uses some
        up, so the true spread is larger; NaN below two frames.

    Source
    ------
    Fisher 1915, doi:10.1093/biomet/10.4.507.
    """
    return 1 / float(np.sqrt(n_frames - 1)) if n_frames > 1 else float("nan")


def explain_shortness(
    *, n_frames: int, n_regions: int, minutes: float, min_minutes: float
) -> tuple[str, ...]:
    """Say where there is too little data: for the partial correlation, for anything at all.

    Parameters
    ----------
    n_frames : int
        Frames that count, all runs together.
    n_regions : int
        Regions that hold data.
    minutes, min_minutes : float
        What is left, and what is wanted.

    Returns
    -------
    tuple of str
        One sentence each; empty where there is enough.
    """
    noise = f"±{correlation_noise(n_frames):.2f}"
    sentences = []
    if minutes < min_minutes:
        sentences.append(
            f"{minutes:.1f} minutes of BOLD are left after cleaning, less than {min_minutes:g}: "
            f"the functional connectomes are noisy (chance alone gives correlations of "
            f"{noise} or more)."
        )
    if n_frames < n_regions:
        sentences.append(
            f"{n_frames} frames are left for {n_regions} regions: with fewer frames than regions "
            "the partial correlation exists only through its regularisation, and says little "
            f"about single edges. Chance alone gives correlations of {noise} or more."
        )
    return tuple(sentences)


def _region_dvars(means: Mapping[str, NDArray[np.floating]]) -> NDArray[np.float64]:
    series = np.hstack([np.asarray(block, np.float64) for block in means.values()])
    average = np.abs(series.mean(axis=0))
    seen = np.isfinite(average) & (average > 0)
    if not seen.any():
        return np.full(len(series), np.nan)
    change = np.diff(100 * series[:, seen] / average[seen], axis=0)
    return np.concatenate([[np.nan], np.sqrt((change**2).mean(axis=1))])
