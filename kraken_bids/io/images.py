"""Label and probability images into arrays."""

import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kraken_bids.exceptions import InputError
from kraken_bids.io.byte_streams import damage_errors, open_stream, read_to_end
from kraken_bids.io.files import explain_absence
from kraken_bids.io.image_headers import read_header, read_values
from kraken_bids.io.image_values import ImageHeader, check_place, compare_forms

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


def read_vectors(path: Path) -> tuple[NDArray[np.float32], ImageHeader]:
    """Image of three numbers per voxel [x, y, z, 3], such as a displacement field.

    Raises
    ------
    InputError
        If it is missing, damaged, without a place, or of another shape.
    """
    values, _, header = _read(path, _collect_values, needs_place=True, n_each=3)
    return values.astype(np.float32, copy=False), header


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
    n_each: int = 1,
) -> tuple[NDArray[Any], bool, ImageHeader]:
    """Read an image to its end, since only that tells whether it is sound."""
    path = Path(path)
    try:
        _check_name(path)
        with open_stream(path) as stream, np.errstate(invalid="ignore", over="ignore"):
            header = read_header(stream, path)
            _check_kind(header, path, n_each)
            if needs_place:
                check_place(header, path)
            values, is_whole = collect(header, read_values(stream, header))
            read_to_end(stream, path)
    except InputError:
        raise
    except damage_errors() as error:
        raise _refuse(path, error) from error
    compare_forms(path, header.affine, header.qform, header.shape)
    arrange = header.arrange or (lambda flat: flat.reshape(header.shape, order="F"))
    axes = arrange(values)
    return axes.reshape(axes.shape[: 3 if n_each == 1 else 4]), is_whole, header


def _refuse(path: Path, error: Exception) -> InputError:
    return InputError(
        f"expected an image ({', '.join(FORMATS)}) at {path}; reading it gave: {error}. "
        f"{explain_absence(path) or _suggest(path)}"
    )


def _check_name(path: Path) -> None:
    if path.name.lower().endswith(".gii"):
        raise ValueError(
            "GIFTI, whose values lie on the surface. Give the parcellation as a volume (.nii.gz)"
        )
    if not path.name.lower().endswith(FORMATS):
        raise ValueError("a name of another format")


def _check_kind(header: ImageHeader, path: Path, n_each: int) -> None:
    if header.dtype.kind not in "biuf":
        raise InputError(
            f"expected an image of plain numbers in {path}; found "
            + ("colours (RGB)" if header.dtype.names else str(header.dtype))
            + ". Give the image that the picture was made of."
        )
    if n_each > 1 and header.shape[3:] != (n_each,):
        raise InputError(
            f"expected {n_each} numbers per voxel, four axes, in {path}; found shape "
            f"{header.shape}. Give the displacement field that FSL wrote."
        )
    if n_each == 1 and (len(header.shape) < 3 or set(header.shape[3:]) - {1}):
        raise InputError(
            f"expected an image with three axes in {path}; found shape {header.shape}. Give one "
            "image, not a probabilistic atlas (kraken-tools fc --maps takes one) or a series."
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
