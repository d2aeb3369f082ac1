"""BOLD series, one volume at a time: memory does not grow with their length."""

import io
import logging
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np
from numpy.typing import NDArray

from kraken_bids.bids.image_values import compare_forms
from kraken_bids.bids.nifti import (
    DATA_OFFSET,
    HEADER_BYTES,
    NiftiHeader,
    is_invertible,
    parse_plain_header,
)
from kraken_bids.bids.nifti_forms import read_forms
from kraken_bids.bids.repetition_time import KEY, find_repetition_time, read_bold_metadata
from kraken_bids.bids.streams import damage_errors
from kraken_bids.exceptions import InputError
from kraken_bids.files import explain_absence

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
    """Repetition time, s."""
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
        try:
            with _open_stream(self.path) as stream:
                _skip(stream, self.offset)
                # one for all: the pages of a new one cost as much as summing it up
                volume = np.empty(self.n_voxels, self.dtype)
                for _ in range(self.shape[3]):
                    if not _fill(stream, volume.view(np.uint8).data):
                        raise EOFError("the file ends there")
                    yield _to_native(volume)
                # The end of a .gz carries its checksum, which is read with the last byte.
                stream.read(1)
        except damage_errors() as error:
            n_bytes = _count_bytes(self.path) - self.offset
            n_whole = min(max(n_bytes, 0) // (self.n_voxels * self.dtype.itemsize), self.shape[3])
            raise InputError(
                f"expected {self.shape[3]} volumes in {self.path}; found {n_whole} whole ones and "
                f"then: {error}. The file is cut or damaged: copy it again, or rerun fMRIPrep."
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
    path = Path(path)
    header = _read_plain_header(path) or _read_header_with_nibabel(path)
    shape = header.shape[:4] if set(header.shape[4:]) <= {1} else header.shape
    if len(shape) != 4 or min(shape) < 1 or header.dtype.kind not in "iuf":
        raise InputError(
            f"expected a BOLD series with four axes of real numbers in {path}; found shape "
            f"{header.shape} of {header.dtype}. Check that this is the preprocessed series."
        )
    _check_header(path, header)
    metadata = read_bold_metadata(path)[0] if tr is None else {KEY: tr}
    return Bold(
        path=path,
        shape=shape,
        affine=header.affine,
        tr=find_repetition_time(path, metadata, header),
        slope=header.slope,
        inter=header.inter,
        dtype=header.dtype,
        offset=header.offset,
        is_placed=header.is_placed,
    )


def _read_plain_header(path: Path) -> NiftiHeader | None:
    if not path.name.endswith((".nii", ".nii.gz")):
        return None
    try:
        with _open_stream(path) as stream:
            return parse_plain_header(stream.read(HEADER_BYTES))
    except damage_errors():
        return None


def _read_header_with_nibabel(path: Path) -> NiftiHeader:
    import nibabel

    odd: tuple[type[Exception], ...] = (
        ValueError,
        AttributeError,
        LookupError,
        nibabel.filebasedimages.ImageFileError,
        nibabel.spatialimages.HeaderDataError,
    )
    try:
        image: Any = nibabel.load(path)
        if isinstance(image, nibabel.Cifti2Image | nibabel.GiftiImage):
            raise InputError(
                f"expected a volume series at {path}; found {type(image).__name__[:5].upper()}, "
                "whose values lie on the surface: region means are taken from volumes. Give "
                "fMRIPrep's desc-preproc_bold.nii.gz in the space of the label images "
                "(--output-spaces T1w MNI152NLin6Asym:res-2 writes it beside --cifti-output)."
            )
        proxy, header = image.dataobj, image.header
        _, qform, is_placed = read_forms(header)
        return NiftiHeader(
            shape=tuple(int(n) for n in image.shape),
            dtype=image.get_data_dtype(),
            # Not header["vox_offset"]: nibabel sets that to 0 on loading.
            offset=int(proxy.offset),
            slope=float(proxy.slope),
            inter=float(proxy.inter),
            affine=np.asarray(image.affine, np.float64),
            zooms=tuple(float(zoom) for zoom in header.get_zooms()),
            time_unit=header.get_xyzt_units()[1],
            qform=qform,
            is_placed=is_placed,
        )
    except InputError:
        raise
    except damage_errors() + odd as error:
        raise InputError(
            f"expected a NIfTI series at {path}; reading its header gave: {error}. "
            f"{explain_absence(path) or 'Check the path, or copy the file again.'}"
        ) from error


def _check_header(path: Path, header: NiftiHeader) -> None:
    """Refuse values that begin in the header, and voxels without a place."""
    if header.offset < DATA_OFFSET:
        raise InputError(
            f"expected the values of {path} to begin behind its header, at byte {DATA_OFFSET} or "
            f"later; found vox_offset {header.offset}. The header is damaged: copy the file again."
        )
    if not is_invertible(header.affine):
        raise InputError(
            f"expected an affine that gives every voxel of {path} a place; found "
            f"{header.affine[:3].tolist()}. Its header is damaged: copy the file again."
        )
    compare_forms(path, header.affine, header.qform, header.shape)
    if not header.is_placed:
        logger.warning(
            "%s: its header has neither qform nor sform; the middle of the image is taken as the "
            "origin, left and right as nibabel takes them, and regions may lie elsewhere",
            path,
        )


def _open_stream(path: Path) -> BinaryIO:
    if path.suffix == ".gz":
        from isal import igzip

        return cast(BinaryIO, igzip.open(path, "rb"))  # type: ignore[no-untyped-call]
    return cast(BinaryIO, path.open("rb", buffering=0))


def _count_bytes(path: Path) -> int:
    """Count what can be read of a damaged file, bytes (uncompressed); for its error message."""
    if path.suffix != ".gz":
        return path.stat().st_size
    inflate = zlib.decompressobj(31)
    n_bytes = 0
    with path.open("rb") as file:
        try:
            while block := inflate.unused_data or file.read(1 << 20):
                # One .gz may hold several streams, end to end (bgzip).
                inflate = zlib.decompressobj(31) if inflate.eof else inflate
                n_bytes += len(inflate.decompress(block))
        except zlib.error:
            logger.debug("%s: damaged after %d bytes", path, n_bytes)
    return n_bytes


def _skip(stream: BinaryIO, n_bytes: int) -> None:
    while n_bytes:
        # piece by piece: a damaged header may ask for more than memory holds
        piece = len(stream.read(min(n_bytes, 1 << 20)))
        if not piece:
            raise EOFError("the file ends in its header")
        n_bytes -= piece


def _fill(stream: BinaryIO, buffer: memoryview) -> bool:
    """Fill the buffer; whether the stream had enough."""
    done = 0
    while done < len(buffer):
        n_read = cast(io.RawIOBase, stream).readinto(buffer[done:])
        if not n_read:
            return False
        done += n_read
    return True


def _to_native(volume: NDArray[np.number[Any]]) -> NDArray[np.number[Any]]:
    if volume.dtype.isnative:
        return volume
    return volume.byteswap(inplace=True).view(volume.dtype.newbyteorder("="))
