"""Plain NIfTI-1 in, and label images out, without nibabel, whose import takes long."""

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kraken_bids.files import atomic_path

HEADER_BYTES = 348
DATA_OFFSET = 352
DTYPES = {2: "u1", 4: "i2", 8: "i4", 16: "f4", 64: "f8", 256: "i1", 512: "u2", 768: "u4"}
TIME_UNITS = {0: "unknown", 16: "msec", 24: "usec"}
LABELS_INTENT, ALIGNED, MILLIMETRES = 1002, 2, 2
"""Codes of NIfTI-1: ``NIFTI_INTENT_LABEL``, ``NIFTI_XFORM_ALIGNED_ANAT``, ``NIFTI_UNITS_MM``."""


@dataclass(frozen=True)
class NiftiHeader:
    """What a NIfTI header says of the values behind it."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    """As stored, byte order included."""
    offset: int
    """Where the values begin, bytes."""
    slope: float
    inter: float
    """What a stored value v means: ``slope * v + inter``."""
    affine: NDArray[np.float64]
    """Voxel → RAS mm, [4, 4]."""
    zooms: tuple[float, ...]
    """``pixdim``: voxel sizes in mm, then the repetition time."""
    time_unit: str
    """``sec`` unless it is ``msec``, ``usec`` or ``unknown``."""


def parse_plain_header(content: bytes) -> NiftiHeader | None:
    """Header at the beginning of a common NIfTI-1 file.

    Parameters
    ----------
    content : bytes
        The first 348 bytes, or more.

    Returns
    -------
    NiftiHeader or None
        None for anything out of the common: NIfTI-2, pairs of files, no sform or one that cannot
        be inverted, odd types, values that begin inside the header. nibabel then reads it, or
        explains.
    """
    if len(content) < HEADER_BYTES or content[344:348] != b"n+1\0":
        return None
    order = "<" if content[:4] == HEADER_BYTES.to_bytes(4, "little") else ">"
    n_axes, *shape = struct.unpack_from(f"{order}8h", content, 40)
    (code,) = struct.unpack_from(f"{order}h", content, 70)
    zooms = struct.unpack_from(f"{order}8f", content, 76)
    offset, slope, inter = struct.unpack_from(f"{order}3f", content, 108)
    (sform_code,) = struct.unpack_from(f"{order}h", content, 254)
    is_plain = n_axes in {3, 4} and min(shape[:n_axes]) > 0 and code in DTYPES and sform_code > 0
    # as in nibabel: a slope of 0 or NaN means that nothing is scaled
    is_scaled = bool(np.isfinite(slope)) and slope != 0
    if not is_plain or not DATA_OFFSET <= offset < 2**31 or (is_scaled and not np.isfinite(inter)):
        return None
    affine = np.eye(4)
    affine[:3] = np.array(struct.unpack_from(f"{order}12f", content, 280)).reshape(3, 4)
    if not is_invertible(affine):
        return None
    return NiftiHeader(
        shape=tuple(shape[:n_axes]),
        dtype=np.dtype(order + DTYPES[code]),
        offset=int(offset),
        slope=slope if is_scaled else 1.0,
        inter=inter if is_scaled else 0.0,
        affine=affine,
        zooms=zooms[1 : n_axes + 1],
        time_unit=TIME_UNITS.get(content[123] & 0x38, "sec"),
    )


def is_invertible(affine: NDArray[np.float64]) -> bool:
    """Whether an affine [4, 4] gives every voxel a place of its own."""
    return bool(np.isfinite(affine).all()) and np.linalg.matrix_rank(affine[:3, :3]) == 3


def read_plain_nifti(
    path: Path,
) -> tuple[NDArray[Any], NDArray[np.float64], NDArray[np.float64]] | None:
    """Values, affine and voxel sizes of a common image.

    Parameters
    ----------
    path : path
        ``.nii`` or ``.nii.gz``.

    Returns
    -------
    values : ndarray of shape (x, y, z[, t])
        As stored, x fastest.
    affine : ndarray of shape (4, 4)
        The sform, voxel → RAS mm.
    sizes : ndarray of shape (3,)
        ``pixdim``, mm.
        None instead of the three where :func:`parse_plain_header` gives None, values are scaled,
        or there are fewer bytes than there should be.
    """
    content = _read_bytes(path)
    header = parse_plain_header(content)
    if header is None or (header.slope, header.inter) != (1.0, 0.0):
        return None
    n_values = int(np.prod(header.shape, dtype=np.int64))
    if len(content) < header.offset + n_values * header.dtype.itemsize:
        return None
    values = np.frombuffer(content, header.dtype, n_values, header.offset)
    sizes = np.array(header.zooms[:3], np.float64)
    return values.reshape(header.shape, order="F"), header.affine, sizes


def write_labels(
    path: Path, labels: NDArray[np.integer[Any]], affine: NDArray[np.float64]
) -> None:
    """Write a label image as NIfTI-1, ``.nii.gz``: int16, or int32 where labels need it.

    Parameters
    ----------
    path : path
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

    code = 4 if labels.max(initial=0) < 1 << 15 else 8
    stored = labels.astype(f"<{DTYPES[code]}")
    header = bytearray(DATA_OFFSET)
    struct.pack_into("<i", header, 0, HEADER_BYTES)
    struct.pack_into("<8h", header, 40, 3, *stored.shape, 1, 1, 1, 1)
    struct.pack_into("<hhh", header, 68, LABELS_INTENT, code, 8 * stored.itemsize)
    struct.pack_into("<8f", header, 76, 1, *np.linalg.norm(affine[:3, :3], axis=0), 0, 0, 0, 0)
    struct.pack_into("<3f", header, 108, DATA_OFFSET, 1, 0)
    header[123] = MILLIMETRES
    struct.pack_into("<hh", header, 252, 0, ALIGNED)
    struct.pack_into("<12f", header, 280, *affine[:3].ravel())
    header[344:348] = b"n+1\0"
    content = bytes(header) + stored.tobytes(order="F")
    with atomic_path(path) as temporary:
        # without a time in it, the same labels make the same file
        temporary.write_bytes(igzip.compress(content, mtime=0))


def _read_bytes(path: Path) -> bytes:
    if path.name.endswith(".nii"):
        return path.read_bytes()
    if path.name.endswith(".nii.gz"):
        from isal import igzip

        return igzip.decompress(path.read_bytes())  # type: ignore[no-any-return, no-untyped-call]
    return b""
