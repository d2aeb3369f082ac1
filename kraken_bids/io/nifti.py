"""Plain NIfTI-1 in, and label images out, without nibabel, whose import takes long."""

import struct
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kraken_bids.io.files import atomic_path
from kraken_bids.io.image_values import ImageHeader

HEADER_BYTES = 348
DATA_OFFSET = 352
DTYPES = {2: "u1", 4: "i2", 8: "i4", 16: "f4", 64: "f8", 256: "i1", 512: "u2", 768: "u4"}
TIME_UNITS = {0: "unknown", 16: "msec", 24: "usec"}
LABELS_INTENT, ALIGNED, MILLIMETRES = 1002, 2, 2
"""Codes of NIfTI-1: ``NIFTI_INTENT_LABEL``, ``NIFTI_XFORM_ALIGNED_ANAT``, ``NIFTI_UNITS_MM``."""


def parse_plain_header(content: bytes) -> ImageHeader | None:
    """Header at the beginning of a common NIfTI-1 file.

    Parameters
    ----------
    content : bytes
        The first 348 bytes, or more.

    Returns
    -------
    ImageHeader or None
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
    return ImageHeader(
        shape=tuple(shape[:n_axes]),
        dtype=np.dtype(order + DTYPES[code]),
        offset=int(offset),
        slope=slope if is_scaled else 1.0,
        inter=inter if is_scaled else 0.0,
        affine=affine,
        zooms=zooms[1 : n_axes + 1],
        time_unit=TIME_UNITS.get(content[123] & 0x38, "sec"),
        qform=_parse_qform(content, order, zooms[:4]),
    )


def _parse_qform(
    content: bytes, order: str, zooms: tuple[float, ...]
) -> NDArray[np.float64] | None:
    """Affine of the quaternion; None where its code is 0. Source: nifti1.h, METHOD 2."""
    (code,) = struct.unpack_from(f"{order}h", content, 252)
    if code <= 0:
        return None
    b, c, d, *origin = struct.unpack_from(f"{order}6f", content, 256)
    a = np.sqrt(max(0.0, 1.0 - (b * b + c * c + d * d)))
    affine = np.eye(4)
    affine[:3, :3] = [
        [a * a + b * b - c * c - d * d, 2 * (b * c - a * d), 2 * (b * d + a * c)],
        [2 * (b * c + a * d), a * a + c * c - b * b - d * d, 2 * (c * d - a * b)],
        [2 * (b * d - a * c), 2 * (c * d + a * b), a * a + d * d - b * b - c * c],
    ]
    affine[:3, :3] *= [zooms[1], zooms[2], zooms[3] * (-1 if zooms[0] < 0 else 1)]
    affine[:3, 3] = origin
    return affine


def is_invertible(affine: NDArray[np.float64]) -> bool:
    """Whether an affine [4, 4] gives every voxel a place of its own, within a kilometre."""
    if not (np.abs(affine) < 1e6).all():  # nor is NaN
        return False
    rank, volume = np.linalg.matrix_rank(affine[:3, :3]), np.linalg.det(affine[:3, :3])
    return bool(rank == 3 and abs(volume) > 1e-12)


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
