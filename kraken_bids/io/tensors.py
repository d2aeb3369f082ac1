"""Named float32 arrays in one safetensors file, mapped into memory where they are read."""

import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from kraken_bids.exceptions import CheckpointError
from kraken_bids.io.files import atomic_path
from kraken_bids.io.texts import parse_json

Array = NDArray[np.float32]


def write_arrays(path: Path, arrays: Mapping[str, Array]) -> None:
    """Write arrays as float32; while they are written, they take their memory twice.

    Raises
    ------
    InputError
        If the disk is full or the folder cannot be written.
    """
    # safetensors writes the memory of an array as it lies, transposed ones too
    rows = {name: np.ascontiguousarray(values, np.float32) for name, values in arrays.items()}
    with atomic_path(path) as temporary:
        try:
            save_file(rows, temporary)
        except SafetensorError as error:
            raise OSError(str(error)) from error  # how it tells of a full disk


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
