"""Headers of NIfTI-2, of FreeSurfer's volumes and of uncommon NIfTI-1, by nibabel."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from kraken_bids.io.image_values import ImageHeader
from kraken_bids.io.nifti import DATA_OFFSET, TIME_UNITS

NIFTI2_BYTES = 540
MGH_BYTES = 90
MGH_RAS_FLAG = slice(28, 30)
"""Whether the directions in the header count. Source: MGH format, goodRASFlag."""
CIFTI_INTENTS = range(3000, 3100)
"""Source: CIFTI-2, section 4.2.5: intent codes of its files."""


def parse_odd_header(content: bytes, *, is_mgh: bool = False) -> ImageHeader:
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
