"""Headers of NIfTI and of FreeSurfer's volumes, as nibabel reads them; label images out."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np
from numpy.typing import NDArray

from kraken_bids.io.files import atomic_path
from kraken_bids.io.image_values import ImageHeader

DATA_OFFSET = 352
NIFTI2_BYTES = 540
MGH_BYTES = 90
MGH_RAS_FLAG = slice(28, 30)
"""Whether the directions in the header count. Source: MGH format, goodRASFlag."""
CIFTI_INTENTS = range(3000, 3100)
"""Source: CIFTI-2, section 4.2.5: intent codes of its files."""
TIME_UNITS = {0: "unknown", 16: "msec", 24: "usec"}


def parse_header(content: bytes, *, is_mgh: bool = False) -> ImageHeader:
    """Header of an image, with the meaning that nibabel gives it.

    Parameters
    ----------
    content : bytes
        The first 540 bytes of the file, unpacked, or fewer where it ends before.
    is_mgh : bool
        Whether it is FreeSurfer's format (``.mgh``, ``.mgz``), by its name.

    Raises
    ------
    ValueError
        If it is none, or says impossible things.
    """
    import nibabel

    try:
        if is_mgh:
            return _parse_mgh(content)
        is_second = NIFTI2_BYTES in (
            int.from_bytes(content[:4], "little"),
            int.from_bytes(content[:4], "big"),
        )
        kind: Any = nibabel.Nifti2Header if is_second else nibabel.Nifti1Header
        return _parse_nifti(kind(content[: kind.template_dtype.itemsize]))
    except (
        nibabel.spatialimages.HeaderDataError,
        nibabel.wrapstruct.WrapStructError,
        LookupError,
        TypeError,
        OverflowError,
    ) as error:
        raise ValueError(error) from error


def _parse_nifti(header: Any) -> ImageHeader:
    if int(header["intent_code"]) in CIFTI_INTENTS:
        raise ValueError(
            "CIFTI, whose values lie on the surface. Give the image as a volume (.nii.gz); of "
            "fMRIPrep, desc-preproc_bold.nii.gz in the space of the label images "
            "(--output-spaces T1w MNI152NLin6Asym:res-2 writes it beside --cifti-output)"
        )
    offset = int(header.get_data_offset())
    if offset < DATA_OFFSET:
        raise ValueError(f"values that begin in its header, at vox_offset {offset}")
    slope, inter = header.get_slope_inter()
    has_sform, has_qform = int(header["sform_code"]) > 0, int(header["qform_code"]) > 0
    return ImageHeader(
        shape=tuple(int(n) for n in header.get_data_shape()),
        dtype=header.get_data_dtype(),
        offset=offset,
        slope=1.0 if slope is None else slope,
        inter=0.0 if slope is None else inter,
        affine=np.asarray(header.get_best_affine(), np.float64),
        zooms=tuple(float(zoom) for zoom in header.get_zooms()),
        time_unit=TIME_UNITS.get(int(header["xyzt_units"]) & 0x38, "sec"),
        qform=_read_qform(header) if has_sform and has_qform else None,
        is_placed=has_sform or has_qform,
        intent=int(header["intent_code"]),
    )


def _read_qform(header: Any) -> NDArray[np.float64] | None:
    """Affine of the quaternion; None where that is none: the sform is what remains."""
    from nibabel.spatialimages import HeaderDataError

    try:
        return np.asarray(header.get_qform(), np.float64)
    except (ValueError, HeaderDataError):
        return None


def _parse_mgh(content: bytes) -> ImageHeader:
    from nibabel.freesurfer.mghformat import MGHHeader

    if len(content) < MGH_BYTES:
        raise ValueError(f"a header of {len(content)} bytes instead of {MGH_BYTES}")
    header = MGHHeader(content)  # type: ignore[no-untyped-call]
    return ImageHeader(
        shape=tuple(int(n) for n in header.get_data_shape()),  # type: ignore[no-untyped-call]
        dtype=header.get_data_dtype(),  # type: ignore[no-untyped-call]
        offset=header.get_data_offset(),  # type: ignore[no-untyped-call]
        slope=1.0,
        inter=0.0,
        affine=np.asarray(header.get_affine(), np.float64),  # type: ignore[no-untyped-call]
        zooms=tuple(float(zoom) for zoom in header.get_zooms()),  # type: ignore[no-untyped-call]
        # nibabel's header no longer tells, once it is made
        is_placed=content[MGH_RAS_FLAG] != bytes(2),
    )


def write_labels(
    path: Path, labels: NDArray[np.integer[Any]], affine: NDArray[np.float64]
) -> None:
    """Write a label image as NIfTI-1, ``.nii.gz``: int16, or int32 where labels need it.

    Parameters
    ----------
    labels : ndarray of int, shape (x, y, z)
        Not negative.
    affine : ndarray of shape (4, 4)
        Voxel → RAS mm; stored as the sform.

    Raises
    ------
    InputError
        If the disk is full or the folder cannot be written to.
    """
    from isal import igzip

    stored = labels.astype("<i2" if labels.max(initial=0) < 1 << 15 else "<i4")
    header = _make_header(stored.dtype, stored.shape, affine)
    header.set_intent("label")
    header["pixdim"][4:] = 0
    content = _pack_header(header) + stored.tobytes(order="F")
    with atomic_path(path) as temporary:
        # without a time in it, the same labels make the same file
        temporary.write_bytes(igzip.compress(content, mtime=0))


def write_volumes(
    path: Path,
    volumes: Iterable[NDArray[np.floating]],
    shape: tuple[int, int, int, int],
    affine: NDArray[np.float64],
    *,
    repetition_time: float,
) -> None:
    """Write a series of volumes as NIfTI-1, ``.nii.gz``, float32, one volume in memory.

    Parameters
    ----------
    volumes : iterable of ndarray of shape (x, y, z)
    shape : tuple of int
        x, y, z, n_volumes.
    affine : ndarray of shape (4, 4)
        Voxel → RAS mm; stored as the sform.
    repetition_time : float
        Seconds.

    Raises
    ------
    InputError
        If the disk is full or the folder cannot be written to.
    """
    from isal import igzip

    header = _make_header(np.dtype("<f4"), shape, affine)
    open_packed: Any = igzip.IGzipFile
    header["pixdim"][4] = repetition_time
    header.set_xyzt_units("mm", "sec")
    with (
        atomic_path(path) as temporary,
        temporary.open("wb") as file,
        # without a name and a time in it, the same volumes make the same file
        cast("BinaryIO", open_packed(filename="", fileobj=file, mode="wb", mtime=0)) as packed,
    ):
        packed.write(_pack_header(header))
        for volume in volumes:
            packed.write(np.asarray(volume, "<f4").tobytes(order="F"))


def _make_header(dtype: np.dtype[Any], shape: Sequence[int], affine: NDArray[np.float64]) -> Any:
    import nibabel

    kind: Any = nibabel.Nifti1Header
    header = kind(endianness="<")
    header.set_data_dtype(dtype)
    header.set_data_shape(shape)
    header.set_xyzt_units("mm")
    header.set_sform(affine, "aligned")
    header["pixdim"][1:4] = np.linalg.norm(affine[:3, :3], axis=0)
    header["vox_offset"], header["scl_slope"], header["scl_inter"] = DATA_OFFSET, 1, 0
    return header


def _pack_header(header: Any) -> bytes:
    packed: bytes = header.binaryblock.ljust(DATA_OFFSET, b"\0")
    return packed
