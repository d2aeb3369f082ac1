"""Reads the pickles inside published files without running anything that they contain.

A pickle names functions to call. Here each name is looked up in one short table of harmless
rebuilders of arrays; any other name ends the reading. No tensor is made by torch: storages become
numpy arrays, whose constructor checks that views stay inside their memory.
"""

import io
import math
import pickle
import struct
import zipfile
import zlib
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from kraken_bids.exceptions import CheckpointError

LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
LEGACY_PROTOCOL = 1001
STORAGES = {
    "FloatStorage": "<f4", "DoubleStorage": "<f8", "HalfStorage": "<f2", "LongStorage": "<i8",
    "IntStorage": "<i4", "ShortStorage": "<i2", "CharStorage": "<i1", "ByteStorage": "<u1",
    "BoolStorage": "?",
}  # fmt: skip
BROKEN = (
    pickle.UnpicklingError, EOFError, OSError, ValueError, TypeError, KeyError, IndexError,
    AttributeError,
    MemoryError, OverflowError, ImportError, RecursionError, NotImplementedError, RuntimeError,
    struct.error, zlib.error, zipfile.BadZipFile,
)  # fmt: skip
"""Everything that reading a file of another kind, or half a file, may raise."""


class RefusedError(Exception):
    """The pickle names something that an array file has no use for."""


class StorageType(str):
    """Name of a torch storage class, which is all that is needed of it."""

    __slots__ = ()


def read_torch_file(path: Path) -> Any:
    """Read what ``torch.save`` wrote (both formats), with numpy arrays in place of tensors.

    Raises
    ------
    CheckpointError
        If the file is of another kind, incomplete, or names code (which is not run).
    """
    try:
        with path.open("rb") as file:
            is_zip = file.read(4) == b"PK\x03\x04"
            file.seek(0)
            return _read_zip(file) if is_zip else _read_legacy(file, path.stat().st_size)
    except RefusedError as error:
        raise CheckpointError(_refusal(path, str(error))) from error
    except BROKEN as error:
        raise CheckpointError(
            f"expected a Krakencoder checkpoint (.pt, as torch.save writes it) in {path}; found "
            f"another kind of file, or an incomplete one ({type(error).__name__}: {error}). "
            "Download or copy it again."
        ) from error


def read_object_array(path: Path) -> Any:
    """Read the object inside a ``.npy`` of dtype object, or in ``transform_params`` of a ``.npz``.

    Raises
    ------
    CheckpointError
        If the file is of another kind, incomplete, or names code (which is not run).
    """
    try:
        if path.suffix == ".npz":
            with zipfile.ZipFile(path) as archive:
                stream: BinaryIO = io.BytesIO(archive.read("transform_params.npy"))
                return _read_npy(stream)
        with path.open("rb") as stream:
            return _read_npy(stream)
    except RefusedError as error:
        raise CheckpointError(_refusal(path, str(error))) from error
    except BROKEN as error:
        raise CheckpointError(
            f"expected Krakencoder transforms (kraken_ioxfm_*.npy or .npz) in {path}; found "
            f"another kind of file, or an incomplete one ({type(error).__name__}: {error}). "
            "Download or copy it again."
        ) from error


class _ArrayUnpickler(pickle.Unpickler):
    """Admits the rebuilders of :data:`_ADMITTED` and nothing else."""

    def __init__(self, file: BinaryIO, load_storage: Callable[[Any], Any] | None = None) -> None:
        super().__init__(file, encoding="latin1")
        self._load_storage = load_storage

    def find_class(self, module: str, name: str) -> Any:
        if module in {"torch", "torch.storage"} and name in STORAGES:
            return StorageType(name)
        try:
            return _ADMITTED[module, name]
        except KeyError:
            raise RefusedError(f"{module}.{name}") from None

    def persistent_load(self, pid: Any) -> Any:
        if self._load_storage is None:
            raise RefusedError("a persistent id")
        return self._load_storage(pid)


def _read_npy(stream: BinaryIO) -> Any:
    version = np.lib.format.read_magic(stream)
    read_header = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }[version]
    _, _, dtype = read_header(stream)
    if not dtype.hasobject:
        raise ValueError(f"an array of {dtype} in place of a dictionary")
    loaded = _ArrayUnpickler(stream).load()
    return loaded.item() if isinstance(loaded, np.ndarray) and loaded.size == 1 else loaded


def _read_zip(file: BinaryIO) -> Any:
    with zipfile.ZipFile(file) as archive:
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
            if kind != "storage" or not isinstance(storage, StorageType):
                raise RefusedError(f"a storage of kind {kind!r}")
            if key not in storages:
                data = archive.read(f"{folder}data/{key}")
                storages[key] = np.frombuffer(data, np.dtype(STORAGES[storage]))
            return storages[key]

        return _ArrayUnpickler(io.BytesIO(archive.read(pickles[0])), load_storage).load()


def _read_legacy(file: BinaryIO, file_size: int) -> Any:
    """Five pickles in a row (magic, protocol, system, object, keys), then the storages' bytes."""
    storages: dict[str, NDArray[Any]] = {}

    def load_storage(pid: tuple[Any, ...]) -> NDArray[Any]:
        kind, storage, key, _, n_values, view = pid
        if kind != "storage" or not isinstance(storage, StorageType) or view is not None:
            raise RefusedError(f"a storage of kind {kind!r}")
        dtype = np.dtype(STORAGES[storage])
        if int(n_values) * dtype.itemsize > file_size:
            raise ValueError("a storage larger than the file")
        # filled below: the bytes come after the object that refers to them
        return storages.setdefault(str(key), np.zeros(int(n_values), dtype))

    if (
        _ArrayUnpickler(file).load() != LEGACY_MAGIC
        or _ArrayUnpickler(file).load() != LEGACY_PROTOCOL
    ):
        raise ValueError("no torch checkpoint")
    if not _ArrayUnpickler(file).load().get("little_endian", True):
        raise ValueError("a big-endian checkpoint")
    loaded = _ArrayUnpickler(file, load_storage).load()
    for key in _ArrayUnpickler(file).load():
        (n_values,) = struct.unpack("<q", file.read(8))
        values = storages[str(key)]
        data = file.read(values.nbytes)
        if n_values != values.size or len(data) != values.nbytes:
            raise EOFError("a storage is cut short")
        values[:] = np.frombuffer(data, values.dtype)
    return loaded


def _rebuild_tensor(
    storage: NDArray[Any], offset: int, size: tuple[int, ...], stride: tuple[int, ...], *_: Any
) -> NDArray[Any]:
    if not isinstance(storage, np.ndarray):
        raise RefusedError("a tensor without storage")
    strides = tuple(int(step) * storage.itemsize for step in stride)
    return np.ndarray(
        tuple(size), storage.dtype, storage.data, int(offset) * storage.itemsize, strides
    )


def _rebuild_parameter(data: Any, *_: Any) -> Any:
    return data


class _DType:
    """Stands for a numpy dtype, because numpy's own unpickling trusts the flags it is given."""

    def __init__(self, code: str, *_: Any) -> None:
        self.dtype = np.dtype(str(code))
        if self.dtype.kind not in "biufcSUO":
            raise RefusedError(f"an array of dtype {code}")

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        if any(part is not None for part in state[2:5]):
            raise RefusedError("an array of records")
        if state[1] == ">":
            self.dtype = self.dtype.newbyteorder(">")


class _Array(np.ndarray):
    """A numpy array that checks its pickled state against its shape."""

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _, shape, kind, is_fortran, data = state
        dtype, n_values = kind.dtype, math.prod(int(n) for n in shape)
        data = data.encode("latin1") if isinstance(data, str) else data
        if dtype.hasobject:
            is_sound = isinstance(data, list) and len(data) == n_values
        else:
            is_sound = isinstance(data, bytes) and len(data) == n_values * dtype.itemsize
        if not is_sound or min(shape, default=0) < 0:
            raise ValueError("an array whose data do not fit its shape")
        # numpy takes a plain bool here, whatever its stubs say
        super().__setstate__((1, tuple(shape), dtype, bool(is_fortran), data))  # type: ignore[arg-type]


def _rebuild_array(*_: Any) -> _Array:
    """Make an empty array; the state that follows in the pickle fills it."""
    return np.empty(0).view(_Array)


def _rebuild_scalar(kind: _DType, data: Any = b"") -> Any:
    if kind.dtype.hasobject:
        raise RefusedError("a scalar of objects")
    data = data.encode("latin1") if isinstance(data, str) else data
    return np.frombuffer(data, kind.dtype, count=1)[0]


def _rebuild_bytes(text: str, encoding: str = "latin1") -> bytes:
    if encoding not in {"latin1", "latin-1"}:
        raise RefusedError(f"the codec {encoding}")
    return text.encode("latin1")


_ADMITTED: dict[tuple[str, str], Any] = {
    ("collections", "OrderedDict"): OrderedDict,
    ("_codecs", "encode"): _rebuild_bytes,
    ("torch._utils", "_rebuild_tensor_v2"): _rebuild_tensor,
    ("torch._utils", "_rebuild_parameter"): _rebuild_parameter,
    ("torch", "Size"): tuple,
    ("numpy", "ndarray"): _Array,
    ("numpy", "dtype"): _DType,
}
for _package in ("numpy.core", "numpy._core"):
    _ADMITTED[f"{_package}.multiarray", "_reconstruct"] = _rebuild_array
    _ADMITTED[f"{_package}.multiarray", "scalar"] = _rebuild_scalar
for _module in ("builtins", "__builtin__"):
    for _builtin in (
        set,
        frozenset,
        list,
        dict,
        tuple,
        int,
        float,
        complex,
        bool,
        str,
        bytes,
        bytearray,
    ):
        _ADMITTED[_module, _builtin.__name__] = _builtin


def _refusal(path: Path, what: str) -> str:
    return (
        f"expected a file of numbers in {path}; found that it wants Python to load {what}, "
        "which a Krakencoder file has no use for. It was refused and nothing of it was run. Do "
        "not trust this file; take it from its publisher again."
    )
