"""Matrices of GIFTI files through nibabel, in the process for foreign files."""

from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

ELSEWHERE = b"ExternalFileBinary"


def load_matrix(path: Path) -> NDArray[Any]:
    """Only array of a GIFTI file.

    Raises
    ------
    ValueError
        If it has none or several, or they lie in another file.
    """
    if ELSEWHERE in path.read_bytes():
        raise ValueError("values in another file")
    arrays = nib.load(path).darrays  # type: ignore[attr-defined]
    if len(arrays) != 1:
        raise ValueError(f"{len(arrays)} arrays, where one matrix was expected")
    return np.ascontiguousarray(arrays[0].data)
