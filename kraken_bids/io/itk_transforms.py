"""ITK transforms as steps that carry points, in RAS millimetres."""

import re
import struct
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kraken_bids.exceptions import InputError
from kraken_bids.io.bounds import check_shape
from kraken_bids.io.foreign_hdf5 import Stored, list_hdf5, read_dataset
from kraken_bids.io.foreign_kinds import Kind
from kraken_bids.io.image_values import is_invertible
from kraken_bids.io.texts import read_text

Step = tuple[NDArray[np.float64], NDArray[np.float32] | None]
"""Affine [4, 4] and None: p ← affine · p. Affine and displacement [x, y, z, 3] in RAS mm:
p ← p + displacement at affine⁻¹ · p, where affine is voxel → RAS mm; 0 outside the field, which
ends half a voxel beyond the centres of its outermost voxels."""

LPS = np.diag([-1.0, -1.0, 1.0, 1.0])
"""Between ITK's axes (left, posterior, superior) and ours (right, anterior, superior)."""
GROUP = "TransformGroup/"
LITTLE = {struct.pack("<i", kind) for kind in (0, 10)}
"""How a MATLAB file of version 4 begins: little-endian, doubles or singles."""
FULL = (0, 10)
MAX_MAT_BYTES = 1 << 20
"""A linear transform takes some hundreds."""
ITK = Kind(
    "an ITK transform",
    "The file is cut or damaged: copy it again, or rerun the software that wrote it.",
)


def read_transform(path: Path) -> list[Step]:
    """Read an ITK transform as steps, in the order in which a point passes through them.

    Parameters
    ----------
    path : path
        ``.txt`` (text), ``.mat`` (as ANTs writes), ``.h5`` (also composites with displacement
        fields). As image transform ``from-A_to-B`` it carries *points* from B to A.

    Returns
    -------
    list of (affine, displacement)
        See :data:`Step`.

    Raises
    ------
    InputError
        If it is missing, damaged, or of a kind that is not read (splines, time-varying fields).

    Source: a composite is a queue, the last one stored comes first (itkCompositeTransform.h).
    """
    path = Path(path)
    readers: Mapping[str, Callable[[Path], list[Step]]]
    readers = {".txt": _read_text, ".mat": _read_mat, ".h5": _read_h5}
    if path.suffix not in readers:
        raise InputError(
            f"expected an ITK transform (.txt, .mat or .h5); found {path}. Convert it, for "
            "example with ANTs' antsApplyTransforms -o CompositeTransform."
        )
    try:
        return readers[path.suffix](path)
    except InputError:
        raise
    except (OSError, KeyError, ValueError, TypeError, IndexError, AttributeError) as error:
        raise ITK.refuse(path, error) from error


def _read_text(path: Path) -> list[Step]:
    text = read_text(path)
    kinds = re.findall(r"^Transform:\s*(\S+)", text, re.MULTILINE)
    moving = _find_numbers(text, "Parameters")
    fixed = _find_numbers(text, "FixedParameters")
    composite = bool(kinds) and kinds[0].startswith("CompositeTransform")
    if composite:
        kinds = kinds[1:]
        moving, fixed = moving[-len(kinds) :], fixed[-len(kinds) :]
    if not kinds or len(kinds) != len(moving) or (len(kinds) > 1 and not composite):
        raise InputError(
            f"expected one ITK transform, or one composite, in {path}; found {len(kinds)} "
            f"transforms with {len(moving)} lines of parameters. Lists of transforms, one per "
            "volume, are not what is needed here."
        )
    fixed += [np.zeros(3)] * (len(kinds) - len(fixed))
    steps = [_to_affine(*step, path) for step in zip(kinds, moving, fixed, strict=True)]
    return steps[::-1]


def _find_numbers(text: str, key: str) -> list[NDArray[np.float64]]:
    lines = re.findall(rf"^{key}:(.*)$", text, re.MULTILINE)
    return [np.array(line.split(), np.float64) for line in lines]


def _read_mat(path: Path) -> list[Step]:
    with path.open("rb") as file:
        content = _read_mat4(file.read(MAX_MAT_BYTES))
    fixed = content.pop("fixed", np.zeros(3))
    ((kind, values),) = content.items()
    return [_to_affine(kind, values, fixed, path)]


def _read_mat4(data: bytes) -> dict[str, NDArray[np.float64]]:
    """Arrays of a MATLAB file of version 4, the only one that ITK writes and reads.

    Source: MAT-File Format, MathWorks, R2024a, chapter 2; vnl_matlab_write.cxx.
    """
    arrays: dict[str, NDArray[np.float64]] = {}
    place = 0
    while place < len(data):
        order = "<" if data[place : place + 4] in LITTLE else ">"
        if len(data) < place + 20:
            raise ValueError("a header that is cut")
        kind, n_rows, n_columns, is_complex, n_name = struct.unpack_from(f"{order}5i", data, place)
        dtype = np.dtype(f"{order}f8" if kind % 100 == 0 else f"{order}f4")
        place += 20
        if kind % 1000 not in FULL or is_complex or not 0 < n_name <= len(data) - place:
            raise ValueError("no MATLAB file of version 4 with real numbers")
        name = data[place : place + n_name].rstrip(b"\0").decode("ascii")
        place += n_name
        check_shape((n_rows, n_columns), dtype.itemsize, len(data) - place)
        numbers = np.frombuffer(data, dtype, n_rows * n_columns, place)
        arrays[name] = numbers.astype(np.float64)
        place += numbers.nbytes
    return arrays


def _read_h5(path: Path) -> list[Step]:
    content = list_hdf5(ITK, path)
    names = [name for name in content if name.startswith(GROUP) and name.count("/") == 1]
    steps = []
    for name in sorted(names, key=lambda name: int(name.removeprefix(GROUP))):
        kind = content[f"{name}/TransformType"].value[0]
        if not kind.startswith("CompositeTransform"):
            steps.append(_read_h5_step(content, name, kind, path))
    if not steps:
        raise KeyError("TransformGroup")
    return steps[::-1]


def _read_h5_step(content: Mapping[str, Stored], name: str, kind: str, path: Path) -> Step:
    # ITK before 4.11 wrote "Tranform".
    start = f"{name}/Transform" if f"{name}/TransformParameters" in content else f"{name}/Tranform"
    moving = content[f"{start}Parameters"]
    fixed = np.asarray(content[f"{start}FixedParameters"].value, np.float64)
    if not kind.startswith("DisplacementFieldTransform"):
        return _to_affine(kind, np.asarray(moving.value, np.float64), fixed, path)
    # A field of doubles is converted while it is read, so that memory holds float32 only.
    field = read_dataset(ITK, path, f"{start}Parameters", dtype=np.float32)
    return _to_displacement(field, fixed, path)


def _to_displacement(field: NDArray[np.float32], fixed: NDArray[np.float64], path: Path) -> Step:
    size = fixed[:3].astype(int)
    affine = np.eye(4)
    affine[:3, :3] = fixed[9:18].reshape(3, 3) * fixed[6:9]
    affine[:3, 3] = fixed[3:6]
    if not is_invertible(affine):
        raise InputError(
            f"expected a displacement field in {path} whose spacing and direction give every "
            f"voxel a place; found {fixed.tolist()}. Rerun the software that wrote it."
        )
    field = field.reshape(*size[::-1], 3)
    field[..., :2] *= -1
    return LPS @ affine, field.transpose(2, 1, 0, 3)


def _to_affine(
    kind: str, moving: NDArray[np.float64], fixed: NDArray[np.float64], path: Path
) -> Step:
    """Matrix of a linear transform: y = M (x - centre) + centre + translation, LPS to RAS."""
    name = kind.partition("_")[0]
    matrix = np.eye(4)
    if name in {"AffineTransform", "MatrixOffsetTransformBase", "Rigid3DTransform"}:
        matrix[:3, :3], translation = moving[:9].reshape(3, 3), moving[9:12]
    elif name == "Euler3DTransform":
        matrix[:3, :3], translation = _rotate(moving[:3], fixed), moving[3:6]
    elif name == "TranslationTransform":
        translation, fixed = moving[:3], np.zeros(3)
    elif name == "IdentityTransform":
        translation, fixed = np.zeros(3), np.zeros(3)
    else:
        raise InputError(
            f"expected a linear transform or a displacement field in {path}; found {kind}. "
            "Convert it, for example with ANTs' antsApplyTransforms -o [field.nii.gz,1]."
        )
    centre = fixed[:3]
    matrix[:3, 3] = translation + centre - matrix[:3, :3] @ centre
    if not np.isfinite(matrix).all():
        raise ValueError(f"{kind} whose numbers are not finite")
    return LPS @ matrix @ LPS, None


def _rotate(angles: NDArray[np.float64], fixed: NDArray[np.float64]) -> NDArray[np.float64]:
    """Rotate by Euler angles x, y, z (rad): ITK's order Z·X·Y, or Z·Y·X if the file says so."""
    (cx, cy, cz), (sx, sy, sz) = np.cos(angles), np.sin(angles)
    x = np.array([[1, 0, 0], [0, cx, -sx], [0, sx, cx]])
    y = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    z = np.array([[cz, -sz, 0], [sz, cz, 0], [0, 0, 1]])
    compute_zyx = len(fixed) > 3 and bool(fixed[3])
    return np.asarray(z @ y @ x if compute_zyx else z @ x @ y)
