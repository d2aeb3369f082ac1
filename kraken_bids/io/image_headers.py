"""Headers of images of any format, checked before room is made for what they declare."""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from kraken_bids.exceptions import InputError
from kraken_bids.io.bounds import FREE_BYTES
from kraken_bids.io.byte_streams import damage_errors, fill, open_stream, read_first
from kraken_bids.io.files import explain_absence
from kraken_bids.io.image_values import ImageHeader, check_place, is_invertible
from kraken_bids.io.mif import read_mif_header
from kraken_bids.io.nifti import NIFTI2_BYTES, parse_header

BLOCK_VALUES = 1 << 20
MAX_AXIS = 4096
"""Voxels along an axis; images of whole brains in living subjects have up to 1,000."""
MAX_VOXELS = 150_000_000
"""Voxels of one volume, 600 MB as labels: 480 x 576 x 480 (7 T, 0.5 mm) are 133 million."""
VOXELS_PER_BYTE = 6
"""Voxels per byte of the file where there are more: of 0.25 mm, T1w images have 2 or fewer."""


def read_header(stream: BinaryIO, path: Path) -> ImageHeader:
    """Header of an image, checked before room is made for its values.

    The stream stands at the beginning of the file, unpacked, whose name tells the format.

    Raises
    ------
    ValueError, EOFError
        If it is no image, or one that cannot be: larger than its file allows, or with an affine
        that gives its voxels no place.
    """
    name = path.name.lower()
    with np.errstate(all="ignore"):
        if name.endswith((".mif", ".mif.gz")):
            header = read_mif_header(stream)
        else:
            content, is_mgh = read_first(stream, NIFTI2_BYTES), name.endswith((".mgh", ".mgz"))
            header = parse_header(content, is_mgh=is_mgh)
        _check_header(header, path.stat().st_size)
    return header


def read_geometry(path: Path) -> ImageHeader:
    """Header of an image whose values are not read.

    Raises
    ------
    InputError
        If it is missing, no image, or without a place.
    """
    try:
        with open_stream(path) as stream:
            header = read_header(stream, path)
    except damage_errors() as error:
        raise InputError(
            f"expected an image at {path}; reading its header gave: {error}. "
            f"{explain_absence(path) or 'Copy the file again.'}"
        ) from error
    check_place(header, path)
    return header


def _check_header(header: ImageHeader, n_stored: int) -> None:
    shape, n_voxels = header.shape, math.prod(header.shape[:3])
    if min(shape) < 1 or max(shape[:3]) > MAX_AXIS:
        raise ValueError(f"axes of {list(shape)} voxels")
    if n_voxels > max(MAX_VOXELS, VOXELS_PER_BYTE * n_stored):
        raise ValueError(
            f"a declared shape {list(shape)}, {n_voxels:,} voxels, in a file of {n_stored:,} bytes"
        )
    if header.offset > FREE_BYTES:
        raise ValueError(f"values that begin at byte {header.offset:,}")
    if not is_invertible(header.affine):
        raise ValueError(f"an affine {header.affine[:3].tolist()}, which gives voxels no place")


def read_values(stream: BinaryIO, header: ImageHeader) -> Iterator[NDArray[Any]]:
    """Values of an image in the order of the file, unscaled, block by block.

    Yields
    ------
    ndarray of shape (n,)
        In the stored type; overwritten when the next block is asked for.

    Raises
    ------
    EOFError
        If the file ends before.
    """
    stream.seek(header.offset)
    n_values = math.prod(header.shape)
    n_items = -(-n_values // 8) if header.is_bits else n_values
    buffer = np.empty(min(n_items, BLOCK_VALUES), header.dtype)
    for first in range(0, n_items, BLOCK_VALUES):
        block = buffer[: n_items - first]
        fill(stream, block)
        yield np.unpackbits(block)[: n_values - 8 * first] if header.is_bits else block
