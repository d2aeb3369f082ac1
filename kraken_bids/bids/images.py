"""Label and probability images into arrays."""

import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kraken_bids.bids.nifti import read_plain_nifti
from kraken_bids.exceptions import InputError
from kraken_bids.files import explain_absence

MRTRIX = (".mif", ".mif.gz", ".mih")


def read_labels(
    path: Path, *, as_mrtrix: bool = False
) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
    """Label image (NIfTI or FreeSurfer ``.mgz``) as whole numbers.

    Parameters
    ----------
    path : path
        A fourth axis of length 1 is dropped.
    as_mrtrix : bool
        Take voxel sizes from ``pixdim`` where they agree with the sform within 1e-5, as MRtrix
        does: it tells apart the last digits of affines in single precision.

    Returns
    -------
    labels : ndarray of int32, shape (x, y, z)
    affine : ndarray of shape (4, 4)
        Voxel → RAS mm.

    Raises
    ------
    InputError
        If it is missing, damaged, not 3D, or holds negative or fractional values.
    """
    values, affine, sizes = _load(path)
    if as_mrtrix:
        affine = _rescale(affine, sizes)
    if values.ndim == 4 and values.shape[3] == 1:
        values = values[..., 0]
    if values.ndim != 3:
        raise InputError(
            f"expected a label image with three axes; found shape {values.shape} in {path}. "
            "Give one label image, not a probabilistic atlas or a series."
        )
    with np.errstate(invalid="ignore"):
        labels = values.astype(np.int32)
    is_whole = values.dtype.kind in "iu" and values.dtype.itemsize < 4
    if not (is_whole or (labels == values).all()) or labels.min(initial=0) < 0:
        raise InputError(
            f"expected whole, non-negative labels in {path}; found negative, fractional or "
            "non-finite values. It was probably interpolated: resample it with nearest neighbour."
        )
    return labels, affine


def read_image(path: Path) -> tuple[NDArray[Any], NDArray[np.float64]]:
    """Values of an image, scaled as its header says.

    Returns
    -------
    values : ndarray
        As stored where the header does not scale, else float.
    affine : ndarray of shape (4, 4)
        Voxel → RAS mm.

    Raises
    ------
    InputError
        If it is missing, damaged or no image.
    """
    values, affine, _ = _load(path)
    return values, affine


def _load(path: Path) -> tuple[NDArray[Any], NDArray[np.float64], NDArray[np.float64]]:
    """Values, affine and voxel sizes of an image."""
    try:
        plain = read_plain_nifti(Path(path))
    except (OSError, EOFError, zlib.error):
        plain = None
    return _load_with_nibabel(path) if plain is None else plain


def _load_with_nibabel(
    path: Path,
) -> tuple[NDArray[Any], NDArray[np.float64], NDArray[np.float64]]:
    import nibabel

    if path.name.endswith(MRTRIX):
        raise InputError(
            f"expected an image (.nii, .nii.gz or .mgz) at {path}; found MRtrix's own format. "
            f"Convert it: mrconvert {path.name} {path.name.partition('.mi')[0]}.nii.gz"
        )
    try:
        image: Any = nibabel.load(path)
        if isinstance(image, nibabel.Cifti2Image | nibabel.GiftiImage):
            kind = type(image).__name__[:5].upper()
            raise InputError(
                f"expected an image of voxels at {path}; found {kind}, whose values lie on the "
                "surface. Give the parcellation as a volume (.nii.gz)."
            )
        sizes = np.asarray(image.header.get_zooms()[:3], np.float64)
        return np.asanyarray(image.dataobj), np.asarray(image.affine, np.float64), sizes
    except InputError:
        raise
    except (
        OSError,
        EOFError,
        ValueError,
        zlib.error,
        nibabel.filebasedimages.ImageFileError,
        nibabel.spatialimages.HeaderDataError,
    ) as e:
        raise InputError(
            f"expected an image (.nii, .nii.gz or .mgz) at {path}; reading it gave: {e}. "
            f"{explain_absence(path) or 'Check the path, or copy the file again.'}"
        ) from e


def _rescale(affine: NDArray[np.float64], sizes: NDArray[np.float64]) -> NDArray[np.float64]:
    lengths = np.linalg.norm(affine[:3, :3], axis=0)
    if len(sizes) < 3 or (np.abs(sizes / lengths - 1) > 1e-5).any():
        return affine
    rescaled = affine.copy()
    rescaled[:3, :3] = affine[:3, :3] / lengths * sizes
    return rescaled
