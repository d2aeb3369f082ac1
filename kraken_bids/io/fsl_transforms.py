"""FSL's transforms (FLIRT matrices, FNIRT displacement fields) as steps that carry points.

FSL's coordinates of an image are millimetres from its first voxel, voxel sizes times voxel
numbers, whatever its header says of directions; but x runs from the last voxel where the
determinant of the affine is positive.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kraken_bids.exceptions import InputError
from kraken_bids.io.image_values import ImageHeader, is_invertible
from kraken_bids.io.images import read_vectors
from kraken_bids.io.itk_transforms import Step
from kraken_bids.io.text_matrices import read_text_matrix

COEFFICIENTS = (2007, 2008, 2009, 2016, 2017)
"""Intent codes of splines and cosines, of which a field is to be computed first."""
MNI_TO_WORLD = np.array([[-1.0, 0, 0, 90], [0, 1, 0, -126], [0, 0, 1, -72], [0, 0, 0, 1]])
"""FSL's coordinates of its MNI152 templates (2 mm and 1 mm alike) → RAS mm."""


def read_flirt(path: Path, points_of: ImageHeader, into: ImageHeader | None) -> Step:
    """Matrix of FLIRT as a step from the world of its input image to that of its reference.

    Raises
    ------
    InputError
        If it is missing, or no invertible matrix of 4 x 4.
    """
    matrix = read_text_matrix(path)
    if matrix.shape != (4, 4) or not is_invertible(matrix):
        raise InputError(
            f"expected a matrix of FLIRT, four rows of four numbers that can be inverted, in "
            f"{path}; found shape {matrix.shape}:\n{matrix}. Copy the file again, or rerun FLIRT."
        )
    return _to_world(into) @ matrix @ np.linalg.pinv(_to_world(points_of)), None


def read_field(path: Path, into: ImageHeader | None) -> list[Step]:
    """Displacement field of FNIRT as steps from the world of its own grid to another one, RAS mm.

    Fields of coordinates (``--absout``) are told from those of displacements by their spread, as
    FSL does. The first step is the affine transform that comes nearest to the field, which also
    serves outside of it; the second what is left.

    Parameters
    ----------
    path : path
        ``…_warp.nii.gz``.
    into : ImageHeader or None
        Of the image whose space the points land in; None: FSL's MNI152.

    Raises
    ------
    InputError
        If it is missing, damaged, of other numbers, or holds spline coefficients.

    Source
    ------
    FSL, ``fnirt_file_reader.cpp``; conventions as in fslpy's documentation of FNIRT.
    """
    values, header = read_vectors(path)
    if header.intent in COEFFICIENTS:
        raise InputError(
            f"expected a displacement field of FNIRT in {path}; found coefficients of splines. "
            "Compute the field: fnirtfileutils --in=COEFFICIENTS --ref=REFERENCE --out=FIELD "
            "--withaff."
        )
    if not np.isfinite(values).all():
        raise InputError(
            f"expected finite displacements in {path}; found NaN or infinite ones. Rerun FNIRT, "
            "convertwarp or invwarp."
        )
    grid = np.indices(header.shape[:3], np.float32).reshape(3, -1)
    moved = values.reshape(-1, 3).T.astype(np.float64)
    own = _apply(to_fsl(header), grid)
    # coordinates differ from one another by the size of the head, displacements do not
    if not moved.std(axis=1).sum() > (moved - own).std(axis=1).sum():
        moved += own
    del own, values  # such fields take hundreds of megabytes
    landed = _apply(_to_world(into), moved)
    affine = _fit(_apply(header.affine, grid), landed)
    if not is_invertible(affine):
        raise InputError(
            f"expected displacements that give every voxel a place of its own in {path}; found "
            f"ones that lead all to a plane, a line or far away ({affine[:3].tolist()}). Rerun "
            "FNIRT, convertwarp or invwarp."
        )
    landed -= _apply(affine @ header.affine, grid)
    field = landed.T.reshape(*header.shape[:3], 3).astype(np.float32)
    return [(affine, None), (affine @ header.affine, field)]


def to_fsl(header: ImageHeader) -> NDArray[np.float64]:
    """Voxel → FSL's coordinates, mm, [4, 4]."""
    matrix = np.diag([*header.zooms[:3], 1.0])
    if np.linalg.det(header.affine) > 0:
        matrix[0] = [-header.zooms[0], 0, 0, (header.shape[0] - 1) * header.zooms[0]]
    return matrix


def _to_world(header: ImageHeader | None) -> NDArray[np.float64]:
    """FSL's coordinates of an image → RAS mm."""
    if header is None:
        return MNI_TO_WORLD
    # the pseudoinverse: a header may hold voxels of no size
    world: NDArray[np.float64] = header.affine @ np.linalg.pinv(to_fsl(header))
    return world


def _fit(points: NDArray[np.float64], landed: NDArray[np.float64]) -> NDArray[np.float64]:
    """Affine [4, 4] that carries points [3, n] nearest to where they landed."""
    centre = points.mean(axis=1, keepdims=True)
    shifted = points - centre
    matrix = np.linalg.lstsq(shifted @ shifted.T, shifted @ landed.T, rcond=None)[0].T
    affine = np.eye(4)
    affine[:3, :3] = matrix
    affine[:3, 3] = landed.mean(axis=1) - matrix @ centre[:, 0]
    return affine


def _apply(affine: NDArray[np.float64], points: NDArray[np.floating]) -> NDArray[np.float64]:
    moved: NDArray[np.float64] = affine[:3, :3] @ points + affine[:3, 3:]
    return moved
