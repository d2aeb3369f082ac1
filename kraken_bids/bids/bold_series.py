"""BOLD series: their headers, and their volumes, one at a time."""

import logging
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kraken_bids.bids.repetition_time import KEY, find_repetition_time, read_bold_metadata
from kraken_bids.exceptions import InputError
from kraken_bids.io.bounds import check_growth
from kraken_bids.io.byte_streams import damage_errors, fill, is_packed, open_stream, read_to_end
from kraken_bids.io.files import explain_absence
from kraken_bids.io.image_headers import read_header
from kraken_bids.io.image_values import ImageHeader, compare_forms
from kraken_bids.shared_work import check_wanted

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Bold:
    """A BOLD series on disk; its header is read, its volumes are not."""

    path: Path
    shape: tuple[int, int, int, int]
    """x, y, z, n_volumes."""
    affine: NDArray[np.float64]
    """Voxel → RAS mm, [4, 4]."""
    tr: float
    """Repetition time, s; NaN of maps."""
    slope: float
    inter: float
    """What a stored value v means: ``slope * v + inter``."""
    dtype: np.dtype[np.number[Any]]
    """As stored, byte order included."""
    offset: int
    """Where the first volume begins, bytes (uncompressed)."""
    is_placed: bool = True
    """Whether its header says where it lies; if not, the affine is a guess."""

    def volumes(self) -> Iterator[NDArray[np.number[Any]]]:
        """Volumes in order, each once: [n_voxels], x fastest (Fortran order), as stored.

        Values are unscaled, in the stored type and this machine's byte order. All volumes share
        one array: whoever wants to keep one copies it.

        Raises
        ------
        InputError
            If the file ends too early or its compression is damaged.
        """
        n_whole = 0
        try:
            with open_stream(self.path) as stream:
                stream.seek(self.offset)
                # one for all: the pages of a new one cost as much as summing it up
                volume = np.empty(self.n_voxels, self.dtype)
                for _ in range(self.shape[3]):
                    check_wanted()
                    fill(stream, volume)
                    n_whole += 1
                    yield _to_native(volume)
                read_to_end(stream, self.path)
        except damage_errors() as error:
            least = "at least " if is_packed(self.path) else ""  # what was unpacked ahead is lost
            raise InputError(
                f"expected {self.shape[3]} volumes in {self.path}; found {least}{n_whole} whole "
                f"ones and then: {error}. The file is cut or damaged: copy it again, or rerun "
                "fMRIPrep."
            ) from error

    @property
    def n_voxels(self) -> int:
        """Voxels of one volume."""
        return self.shape[0] * self.shape[1] * self.shape[2]


def open_bold(path: Path, *, tr: float | None) -> Bold:
    """Header of a BOLD series.

    Parameters
    ----------
    path : path
        ``.nii`` or ``.nii.gz``, 4D; further axes of length 1 are dropped.
    tr : float or None
        Repetition time in seconds, as its metadata have it; None: RepetitionTime of the JSON
        sidecar or one that it inherits, else the header.

    Raises
    ------
    InputError
        If it is missing, no 4D NIfTI, of an odd data type, without a place in space, or its
        repetition time is unknown or in milliseconds.
    """
    bold, header = _open(Path(path))
    metadata = read_bold_metadata(bold.path)[0] if tr is None else {KEY: tr}
    return replace(bold, tr=find_repetition_time(bold.path, metadata, header))


def open_maps(path: Path) -> Bold:
    """Header of a 4D image of maps, whose fourth axis is no time.

    Raises
    ------
    InputError
        As of :func:`open_bold`, but for the repetition time.
    """
    return _open(Path(path))[0]


def _open(path: Path) -> tuple[Bold, ImageHeader]:
    """All of an image but its repetition time."""
    header = _read_header(path)
    shape = _find_shape(path, header)
    compare_forms(path, header.affine, header.qform, header.shape)
    if not header.is_placed:
        logger.warning(
            "%s: its header has neither qform nor sform; the middle of the image is taken as the "
            "origin, left and right as nibabel takes them, and regions may lie elsewhere",
            path,
        )
    bold = Bold(
        path=path,
        shape=shape,
        affine=header.affine,
        tr=math.nan,
        slope=header.slope,
        inter=header.inter,
        dtype=header.dtype,
        offset=header.offset,
        is_placed=header.is_placed,
    )
    return bold, header


def _read_header(path: Path) -> ImageHeader:
    try:
        if not path.name.lower().endswith((".nii", ".nii.gz")):
            raise ValueError("a name of another format. Give volumes (.nii.gz)")
        with open_stream(path) as stream:
            header = read_header(stream, path)
        n_declared = header.offset + math.prod(header.shape) * header.dtype.itemsize
        check_growth(n_declared, path.stat().st_size, "a series")
    except damage_errors() as error:
        raise InputError(
            f"expected a NIfTI series at {path}; reading its header gave: {error}. "
            f"{explain_absence(path) or 'Check the path, or copy the file again.'}"
        ) from error
    return header


def _to_native(volume: NDArray[np.number[Any]]) -> NDArray[np.number[Any]]:
    if volume.dtype.isnative:
        return volume
    return volume.byteswap(inplace=True).view(volume.dtype.newbyteorder("="))


def _find_shape(path: Path, header: ImageHeader) -> tuple[int, int, int, int]:
    """Give the four axes of a BOLD series, without further ones of length 1."""
    shape = header.shape[:4] if set(header.shape[4:]) <= {1} else header.shape
    if len(shape) != 4 or header.dtype.kind not in "iuf":
        raise InputError(
            f"expected a BOLD series with four axes of real numbers in {path}; found shape "
            f"{header.shape} of {header.dtype}. Check that this is the preprocessed series."
        )
    return shape
