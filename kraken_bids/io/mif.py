"""Images of MRtrix (.mif, .mif.gz), and the header that its tracks share with them."""

import re
from collections.abc import Mapping
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from kraken_bids.io.image_values import ImageHeader

MAGIC = b"mrtrix image"
MAX_AXES = 16
DATATYPE = re.compile(r"(?!Float8)(U?Int|Float)(8|16|32|64)(LE|BE)?")
KINDS = {"Int": "i", "UInt": "u", "Float": "f"}


def read_mif_header(stream: BinaryIO) -> ImageHeader:
    """Header of an MRtrix image.

    Parameters
    ----------
    stream : binary stream
        At the beginning of the file, unpacked; left behind the header.

    Returns
    -------
    ImageHeader
        Axes in the order of the header, each running as its transform says.

    Raises
    ------
    ValueError, EOFError
        If it is another kind of file, incomplete, of complex numbers, or its values lie in
        another file.

    Source
    ------
    https://mrtrix.readthedocs.io/en/3.0.3/getting_started/image_data.html: ``layout`` holds the
    rank of each axis in memory, ``-`` where it runs backwards; ``vox`` and ``transform`` are those
    of the axes as listed; bits are packed from the highest on.
    """
    header = read_mrtrix_header(stream, MAGIC)
    shape = tuple(int(n) for n in _first(header, "dim").split(","))
    layout = [word.strip() for word in _first(header, "layout").split(",")]
    ranks = [int(word.lstrip("+-")) for word in layout]
    if not 3 <= len(shape) <= MAX_AXES or sorted(ranks) != list(range(len(shape))):
        raise ValueError(f"a layout {layout} of dimensions {shape}")
    stored = [shape[axis] for axis in np.argsort(ranks)]
    forwards = tuple(slice(None, None, -1 if w[0] == "-" else 1) for w in layout)

    def arrange(values: NDArray[Any]) -> NDArray[Any]:
        return values.reshape(stored, order="F").transpose(ranks)[forwards]

    code = _first(header, "datatype")
    inter, slope = _numbers(header.get("scaling", ["0,1"])[0])
    sizes = _numbers(_first(header, "vox"))
    return ImageHeader(
        shape=shape,
        dtype=_parse_dtype(code),
        offset=_parse_offset(_first(header, "file"), stream.tell()),
        slope=float(slope),
        inter=float(inter),
        affine=_find_affine(header, sizes[:3]),
        zooms=tuple(sizes),
        is_bits=code == "Bit",
        arrange=arrange,
    )


def _first(header: Mapping[str, list[str]], key: str) -> str:
    if key not in header:
        raise ValueError(f"its header has no `{key}`")
    return header[key][0]


def _numbers(text: str) -> NDArray[np.float64]:
    return np.array([float(word) for word in text.split(",")])


def _parse_dtype(code: str) -> np.dtype[Any]:
    match = DATATYPE.fullmatch("UInt8" if code == "Bit" else code)
    if match is None:
        raise ValueError(f"values of type {code!r}")
    kind, n_bits, order = match.groups()
    return np.dtype(f"{'>' if order == 'BE' else '<'}{KINDS[kind]}{int(n_bits) // 8}")


def _parse_offset(file: str, n_header: int) -> int:
    name, _, place = file.rpartition(" ")
    if name.strip() not in {"", "."}:
        raise ValueError(f"its values lie in another file, {name.strip()!r}")
    offset = int(place)
    if offset < n_header:
        raise ValueError(f"its values begin at byte {offset}, in its header")
    return offset


def _find_affine(
    header: Mapping[str, list[str]], sizes: NDArray[np.float64]
) -> NDArray[np.float64]:
    _first(header, "transform")
    affine = np.eye(4)
    affine[:3] = np.array([_numbers(row) for row in header["transform"][:3]]) * [*sizes, 1.0]
    return affine


MAX_HEADER_BYTES = 1 << 22


def read_mrtrix_header(stream: BinaryIO, magic: bytes) -> dict[str, list[str]]:
    """Keys of a header and their values, in order.

    Parameters
    ----------
    stream : binary stream
        At the beginning of the file, unpacked; left behind the header.
    magic : bytes
        How the first line begins.

    Raises
    ------
    ValueError
        If it is another kind of file.
    EOFError
        If the header does not end, or not within 4 MB.
    """
    if not stream.readline(1024).startswith(magic):
        raise ValueError(f"it does not begin with `{magic.decode()}`")
    header: dict[str, list[str]] = {}
    left = MAX_HEADER_BYTES
    while line := stream.readline(left):
        left -= len(line)
        key, colon, value = line.decode("utf-8", "replace").strip().partition(":")
        if key == "END":
            return header
        if colon:
            header.setdefault(key.strip(), []).append(value.strip())
    raise EOFError("its header has no END")
