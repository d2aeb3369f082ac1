"""What nibabel's header of an image says of its place."""

from typing import Any

import numpy as np
from numpy.typing import NDArray


def read_forms(header: Any) -> tuple[bool, NDArray[np.float64] | None, bool]:
    """Whether there is an sform, the qform, and whether the header says at all where it lies.

    Parameters
    ----------
    header : nibabel header
        Of NIfTI or another format.

    Returns
    -------
    has_sform : bool
    qform : ndarray of shape (4, 4), or None
        Voxel → RAS mm; None where its code is 0, or it is broken.
    is_placed : bool
        True for formats without such codes.
    """
    if "sform_code" not in header:
        return False, None, True
    from nibabel.spatialimages import HeaderDataError

    has_sform, has_qform = int(header["sform_code"]) > 0, int(header["qform_code"]) > 0
    qform = None
    if has_sform and has_qform:
        try:
            qform = np.asarray(header.get_qform(), np.float64)
        except (
            ValueError,
            HeaderDataError,
        ):  # a quaternion that is none: the sform is what remains
            qform = None
    return has_sform, qform, has_sform or has_qform
