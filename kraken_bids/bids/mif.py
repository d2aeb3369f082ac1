"""Images of MRtrix (.mif, .mif.gz), such as the node images that labelconvert writes."""

import math
import re
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from kraken_bids.bids.image_values import ImageValues
from kraken_bids.bids.nifti import is_invertible
from kraken_bids.bounds import check_shape

MAGIC = b"mrtrix image"
MAX_HEADER_BYTES = 1 << 24
MAX_AXES = 16
DATATYPE = re.compile(r"(U?Int|Float)(8|16|32|64)(LE|BE)?")
KINDS = {"Int": "i", "UInt": "u", "Float": "f"}


def parse_mif(content: bytes) -> ImageValues:
    """Image in the bytes of an MRtrix file.

    Parameters
    ----------
    content : bytes
        The whole file, unpacked.

    Returns
    -------
    ImageValues
        Axes in the order of the header, each running as its transform says.

    Raises
    ------
    ValueError
        If it is another kind of file, incomplete, of complex numbers, or its values lie in
        another file.

    Source
    ------
    https://mrtrix.readthedocs.io/en/3.0.3/getting_started/image_data.html: ``layout`` holds the
    rank of each axis in memory, ``-`` where it runs backwards; ``vox`` and ``transform`` are those
    of the axes as listed; bits are packed from the highest on.
    """
    header = _parse_header(content)
    shape = [int(n) for n in _first(header, "dim").split(",")]
    layout = [word.strip() for word in _first(header, "layout").split(",")]
    ranks = [int(word.lstrip("+-")) for word in layout]
    if not 3 <= len(shape) <= MAX_AXES or sorted(ranks) != list(range(len(shape))):
        raise ValueError(f"a layout {layout} of dimensions {shape}")
    order = np.argsort(ranks)
    stored = _read_stored(header, content, [shape[axis] for axis in order])
    values = stored.transpose(ranks)
    values = values[tuple(slice(None, None, -1 if w[0] == "-" else 1) for w in layout)]
    inter, slope = _numbers(header.get("scaling", ["0,1"])[0])
    is_scaled = (inter, slope) != (0.0, 1.0)
    sizes = _numbers(_first(header, "vox"))[:3]
    return ImageValues(
        values=slope * values + inter if is_scaled else values,
        affine=_find_affine(header, sizes),
        sizes=sizes,
        step=abs(slope) if is_scaled and stored.dtype.kind in "iu" else 0.0,
    )


def _parse_header(content: bytes) -> Mapping[str, list[str]]:
    if not content.startswith(MAGIC):
        raise ValueError("it does not begin with `mrtrix image`")
    end = content.find(b"\nEND\n", 0, MAX_HEADER_BYTES)
    if end < 0:
        raise ValueError("its header has no END")
    header: dict[str, list[str]] = {}
    for line in content[:end].decode("utf-8", "replace").splitlines()[1:]:
        key, _, value = line.partition(":")
        header.setdefault(key.strip(), []).append(value.strip())
    return header


def _first(header: Mapping[str, list[str]], key: str) -> str:
    if key not in header:
        raise ValueError(f"its header has no `{key}`")
    return header[key][0]


def _numbers(text: str) -> NDArray[np.float64]:
    return np.array([float(word) for word in text.split(",")])


def _read_stored(
    header: Mapping[str, list[str]], content: bytes, shape: Sequence[int]
) -> NDArray[np.generic]:
    """Values as they lie in memory, the fastest axis first."""
    name, _, place = _first(header, "file").rpartition(" ")
    if name.strip() not in {"", "."}:
        raise ValueError(f"its values lie in another file, {name.strip()!r}")
    offset = int(place)
    if not 0 <= offset <= len(content):
        raise ValueError(f"its values begin at byte {offset} of {len(content)}")
    n_values = math.prod(shape)
    code = _first(header, "datatype")
    if code == "Bit":
        check_shape(shape, 1, 8 * (len(content) - offset))
        bits = np.unpackbits(np.frombuffer(content, np.uint8, -(-n_values // 8), offset))
        return bits[:n_values].reshape(shape, order="F")
    match = DATATYPE.fullmatch(code)
    if match is None:
        raise ValueError(f"values of type {code!r}")
    kind, n_bits, order = match.groups()
    dtype = np.dtype(f"{'>' if order == 'BE' else '<'}{KINDS[kind]}{int(n_bits) // 8}")
    check_shape(shape, dtype.itemsize, len(content) - offset)
    return np.frombuffer(content, dtype, n_values, offset).reshape(shape, order="F")


def _find_affine(
    header: Mapping[str, list[str]], sizes: NDArray[np.float64]
) -> NDArray[np.float64]:
    _first(header, "transform")
    affine = np.eye(4)
    affine[:3] = np.array([_numbers(row) for row in header["transform"][:3]]) * [*sizes, 1.0]
    if not is_invertible(affine):
        raise ValueError(f"an affine {affine[:3].tolist()}, which gives voxels no place")
    return affine
