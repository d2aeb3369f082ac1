"""Label and probability images into arrays."""

import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from kraken_bids.exceptions import InputError
from kraken_bids.io.bounds import FREE_BYTES
from kraken_bids.io.byte_streams import damage_errors, fill, open_stream, read_first, read_to_end
from kraken_bids.io.files import explain_absence
from kraken_bids.io.image_values import ImageHeader, check_place, compare_forms, is_invertible
from kraken_bids.io.mif import read_mif_header
from kraken_bids.io.nifti import NIFTI2_BYTES, parse_header

FORMATS = (".nii.gz", ".nii", ".mgz", ".mgh", ".mif.gz", ".mif")


def read_labels(
    path: Path, *, as_mrtrix: bool = False, needs_place: bool = True
) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
    """Label image (NIfTI, FreeSurfer's ``.mgz``, MRtrix's ``.mif``) as whole numbers.

    Labels that are stored under a slope (nibabel does so where ``get_fdata()`` is saved with the
    header of whole numbers) are rounded, as MRtrix does, where each lies within half a step of
    a whole number.

    Parameters
    ----------
    path : path
        Further axes of length 1 are dropped.
    as_mrtrix : bool
        Take voxel sizes from ``pixdim`` where they agree with the sform within 1e-5, as MRtrix
        does: it tells apart the last digits of affines in single precision.
    needs_place : bool
        Whether an image is refused whose header does not say where it lies.

    Returns
    -------
    labels : ndarray of int32, shape (x, y, z)
    affine : ndarray of shape (4, 4)
        Voxel → RAS mm.

    Raises
    ------
    InputError
        If it is missing, damaged, without a place, not 3D, or holds negative or fractional values.
    """
    labels, is_whole, header = _read(path, _collect_labels, needs_place=needs_place)
    if not is_whole:
        raise InputError(
            f"expected whole, non-negative labels in {path}; found negative, fractional or "
            "non-finite values. It was probably interpolated: resample it with nearest neighbour."
        )
    return labels, _rescale(header.affine, header.zooms) if as_mrtrix else header.affine


def read_image(
    path: Path, *, needs_place: bool = True
) -> tuple[NDArray[Any], NDArray[np.float64]]:
    """Values of an image, scaled as its header says.

    Parameters
    ----------
    path : path
        Further axes of length 1 are dropped.
    needs_place : bool
        As in :func:`read_labels`.

    Returns
    -------
    values : ndarray of shape (x, y, z)
        As stored where the header does not scale and four bytes or fewer hold a value, else
        float32.
    affine : ndarray of shape (4, 4)
        Voxel → RAS mm.

    Raises
    ------
    InputError
        If it is missing, damaged, without a place, not 3D, or no image.
    """
    values, _, header = _read(path, _collect_values, needs_place=needs_place)
    return values, header.affine


def _collect_values(
    header: ImageHeader, blocks: Iterator[NDArray[Any]]
) -> tuple[NDArray[Any], bool]:
    """Values in the order of the file."""
    is_kept = header.dtype.itemsize <= 4 and not header.is_scaled
    dtype = header.dtype.newbyteorder("=") if is_kept else np.dtype(np.float32)
    values, first = np.empty(math.prod(header.shape), dtype), 0
    for block in blocks:
        values[first : first + len(block)] = _scale(header, block)
        first += len(block)
    return values, True


def _collect_labels(
    header: ImageHeader, blocks: Iterator[NDArray[Any]]
) -> tuple[NDArray[np.int32], bool]:
    """Values in the order of the file, and whether all are whole, as far as their steps tell."""
    labels = np.empty(math.prod(header.shape), np.int32)
    is_exact = np.can_cast(header.dtype, np.int32) and not header.is_scaled
    first, low, high, apart = 0, np.int32(0), np.int32(0), np.float64(0)
    for block in blocks:
        here = labels[first : first + len(block)]
        first += len(block)
        if is_exact:
            here[:] = block
        else:
            values = _scale(header, block)
            here[:] = np.rint(values)
            apart = np.maximum(apart, np.abs(values - here).max())  # NaN stays
        low, high = min(low, here.min()), max(high, here.max())
    step = abs(header.slope) if header.is_scaled and header.dtype.kind in "iu" else 0.0
    # from 1 on labels no longer stay apart; slope and intercept are kept in single precision
    room = step / 2 + 2.0**-22 * high if 0 < step < 1 else 0.0
    return labels, bool(low >= 0 and apart <= room)


def _scale(header: ImageHeader, block: NDArray[Any]) -> NDArray[Any]:
    if not header.is_scaled:
        return block
    scaled: NDArray[Any] = np.float64(header.slope) * block + header.inter
    return scaled


def _read(
    path: Path,
    collect: Callable[[ImageHeader, Iterator[NDArray[Any]]], tuple[NDArray[Any], bool]],
    *,
    needs_place: bool,
) -> tuple[NDArray[Any], bool, ImageHeader]:
    """Read an image to its end, since only that tells whether it is sound."""
    path = Path(path)
    try:
        _check_name(path)
        with open_stream(path) as stream, np.errstate(invalid="ignore", over="ignore"):
            header = read_header(stream, path)
            _check_kind(header, path)
            if needs_place:
                check_place(header, path)
            values, is_whole = collect(header, read_values(stream, header))
            read_to_end(stream, path)
    except InputError:
        raise
    except damage_errors() as error:
        raise InputError(
            f"expected an image ({', '.join(FORMATS)}) at {path}; reading it gave: {error}. "
            f"{explain_absence(path) or _suggest(path)}"
        ) from error
    compare_forms(path, header.affine, header.qform, header.shape)
    arrange = header.arrange or (lambda flat: flat.reshape(header.shape, order="F"))
    axes = arrange(values)
    return axes.reshape(axes.shape[:3]), is_whole, header


def _check_name(path: Path) -> None:
    if path.name.lower().endswith(".gii"):
        raise ValueError(
            "GIFTI, whose values lie on the surface. Give the parcellation as a volume (.nii.gz)"
        )
    if not path.name.lower().endswith(FORMATS):
        raise ValueError("a name of another format")


def _check_kind(header: ImageHeader, path: Path) -> None:
    if header.dtype.kind not in "biuf":
        raise InputError(
            f"expected an image of plain numbers in {path}; found "
            + ("colours (RGB)" if header.dtype.names else str(header.dtype))
            + ". Give the image that the picture was made of."
        )
    if len(header.shape) < 3 or set(header.shape[3:]) - {1}:
        raise InputError(
            f"expected an image with three axes in {path}; found shape {header.shape}. Give one "
            "image, not a probabilistic atlas or a series."
        )


def _suggest(path: Path) -> str:
    name = path.name.lower()
    if name.endswith((".mif", ".mif.gz", ".mih")):
        return (
            f"Convert it with MRtrix: mrconvert {path.name} {path.name.partition('.')[0]}.nii.gz"
        )
    return "Check the path, or copy the file again."


def _rescale(affine: NDArray[np.float64], zooms: Sequence[float]) -> NDArray[np.float64]:
    lengths = np.linalg.norm(affine[:3, :3], axis=0)
    sizes = np.asarray(zooms[:3])
    if not (np.abs(sizes / lengths - 1) <= 1e-5).all():  # nor is NaN
        return affine
    rescaled = affine.copy()
    rescaled[:3, :3] = affine[:3, :3] / lengths * sizes
    return rescaled


BLOCK_VALUES = 1 << 20


MAX_AXIS = 4096
"""Voxels along an axis; images of whole brains in living people have up to 1,000."""


MAX_VOXELS = 150_000_000
"""Voxels of one volume, 600 MB as labels: 480 x 576 x 480 (7 T, 0.5 mm) are 133 million."""


VOXELS_PER_BYTE = 6
"""Voxels per byte of the file where there are more: of 0.25 mm, T1w images have 2 or fewer."""


def read_header(stream: BinaryIO, path: Path) -> ImageHeader:
    """Header of an image, checked before room is made for its values.

    The stream stands at the beginning of the file, unpacked, whose name tells the format.

    Raises
    ------
    ValueError, EOFError
        If it is no image, or one that cannot be: larger than its file allows, or with an affine
        that gives its voxels no place.
    """
    name = path.name.lower()
    with np.errstate(all="ignore"):
        if name.endswith((".mif", ".mif.gz")):
            header = read_mif_header(stream)
        else:
            content, is_mgh = read_first(stream, NIFTI2_BYTES), name.endswith((".mgh", ".mgz"))
            header = parse_header(content, is_mgh=is_mgh)
        _check_header(header, path.stat().st_size)
    return header


def _check_header(header: ImageHeader, n_stored: int) -> None:
    shape, n_voxels = header.shape, math.prod(header.shape[:3])
    if min(shape) < 1 or max(shape[:3]) > MAX_AXIS:
        raise ValueError(f"axes of {list(shape)} voxels")
    if n_voxels > max(MAX_VOXELS, VOXELS_PER_BYTE * n_stored):
        raise ValueError(
            f"a declared shape {list(shape)}, {n_voxels:,} voxels, in a file of {n_stored:,} bytes"
        )
    if header.offset > FREE_BYTES:
        raise ValueError(f"values that begin at byte {header.offset:,}")
    if not is_invertible(header.affine):
        raise ValueError(f"an affine {header.affine[:3].tolist()}, which gives voxels no place")


def read_values(stream: BinaryIO, header: ImageHeader) -> Iterator[NDArray[Any]]:
    """Values of an image in the order of the file, unscaled, block by block.

    Yields
    ------
    ndarray of shape (n,)
        In the stored type; overwritten when the next block is asked for.

    Raises
    ------
    EOFError
        If the file ends before.
    """
    stream.seek(header.offset)
    n_values = math.prod(header.shape)
    n_items = -(-n_values // 8) if header.is_bits else n_values
    buffer = np.empty(min(n_items, BLOCK_VALUES), header.dtype)
    for first in range(0, n_items, BLOCK_VALUES):
        block = buffer[: n_items - first]
        fill(stream, block)
        yield np.unpackbits(block)[: n_values - 8 * first] if header.is_bits else block
