"""Label and probability images into arrays."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kraken_bids.bids.image_values import ImageValues, check_place, compare_forms
from kraken_bids.bids.mif import parse_mif
from kraken_bids.bids.nifti import parse_plain_nifti
from kraken_bids.bids.nifti_forms import read_forms
from kraken_bids.bids.streams import damage_errors
from kraken_bids.bounds import check_shape
from kraken_bids.exceptions import InputError
from kraken_bids.files import explain_absence

FORMATS = (".nii.gz", ".nii", ".mgz", ".mgh", ".mif.gz", ".mif")
ODD: tuple[type[Exception], ...] = (
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    OverflowError,
)
"""What headers raise that say impossible things."""
MGH_RAS_FLAG = slice(28, 30)
"""Whether the directions in the header count. Source: MGH format, goodRASFlag."""
NIFTI2_BYTES = (540).to_bytes(4, "little")


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
        A fourth axis of length 1 is dropped.
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
    image = _load(path, needs_place=needs_place)
    values, affine = _round_scaled(image), image.affine
    if as_mrtrix:
        affine = _rescale(affine, image.sizes)
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


def read_image(
    path: Path, *, needs_place: bool = True
) -> tuple[NDArray[Any], NDArray[np.float64]]:
    """Values of an image, scaled as its header says.

    Parameters
    ----------
    path : path
    needs_place : bool
        As in :func:`read_labels`.

    Returns
    -------
    values : ndarray
        As stored where the header does not scale, else float.
    affine : ndarray of shape (4, 4)
        Voxel → RAS mm.

    Raises
    ------
    InputError
        If it is missing, damaged, without a place, or no image.
    """
    image = _load(path, needs_place=needs_place)
    return image.values, image.affine


def _round_scaled(image: ImageValues) -> NDArray[Any]:
    """Whole numbers where values are nothing else but what the steps of their storage allow."""
    values = image.values
    if not 0 < image.step < 1:  # from 1 on labels no longer stay apart
        return values
    rounded = np.rint(values)
    # slope and intercept are kept in single precision
    room = image.step / 2 + 2.0**-22 * np.abs(rounded).max(initial=0)
    with np.errstate(invalid="ignore"):
        is_near = np.abs(values - rounded) <= room
    return rounded if is_near.all() else values


def _load(path: Path, *, needs_place: bool) -> ImageValues:
    """Read an image of numbers; a second place that its header gives is said."""
    path = Path(path)
    try:
        image = _parse(path, _read_bytes(path))
    except InputError:
        raise
    except damage_errors() + ODD as error:
        raise InputError(
            f"expected an image ({', '.join(FORMATS)}) at {path}; reading it gave: {error}. "
            f"{explain_absence(path) or _suggest(path)}"
        ) from error
    if image.values.dtype.kind not in "biuf":
        raise InputError(
            f"expected an image of plain numbers in {path}; found "
            + ("colours (RGB)" if image.values.dtype.names else str(image.values.dtype))
            + ". Give the image that the picture was made of."
        )
    if needs_place:
        check_place(image, path)
    return image


def _suggest(path: Path) -> str:
    name = path.name.lower()
    if name.endswith((".mif", ".mif.gz", ".mih")):
        return (
            f"Convert it with MRtrix: mrconvert {path.name} {path.name.partition('.')[0]}.nii.gz"
        )
    return "Check the path, or copy the file again."


def _read_bytes(path: Path) -> bytes:
    """Whole file, unpacked: only its end tells whether it is sound."""
    name = path.name.lower()
    if not name.endswith(FORMATS):
        return b""
    if not name.endswith((".gz", ".mgz")):
        return path.read_bytes()
    from isal import igzip

    return igzip.decompress(path.read_bytes())  # type: ignore[no-any-return, no-untyped-call]


def _parse(path: Path, content: bytes) -> ImageValues:
    if path.name.lower().endswith((".mif", ".mif.gz")):
        return parse_mif(content)
    plain = parse_plain_nifti(content)
    if plain is None:
        return _parse_with_nibabel(path, content)
    image, header = plain
    compare_forms(path, image.affine, header.qform, image.values.shape)
    return image


def _parse_with_nibabel(path: Path, content: bytes) -> ImageValues:
    import nibabel

    try:
        image = _open_with_nibabel(path, content)
        proxy, header = image.dataobj, image.header
        if content:
            check_shape(image.shape, image.get_data_dtype().itemsize, len(content))
        has_sform, qform, is_placed = read_forms(header)
        if isinstance(image, nibabel.MGHImage):  # its header no longer tells, once it is read
            is_placed = content[MGH_RAS_FLAG] != bytes(2)
        if has_sform:
            compare_forms(path, image.affine, qform, image.shape)
        slope = float(getattr(proxy, "slope", 1.0))
        is_scaled = image.get_data_dtype().kind in "iu" and slope != 1
        return ImageValues(
            values=np.asanyarray(proxy),
            affine=np.asarray(image.affine, np.float64),
            sizes=np.asarray(header.get_zooms()[:3], np.float64),
            step=abs(slope) if is_scaled else 0.0,
            is_placed=is_placed,
        )
    except (
        nibabel.filebasedimages.ImageFileError,
        nibabel.spatialimages.HeaderDataError,
        nibabel.freesurfer.mghformat.MGHError,
        nibabel.wrapstruct.WrapStructError,
    ) as error:
        raise ValueError(error) from error


def _open_with_nibabel(path: Path, content: bytes) -> Any:
    """Image of unpacked bytes, where nibabel itself would not read them to their end."""
    import nibabel

    name = path.name.lower()
    if name.endswith((".mgz", ".mgh")):
        return nibabel.MGHImage.from_bytes(content)
    if name.endswith(".nii.gz"):
        is_second = NIFTI2_BYTES in (content[:4], content[3::-1])
        return (nibabel.Nifti2Image if is_second else nibabel.Nifti1Image).from_bytes(content)
    image = nibabel.load(path)
    if isinstance(image, nibabel.Cifti2Image | nibabel.GiftiImage):
        kind = type(image).__name__[:5].upper()
        raise InputError(
            f"expected an image of voxels at {path}; found {kind}, whose values lie on the "
            "surface. Give the parcellation as a volume (.nii.gz)."
        )
    return image


def _rescale(affine: NDArray[np.float64], sizes: NDArray[np.float64]) -> NDArray[np.float64]:
    lengths = np.linalg.norm(affine[:3, :3], axis=0)
    if len(sizes) < 3 or (np.abs(sizes / lengths - 1) > 1e-5).any():
        return affine
    rescaled = affine.copy()
    rescaled[:3, :3] = affine[:3, :3] / lengths * sizes
    return rescaled
