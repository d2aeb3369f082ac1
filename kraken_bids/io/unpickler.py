"""An unpickler that rebuilds arrays and plain values, and runs nothing.

A pickle names functions to call. Here each name is looked up in one short table of harmless
rebuilders of arrays; any other name ends the reading. No tensor is made by torch: storages become
numpy arrays, whose constructor checks that views stay inside their memory.
"""

import io
import math
import pickle
import struct
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, BinaryIO, ClassVar

import numpy as np
from numpy.typing import NDArray

from kraken_bids.io.bounds import check_shape

STORAGES = {
    "FloatStorage": "<f4", "DoubleStorage": "<f8", "HalfStorage": "<f2", "LongStorage": "<i8",
    "IntStorage": "<i4", "ShortStorage": "<i2", "CharStorage": "<i1", "ByteStorage": "<u1",
    "BoolStorage": "?", "BFloat16Storage": "<u2",
}  # fmt: skip
"""How numbers lie in torch's storages; numpy has no bfloat16, the upper half of a float."""
DTYPES = (
    "float16", "bfloat16", "float32", "float64", "uint8", "int8", "int16", "int32", "int64",
    "bool", "complex64", "complex128",
)  # fmt: skip


class RefusedError(Exception):
    """The pickle names something that an array file has no use for."""


class StorageType(str):
    """Name of a torch storage class, which is all that is needed of it."""

    __slots__ = ()


class TypeName(str):
    """Name of a type of numbers; a word, which cannot be called."""

    __slots__ = ()


class Halves(np.ndarray):
    """Storage of bfloat16 numbers, as the integers that they are in numpy."""


class _Measured:
    """A file that makes room for no more than is left of it."""

    def __init__(self, file: BinaryIO) -> None:
        start = file.tell()
        self._n_bytes = file.seek(0, io.SEEK_END)
        file.seek(start)
        self._file = file
        self.readline = file.readline

    def read(self, n_bytes: int = -1) -> bytes:
        """Read as asked, or not at all."""
        if n_bytes > self._n_bytes - self._file.tell():
            raise EOFError("a piece that is longer than the rest of the file")
        return self._file.read(n_bytes)


class ArrayUnpickler(pickle._Unpickler):
    """Admits the rebuilders of :data:`_ADMITTED` and nothing else.

    It is Python's own in Python: the one in C makes room for as many remembered objects as a
    pickle of ten bytes asks for. There are few objects beside the arrays' bytes, so it is as fast.
    """

    def __init__(self, file: BinaryIO, load_storage: Callable[[Any], Any] | None = None) -> None:
        super().__init__(_Measured(file), encoding="latin1")
        self._load_storage = load_storage

    def find_class(self, module: str, name: str) -> Any:
        """Look a name up in the table; nothing is imported."""
        if module in {"torch", "torch.storage"} and name in STORAGES:
            return StorageType(name)
        try:
            return _ADMITTED[module, name]
        except KeyError:
            raise RefusedError(f"{module}.{name}") from None

    def load_bytearray8(self) -> None:
        """Take as many bytes as there are; Python makes room for as many as are announced."""
        (n_bytes,) = struct.unpack("<Q", self.read(8))  # type: ignore[attr-defined]
        self.append(bytearray(self.read(n_bytes)))  # type: ignore[attr-defined]

    def persistent_load(self, pid: Any) -> Any:
        """Numbers that lie beside the pickle."""
        if self._load_storage is None:
            raise RefusedError("a persistent id")
        return self._load_storage(pid)

    def load_build(self) -> None:
        """Give an array its state; a function or class of the table would keep it for good."""
        if not isinstance(self.stack[-2], _Array | _DType | _State):  # type: ignore[attr-defined]
            raise RefusedError("the attributes of something that is no array")
        super().load_build()  # type: ignore[misc]

    dispatch: ClassVar[dict[int, Callable[..., None]]] = {
        **pickle._Unpickler.dispatch,
        pickle.BUILD[0]: load_build,
        pickle.BYTEARRAY8[0]: load_bytearray8,
    }


def check_storage(kind: object, storage: object, key: object) -> None:
    """Raise RefusedError unless a persistent id means numbers that are kept under a name."""
    if kind != "storage" or not isinstance(storage, StorageType) or not isinstance(key, str):
        raise RefusedError("a storage of another kind than torch's own of numbers")


def _rebuild_tensor(
    storage: NDArray[Any], offset: int, size: tuple[int, ...], stride: tuple[int, ...], *_: Any
) -> NDArray[Any]:
    if not isinstance(storage, np.ndarray):
        raise RefusedError("a tensor without storage")
    check_shape(size, storage.itemsize, storage.nbytes)
    strides = tuple(int(step) * storage.itemsize for step in stride)
    view: NDArray[Any] = np.ndarray(
        tuple(size), storage.dtype, storage.data, int(offset) * storage.itemsize, strides
    )
    return _widen(view) if isinstance(storage, Halves) else view


def _widen(halves: NDArray[np.uint16]) -> NDArray[np.float32]:
    """Make floats of bfloat16 numbers, which lack their lower half."""
    return (halves.astype("<u4") << 16).view("<f4")


def _rebuild_parameter(data: Any, *_: Any) -> Any:
    return data


class _DType:
    """Stands for a numpy dtype, because numpy's own unpickling trusts the flags it is given."""

    def __init__(self, code: object, *_: Any) -> None:
        if not isinstance(code, str):
            raise RefusedError("an array of records")
        self.dtype = np.dtype(code)
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


def _rebuild_buffer(
    data: object, kind: _DType, shape: tuple[int, ...], *layout: Any
) -> NDArray[Any]:
    """Make an array of bytes that lie in the pickle, as protocol 5 writes it."""
    if not isinstance(data, bytes | bytearray) or kind.dtype.hasobject:
        raise RefusedError("an array of something else than numbers in the file")
    lengths = [int(n) for n in shape]
    check_shape(lengths, kind.dtype.itemsize, len(data))
    if math.prod(lengths) * kind.dtype.itemsize != len(data):
        raise ValueError("an array whose data do not fit its shape")
    order, axes = (*layout, None, None)[:2]
    values = np.frombuffer(data, kind.dtype).reshape(lengths, order="F" if order == "F" else "C")
    values = values.astype(kind.dtype.newbyteorder("="), copy=False)
    return values if axes is None else values.transpose([int(axis) for axis in axes])


def _name_device(kind: object, index: object = None) -> str:
    """Name the device that numbers lay on, which is of no more use."""
    if not isinstance(kind, str) or not isinstance(index, int | None):
        raise RefusedError("a device without a name")
    return kind if index is None else f"{kind}:{index}"


def _rebuild_scalar(kind: _DType, data: Any = b"") -> Any:
    if kind.dtype.hasobject:
        raise RefusedError("a scalar of objects")
    data = data.encode("latin1") if isinstance(data, str) else data
    return np.frombuffer(data, kind.dtype, count=1)[0]


class _State(OrderedDict[Any, Any]):
    """A dictionary in an order, without the attributes that a pickle may hang onto one."""

    def __setstate__(self, state: object) -> None:
        """Pass over the attributes; torch keeps versions of its modules there."""


def _rebuild_raw(data: object = b"", encoding: str = "latin1") -> bytes:
    """Bytes of bytes or text; a number would be a length to make room for."""
    if isinstance(data, str):
        return _rebuild_bytes(data, encoding)
    if not isinstance(data, bytes):
        raise RefusedError("bytes that are not in the file")
    return data


def _rebuild_bytes(text: str, encoding: str = "latin1") -> bytes:
    if encoding not in {"latin1", "latin-1"}:
        raise RefusedError(f"the codec {encoding}")
    return text.encode("latin1")


_ADMITTED: dict[tuple[str, str], Any] = {
    ("collections", "OrderedDict"): _State,
    ("_codecs", "encode"): _rebuild_bytes,
    ("torch._utils", "_rebuild_tensor_v2"): _rebuild_tensor,
    ("torch._utils", "_rebuild_parameter"): _rebuild_parameter,
    ("torch", "Size"): tuple,
    ("torch", "device"): _name_device,
    ("numpy", "ndarray"): "ndarray",  # named as an argument only: called, it would make room
    ("numpy", "dtype"): _DType,
}
for _package in ("numpy.core", "numpy._core"):
    _ADMITTED[f"{_package}.multiarray", "_reconstruct"] = _rebuild_array
    _ADMITTED[f"{_package}.multiarray", "scalar"] = _rebuild_scalar
    _ADMITTED[f"{_package}.numeric", "_frombuffer"] = _rebuild_buffer
for _dtype in DTYPES:
    _ADMITTED["torch", _dtype] = TypeName(f"torch.{_dtype}")
for _scalar in (
    "float16",
    "float32",
    "float64",
    "int8",
    "int16",
    "int32",
    "int64",
    "uint8",
    "bool_",
):
    _ADMITTED["numpy", _scalar] = TypeName(_scalar)
for _module in ("builtins", "__builtin__"):
    for _builtin in (set, frozenset, complex):
        _ADMITTED[_module, _builtin.__name__] = _builtin
    for _raw in ("bytes", "bytearray"):
        _ADMITTED[_module, _raw] = _rebuild_raw
