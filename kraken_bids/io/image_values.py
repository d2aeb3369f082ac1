"""What the header of an image says: how its values are stored, and where it lies."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kraken_bids.exceptions import InputError

MAX_APART = 0.5
"""Voxels; two places of an image that differ by less give every point the same voxel, or so."""

logger = logging.getLogger(__name__)

Affine = NDArray[np.float64]

_doubts: dict[Path, str] = {}
"""An image may be read many times: it is spoken of once."""


@dataclass(frozen=True)
class ImageHeader:
    """What a header (NIfTI, MGH, MRtrix) says of the values behind it."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    """As stored, byte order included."""
    offset: int
    """Where the values begin, bytes."""
    slope: float
    inter: float
    """What a stored value v means: ``slope * v + inter``."""
    affine: Affine
    """[4, 4] Voxel → RAS mm: the sform where there is one, else the qform."""
    zooms: tuple[float, ...]
    """Voxel sizes in mm, then the repetition time: ``pixdim``."""
    time_unit: str = "sec"
    """``sec`` unless it is ``msec``, ``usec`` or ``unknown``."""
    qform: Affine | None = None
    """[4, 4] Voxel → RAS mm, where the header has it beside the sform."""
    is_placed: bool = True
    """Whether it says where the image lies; if not, the affine is a guess."""
    intent: int = 0
    """NIfTI's code of what the values are: 2006 an FSL displacement field …"""
    is_bits: bool = False
    """Whether each byte stored holds eight values."""
    arrange: Callable[[NDArray[Any]], NDArray[Any]] | None = None
    """Values in the order of the file → values of the header's shape; None: x runs fastest."""

    @property
    def is_scaled(self) -> bool:
        """Whether values mean something else than what is stored."""
        return (self.slope, self.inter) != (1.0, 0.0)


def check_place(header: ImageHeader, path: Path) -> None:
    """Raise where the header does not say where an image lies.

    Raises
    ------
    InputError
        Naming the image and what to do.
    """
    if not header.is_placed:
        raise InputError(
            f"expected a header of {path} that says where the image lies; found none: neither "
            "sform nor qform (both codes are 0), or what stands for them in its format. Programs "
            "guess its place in different ways, some with left and right exchanged. Copy the "
            "orientation from the image that it was made on (for example with FSL's fslcpgeom), "
            "or write it anew with that image's affine."
        )


def compare_forms(path: Path, sform: Affine, qform: Affine | None, shape: tuple[int, ...]) -> None:
    """Warn, once for each file, where the two places that a NIfTI header gives differ.

    The sform is taken, as nibabel, MRtrix and FSL do. ITK (ANTs, and what is built on it) takes
    the qform in some cases: data that it resampled then lie elsewhere.

    Parameters
    ----------
    path : path
        The image.
    sform : ndarray of shape (4, 4)
        Voxel → RAS mm.
    qform : ndarray of shape (4, 4), or None
        Likewise; None where its code is 0.
    shape : tuple of int
        Of the image.
    """
    if qform is None:
        return
    corners = np.array([*product(*((0, n - 1) for n in shape[:3])), (0, 0, 0)])
    difference = sform - qform
    apart = np.linalg.norm(corners @ difference[:3, :3].T + difference[:3, 3], axis=1).max()
    if not apart <= MAX_APART * np.linalg.norm(sform[:3, :3], axis=0).min():
        doubt = (
            f"its header gives two places, sform and qform, up to {apart:.3g} mm apart. The sform "
            "is taken, as by nibabel, MRtrix and FSL; ITK (ANTs, fMRIPrep) may have taken the "
            "qform. See that it lies where it should, and then make both the same (fslorient "
            "-copysform2qform)."
        )
        if _doubts.get(path) != doubt:
            logger.warning("%s: %s", path, doubt)
        _doubts[path] = doubt


def list_form_doubts(*paths: Path) -> list[str]:
    """Say, for sidecars, which of these images, read in this process, give two places."""
    return [f"{path.name}: {_doubts[path]}" for path in paths if path in _doubts]


def is_invertible(affine: NDArray[np.float64]) -> bool:
    """Whether an affine [4, 4] gives every voxel a place of its own, within a kilometre."""
    if not (np.abs(affine) < 1e6).all():  # nor is NaN
        return False
    rank, volume = np.linalg.matrix_rank(affine[:3, :3]), np.linalg.det(affine[:3, :3])
    return bool(rank == 3 and abs(volume) > 1e-12)
