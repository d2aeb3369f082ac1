"""Motion of runs that fMRIPrep did not preprocess, as columns of its confounds."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kraken_bids.bids.bold_origins import FMRIPREP, BoldOrigin
from kraken_bids.connectome.functional.confounds import MOTION
from kraken_bids.exceptions import InputError
from kraken_bids.io.text_matrices import read_text_matrix
from kraken_bids.settings import Denoise

WITHOUT_FMRIPREP: tuple[Denoise, ...] = ("fmriclean", "24p", "none")
"""Ways of cleaning that need motion and tissue images alone."""
N_COLUMNS = {"hcp": (6, 12), "mcflirt": (6,)}
"""HCP's further six are the differences of the first."""
MAX_RADIANS = 0.8
"""Some 45 degrees: no head in a coil turns so far, but millimetres taken for radians do."""


def check_strategy(strategy: Denoise, origin: BoldOrigin, bold: Path) -> None:
    """Refuse a way of cleaning that needs what only fMRIPrep's confounds hold.

    Raises
    ------
    InputError
        If it is one.
    """
    if origin.motion == FMRIPREP.motion or strategy in {"auto", *WITHOUT_FMRIPREP}:
        return
    raise InputError(
        f"--denoise {strategy}: expected fMRIPrep's confounds for {bold}; it comes from "
        f"{origin.name}, which writes motion alone. Use {', '.join(WITHOUT_FMRIPREP[:-1])} or "
        f"{WITHOUT_FMRIPREP[-1]}: fmriclean, the default, is how the data were cleaned that the "
        "published model was trained on."
    )


def read_motion(path: Path, origin: BoldOrigin) -> dict[str, NDArray[np.float64]]:
    """Read translations, mm, and rotations, rad, of a run, by fMRIPrep's names of them.

    Parameters
    ----------
    path : path
        HCP's ``Movement_Regressors.txt`` (x, y, z in mm, then in degrees, then their differences),
        or MCFLIRT's ``.par`` (x, y, z in radians, then in mm).
    origin : BoldOrigin
        Which of the two.

    Raises
    ------
    InputError
        If it is missing, holds other columns or numbers that are not finite, or rotates further
        than a head can.

    Source
    ------
    HCPpipelines, ``MotionCorrection.sh``; fmriclean, ``utils.py``, ``read_motion_params``.
    """
    values = read_text_matrix(path)
    allowed = N_COLUMNS[origin.motion]
    if values.shape[1] not in allowed or not np.isfinite(values).all():
        found = "" if np.isfinite(values).all() else " with NaN or infinite values"
        raise InputError(
            f"expected {' or '.join(map(str, allowed))} columns of finite numbers, the motion of "
            f"a run ({origin.name}), in {path}; found {values.shape[1]} columns{found}. Copy the "
            "file again."
        )
    translations, rotations = values[:, :3], values[:, 3:6]
    if origin.motion == "mcflirt":
        translations, rotations = rotations, translations
    else:
        rotations = np.deg2rad(rotations)
    largest = float(np.abs(rotations).max(initial=0))
    if largest > MAX_RADIANS:
        raise InputError(
            f"expected rotations of a head in {path}; found one of {np.rad2deg(largest):.0f} "
            "degrees. Are translations and rotations in the order, and the unit, of "
            f"{origin.name}?"
        )
    return dict(zip(MOTION, np.hstack([translations, rotations]).T, strict=True))
