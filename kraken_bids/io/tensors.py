"""Named float32 arrays in one safetensors file, mapped into memory where they are read."""

import json
import struct
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from kraken_bids.exceptions import CheckpointError
from kraken_bids.io.files import atomic_path
from kraken_bids.io.texts import parse_json

Array = NDArray[np.float32]


def write_arrays(path: Path, arrays: Mapping[str, Array]) -> None:
    """Write arrays as float32.

    Raises
    ------
    InputError
        If the disk is full or the folder cannot be written.
    """
    shapes = {name: np.shape(values) or (1,) for name, values in arrays.items()}
    write_array_stream(path, shapes, arrays.values())


def write_array_stream(
    path: Path, shapes: Mapping[str, tuple[int, ...]], arrays: Iterable[Array]
) -> None:
    """Write arrays as float32 that are made one after the other, and never in memory together.

    The library writes a whole file from a copy in memory, which for a model of large matrices is
    more than everything else that training needs.

    Parameters
    ----------
    shapes : mapping of str to tuple of int
        Names and shapes, in the order of the arrays.
    arrays : iterable of ndarray

    Raises
    ------
    InputError
        If the disk is full or the folder cannot be written.
    """
    header, start = {}, 0
    for name, shape in shapes.items():
        stop = start + 4 * int(np.prod(shape))
        header[name] = {"dtype": "F32", "shape": list(shape), "data_offsets": [start, stop]}
        start = stop
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for shape, values in zip(shapes.values(), arrays, strict=True):
            rows = np.ascontiguousarray(values, "<f4")  # a transposed one lies otherwise
            assert rows.shape == shape
            if rows.size:
                file.write(rows.data)


def read_arrays(path: Path) -> dict[str, Array]:
    """Arrays of a safetensors file, mapped from disk so that only what is used takes memory.

    Raises
    ------
    CheckpointError
        If it is missing, incomplete, or of another kind.
    """
    try:
        path.open("rb").close()  # says why it cannot be read, which safe_open does not
        with safe_open(path, framework="numpy"):
            pass  # checks the header, and that the file is as long as it says
        with path.open("rb") as file:
            (n_header,) = struct.unpack("<Q", file.read(8))
            header = parse_json(file.read(n_header))
        buffer = np.memmap(path, np.uint8, mode="r")
    except (SafetensorError, OSError, ValueError) as error:
        raise CheckpointError(
            f"expected the model's weights in {path}; found: {error}. The file is missing, "
            "not readable for this user, incomplete or of another kind: mend its permissions, or "
            "copy or make the model again."
        ) from error
    return {
        name: _view(buffer, 8 + n_header, entry)
        for name, entry in header.items()
        if name != "__metadata__"
    }


def _view(buffer: NDArray[np.uint8], start: int, entry: Mapping[str, Any]) -> Array:
    if entry["dtype"] != "F32":
        raise CheckpointError(
            f"expected float32 weights; found {entry['dtype']}. Make the model again."
        )
    first, last = entry["data_offsets"]
    values = buffer[start + first : start + last].view(np.float32).reshape(entry["shape"])
    return np.asarray(values)
