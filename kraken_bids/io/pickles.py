"""Reads the pickles inside published files without running anything that they contain.

:mod:`kraken_bids.io.unpickler` admits arrays and plain values alone; here are the
files around the pickles: both of torch's, and numpy's.
"""

import io
import pickle
import struct
import tokenize
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from kraken_bids.exceptions import CheckpointError
from kraken_bids.io.bounds import check_archive, check_plain, check_shape
from kraken_bids.io.stored_rows import read_npy_header
from kraken_bids.io.unpickler import STORAGES, ArrayUnpickler, Halves, RefusedError, check_storage

LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
LEGACY_PROTOCOL = 1001
BFLOAT16 = "BFloat16Storage"
BROKEN = (
    pickle.UnpicklingError, EOFError, OSError, ValueError, TypeError, KeyError, IndexError,
    AttributeError,
    MemoryError, OverflowError, ImportError, RecursionError, NotImplementedError, RuntimeError,
    struct.error, zlib.error, zipfile.BadZipFile, SyntaxError, tokenize.TokenError,
)  # fmt: skip
"""Everything that reading a file of another kind, or half a file, may raise."""


def read_torch_file(path: Path) -> Any:
    """Read what ``torch.save`` wrote (both formats), with numpy arrays in place of tensors.

    Raises
    ------
    CheckpointError
        If the file is of another kind, incomplete, or names code (which is not run).
    """
    with _explaining(path, "a checkpoint (as torch.save writes it)"):
        with path.open("rb") as file:
            is_zip = file.read(4) == b"PK\x03\x04"
            file.seek(0)
            n_bytes = path.stat().st_size
            loaded = _read_zip(file, n_bytes) if is_zip else _read_legacy(file, n_bytes)
        check_plain(loaded)
        return loaded


def read_object_array(
    path: Path, expected: str = "Krakencoder transforms (kraken_ioxfm_*.npy or .npz)"
) -> Any:
    """Read the object inside a ``.npy`` of dtype object, or in ``transform_params`` of a ``.npz``.

    Parameters
    ----------
    expected : str
        What it should be, for messages.

    Raises
    ------
    CheckpointError
        If the file is of another kind, incomplete, or names code (which is not run).
    """
    with _explaining(path, expected):
        loaded = _read_npz(path) if path.suffix == ".npz" else _read_npy_file(path)
        check_plain(loaded)
        return loaded


@contextmanager
def _explaining(path: Path, expected: str) -> Iterator[None]:
    """Turn what goes wrong while a file is read into an error that names it."""
    try:
        yield
    except RefusedError as error:
        raise CheckpointError(
            f"expected a file of numbers in {path}; found that it wants Python to load {error}, "
            "which a file of weights has no use for. It was refused and nothing of it was run. "
            "Do not trust this file; take it from its publisher again."
        ) from error
    except BROKEN as error:
        raise CheckpointError(
            f"expected {expected} in {path}; found another kind of file, or an incomplete one "
            f"({type(error).__name__}: {error}). Download or copy it again."
        ) from error


def _read_npz(path: Path) -> Any:
    with zipfile.ZipFile(path) as archive:
        check_archive(archive, path.stat().st_size)
        return _read_npy(io.BytesIO(archive.read("transform_params.npy")))


def _read_npy_file(path: Path) -> Any:
    with path.open("rb") as stream:
        return _read_npy(stream)


def _read_npy(stream: BinaryIO) -> Any:
    _, _, dtype = read_npy_header(stream)
    if not dtype.hasobject:
        raise ValueError(f"an array of {dtype} in place of a dictionary")
    loaded = ArrayUnpickler(stream).load()
    return loaded.item() if isinstance(loaded, np.ndarray) and loaded.size == 1 else loaded


def _read_zip(file: BinaryIO, n_bytes: int) -> Any:
    with zipfile.ZipFile(file) as archive:
        check_archive(archive, n_bytes)
        names = archive.namelist()
        pickles = [name for name in names if name.count("/") == 1 and name.endswith("/data.pkl")]
        if len(pickles) != 1:
            raise ValueError("a zip archive that torch.save did not write")
        folder = pickles[0].removesuffix("data.pkl")
        if f"{folder}byteorder" in names and archive.read(f"{folder}byteorder") != b"little":
            raise ValueError("a big-endian checkpoint")

        storages: dict[str, NDArray[Any]] = {}

        def load_storage(pid: tuple[Any, ...]) -> NDArray[Any]:
            kind, storage, key, _, _ = pid
            check_storage(kind, storage, key)
            if key not in storages:
                data = archive.read(f"{folder}data/{key}")
                storages[key] = as_storage(np.frombuffer(data, STORAGES[storage]), storage)
            return storages[key]

        return ArrayUnpickler(io.BytesIO(archive.read(pickles[0])), load_storage).load()


def _read_legacy(file: BinaryIO, file_size: int) -> Any:
    """Five pickles in a row (magic, protocol, system, object, keys), then the storages' bytes."""
    storages: dict[str, NDArray[Any]] = {}

    def load_storage(pid: tuple[Any, ...]) -> NDArray[Any]:
        kind, storage, key, _, n_values, view = pid
        check_storage(kind, storage, key)
        if view is not None:
            raise RefusedError("a storage that is a view of another")
        dtype = np.dtype(STORAGES[storage])
        check_shape([n_values], dtype.itemsize, file_size)
        if key not in storages:
            # filled below: the bytes come after the object that refers to them
            storages[key] = as_storage(np.zeros(int(n_values), dtype), storage)
            check_shape([sum(one.nbytes for one in storages.values())], 1, file_size)
        return storages[key]

    if (
        ArrayUnpickler(file).load() != LEGACY_MAGIC
        or ArrayUnpickler(file).load() != LEGACY_PROTOCOL
    ):
        raise ValueError("no torch checkpoint")
    if not ArrayUnpickler(file).load().get("little_endian", True):
        raise ValueError("a big-endian checkpoint")
    start = file.tell()
    loaded = ArrayUnpickler(file, load_storage).load()
    for key in ArrayUnpickler(file).load():
        (n_values,) = struct.unpack("<q", file.read(8))
        values = storages[key]
        data = file.read(values.nbytes)
        if n_values != values.size or len(data) != values.nbytes:
            raise EOFError("a storage is cut short")
        values[:] = np.frombuffer(data, values.dtype)
    if any(isinstance(values, Halves) for values in storages.values()):
        # they were made into floats before there was anything in them
        file.seek(start)
        loaded = ArrayUnpickler(file, load_storage).load()
    return loaded


def as_storage(values: NDArray[Any], kind: str) -> NDArray[Any]:
    """Numbers of a storage, marked where they are halves of floats."""
    return values.view(Halves) if kind == BFLOAT16 else values
