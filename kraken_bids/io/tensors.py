"""Named float32 arrays in one safetensors file: written one by one, mapped into memory."""

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

ALIGNMENT = 64
"""Where the arrays begin, in bytes: a cache line."""
ENTRY_BYTES = 160
"""What one array takes in the header, its name apart."""


def write_arrays(path: Path, arrays: Iterable[tuple[str, Array]], names: Iterable[str]) -> None:
    """Write arrays in the order they come; only one is in memory at a time.

    Parameters
    ----------
    path : Path
    arrays : iterable of (str, ndarray)
    names : iterable of str
        All their names, for the room that the header takes.

    Raises
    ------
    InputError
        If the disk is full or the folder cannot be written.

    Source: the safetensors format: the header's length in 8 bytes, the header as JSON (which may
    end with blanks), the arrays without gaps.
    """
    room = sum(len(name) + ENTRY_BYTES for name in names) + ALIGNMENT
    room = -(-room // ALIGNMENT) * ALIGNMENT - 8
    header: dict[str, Any] = {}
    end = 0
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        file.write(bytes(8 + room))
        for name, values in arrays:
            flat = np.ascontiguousarray(values, np.float32)
            file.write(flat.data)
            offsets = [end, end + flat.nbytes]
            header[name] = {"dtype": "F32", "shape": list(values.shape), "data_offsets": offsets}
            end += flat.nbytes
        file.seek(0)
        file.write(struct.pack("<Q", room) + json.dumps(header).encode().ljust(room))


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
