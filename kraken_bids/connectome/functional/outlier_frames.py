"""Frames of a BOLD run that cannot be trusted: jumps of the head or of the global signal."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from kraken_bids.connectome.functional.confounds import FD, NON_STEADY_STATE, read_numbers

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

    Parameters
    ----------
    global_mean : ndarray of shape (n_volumes,)
        Mean signal of the brain.
    motion : ndarray of shape (n_volumes, 6)
        Translations (mm), then rotations (rad).

    Returns
    -------
    ndarray of bool, shape (n_volumes,)
        True where the global signal's change has |robust z| > 5 or the composite motion exceeds
        0.9 mm, from the frame before or to the frame after.

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
    """Largest displacement, from frame to frame, of six points on a box around the brain.

    Parameters
    ----------
    motion : ndarray of shape (n_volumes, 6)
        Translations (mm), then rotations (rad), composed as SPM does.

    Returns
    -------
    ndarray of shape (n_volumes,)
        mm; 0 for the first frame.

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
    columns: Mapping[str, NDArray[np.floating]], motion: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Framewise displacement (Power et al. 2012), from fMRIPrep's column or else the motion.

    A column of nothing but ``n/a`` counts as none: scrubbing by it would leave out no frame.

    Parameters
    ----------
    columns : mapping of str to ndarray of shape (n_volumes,)
        fMRIPrep's confounds.
    motion : ndarray of shape (n_volumes, 6)
        Translations (mm), then rotations (rad).

    Returns
    -------
    ndarray of shape (n_volumes,)
        mm; NaN for the first frame.
    """
    if FD in columns and np.isfinite(known := read_numbers(columns, FD)).any():
        return known
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
