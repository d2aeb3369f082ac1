"""How good a BOLD run is: frame by frame, region by region, and whether there is enough of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from kraken_bids.connectome.functional.confounds import FD, NON_STEADY_STATE, Columns, read_numbers
from kraken_bids.exceptions import ConnectomeError

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

    def until(self, stop: int) -> Self:
        """Keep the first volumes."""
        return replace(
            self,
            framewise_displacement=self.framewise_displacement[:stop],
            dvars=self.dvars[:stop],
            global_signal=self.global_signal[:stop],
            kept=self.kept[:stop],
        )

    @property
    def mean_fd(self) -> float:
        """Mean framewise displacement of all frames, mm; NaN where none has a value."""
        known = self.framewise_displacement[np.isfinite(self.framewise_displacement)]
        return float(known.mean()) if len(known) else float("nan")

    @property
    def mean_dvars(self) -> float:
        """Mean over the frames that count; NaN where no frame has a value."""
        values = self.dvars[self.kept & np.isfinite(self.dvars)]
        return float(values.mean()) if values.size else float("nan")


def average_frames(runs: Sequence[FrameQuality]) -> tuple[float, float]:
    """Mean framewise displacement, mm, of all frames of some runs, and DVARS of those that count.

    Every frame counts the same, in a long run as in a short one. NaN where it is not known of one
    of the runs.
    """
    displacement = [own.framewise_displacement for own in runs]
    return _average(displacement), _average([own.dvars[own.kept] for own in runs])


def _average(parts: Sequence[NDArray[np.float64]]) -> float:
    known = [part[np.isfinite(part)] for part in parts]
    return float(np.concatenate(known).mean()) if all(map(len, known)) else float("nan")


def standardized_dvars(
    columns: Columns, means: Mapping[str, NDArray[np.floating]]
) -> tuple[NDArray[np.float64], str]:
    """Change of the whole brain's signal from frame to frame, about 1 in a quiet scan; its source.

    fMRIPrep's ``std_dvars``, else ``dvars`` over its median, else over their median the root mean
    squares, over regions, of the change in per cent of each region's mean. NaN first.

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
    """Mean over standard deviation, in time, of each region's mean [n_volumes, n_regions].

    Over the frames that count: the first volumes, brighter than the rest, would swamp it. NaN
    where a region holds no data or does not vary.
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
    """Regions of which a smaller share than ``least`` holds signal, or none."""
    uncovered: NDArray[np.bool_] = (coverage < least) | (coverage == 0)
    return uncovered


def correlation_noise(n_frames: int) -> float:
    """Spread of Pearson's r of unrelated regions, SD 1/√(n - 1); NaN below two frames.

    Frames of BOLD resemble their neighbours and cleaning uses some up: the true spread is larger.

    Source
    ------
    Fisher 1915, doi:10.1093/biomet/10.4.507.
    """
    return 1 / float(np.sqrt(n_frames - 1)) if n_frames > 1 else float("nan")


def explain_shortness(
    *, n_frames: int, n_regions: int, minutes: float, min_minutes: float
) -> tuple[str, ...]:
    """Say where there is too little data: for the partial correlation, for anything at all."""
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


GLOBAL_THRESHOLD = 5.0
"""Robust z of the change in global signal (CONN's standard setting)."""
MOTION_THRESHOLD_MM = 0.9
HEAD_RADIUS_MM = 50.0

# ART's box around the brain, mm: [+x, +y, +z] and [-x, -y, -z] of its six control points
BOX = np.array([[70.0, 70.0, 75.0], [-70.0, -110.0, -45.0]])


def find_art_outliers(
    global_mean: NDArray[np.float64], motion: NDArray[np.float64]
) -> NDArray[np.bool_]:
    """Frames that ART's standard settings call outliers, each with its predecessor.

    True where the global signal's change has |robust z| > 5 or the composite motion exceeds 0.9
    mm, from the frame before or to the frame after. ``motion`` [n_volumes, 6] is mm, then rad.

    Source
    ------
    fmriclean, ``fmri_outlier_detection.py --connstandard`` (after ART and CONN).
    """
    change = np.concatenate([[0.0], np.diff(global_mean)])
    low, high = np.percentile(change, [25, 75])
    spread = 0.7413 * (high - low) or 1.0
    jumps = np.abs(change - np.median(change)) / spread > GLOBAL_THRESHOLD
    jumps |= composite_motion(motion) > MOTION_THRESHOLD_MM
    outliers: NDArray[np.bool_] = jumps | np.concatenate([jumps[1:], [False]])
    return outliers


def composite_motion(motion: NDArray[np.float64]) -> NDArray[np.float64]:
    """Largest displacement, mm, from frame to frame, of six points on a box around the brain.

    ``motion`` [n_volumes, 6] is mm, then rad, composed as SPM does.

    Source
    ------
    ART as ported in fmriclean: it scales the rows of each rotated axis, not its length.
    """
    matrices = _rotations(motion[:, 3:])
    # axes of the head [t, axis, coordinate], scaled by either end of the box, then translated
    axes = matrices.transpose(0, 2, 1)
    points = np.concatenate([axes * BOX[0], axes * BOX[1]], axis=1) + motion[:, None, :3]
    steps = np.linalg.norm(np.diff(points, axis=0), axis=2).max(axis=1)
    return np.concatenate([[0.0], steps])


def framewise_displacement(
    columns: Mapping[str, NDArray[np.floating]], motion: NDArray[np.float64] | None
) -> NDArray[np.float64]:
    """Framewise displacement (Power et al. 2012), mm, from fMRIPrep's column or else the motion.

    A column of nothing but ``n/a`` counts as none: scrubbing by it would leave out no frame.
    ``motion`` [n_volumes, 6] is mm, then rad; None: the column as it is. NaN first.
    """
    if FD in columns and (np.isfinite(known := read_numbers(columns, FD)).any() or motion is None):
        return known
    if motion is None:
        raise ConnectomeError(f"expected the column {FD} or motion; found neither.")
    steps = np.abs(np.diff(motion, axis=0))
    displacement = steps[:, :3].sum(axis=1) + HEAD_RADIUS_MM * steps[:, 3:].sum(axis=1)
    return np.concatenate([[np.nan], displacement])


def count_non_steady_state(columns: Mapping[str, NDArray[np.floating]]) -> int:
    """Volumes at the start that fMRIPrep marked as not yet in steady state."""
    return sum(name.startswith(NON_STEADY_STATE) for name in columns)


def find_fmriprep_outliers(
    columns: Mapping[str, NDArray[np.floating]], n_volumes: int
) -> NDArray[np.bool_]:
    """Frames marked by any of fMRIPrep's columns with ``outlier`` in the name."""
    marked = np.zeros(n_volumes, dtype=bool)
    for name in columns:
        if "outlier" in name:
            marked |= np.nan_to_num(read_numbers(columns, name)) > 0
    return marked


def _rotations(angles: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return SPM's rotation matrices [t, 3, 3] = Rx Ry Rz of angles [t, 3] in rad."""
    c, s = np.cos(angles), np.sin(angles)
    one, zero = np.ones(len(angles)), np.zeros(len(angles))

    def stack(*cells: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.stack(cells, axis=1).reshape(-1, 3, 3)

    x = stack(one, zero, zero, zero, c[:, 0], s[:, 0], zero, -s[:, 0], c[:, 0])
    y = stack(c[:, 1], zero, s[:, 1], zero, one, zero, -s[:, 1], zero, c[:, 1])
    z = stack(c[:, 2], s[:, 2], zero, -s[:, 2], c[:, 2], zero, zero, zero, one)
    rotations: NDArray[np.float64] = x @ y @ z
    return rotations
