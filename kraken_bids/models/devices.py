"""Where a model computes: numpy on a CPU, torch on a GPU.

What computes is written by the names that both libraries have (``xp.tanh``, ``@`` …), so one text
serves both; torch, whose import takes a second, is not needed on a CPU.

A CPU makes several multiplications at once, each on one thread, so that their number changes no
bit: one that is itself spread over threads is cut differently for each number of them, and rounds
differently. Waiting threads here also sleep, where those of a BLAS may spin.
"""

import ctypes
import os
import re
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import ThreadpoolController

from kraken_bids.exceptions import SettingsError
from kraken_bids.shared_work import share_parts

Array = NDArray[np.float32]
Values: TypeAlias = Any
"""An array of either library."""

Part = TypeVar("Part")
Result = TypeVar("Result")

_IS_LIMITED = ContextVar("_IS_LIMITED", default=False)
"""Whether a caller, in this thread or the one that started it, holds numpy to one thread."""

_PRECISE: list[bool] = []
"""Whether TF32 was allowed before, of each :func:`full_precision` that is open."""
_PRECISION_LOCK = threading.Lock()

DRIVERS = ("libcuda.so.1", "nvcuda.dll")
AMD_DRIVER = Path("/dev/kfd")


@dataclass(frozen=True)
class Device:
    """Where numbers are, and the library that computes there."""

    name: str
    """``cpu``, ``cuda`` or ``cuda:N``."""
    library: Literal["numpy", "torch"]
    """``torch`` is driven as on a GPU: large batches, as its memory allows."""

    def __str__(self) -> str:
        return self.name

    @property
    def is_gpu(self) -> bool:
        """Whether batches are as large as memory allows, and bits may depend on them."""
        return self.library == "torch"

    @property
    def xp(self) -> Any:
        """The library's module."""
        if self.library == "numpy":
            return np
        import torch

        return torch

    def place(self, values: NDArray[Any]) -> Values:
        """Array on this device, of the type it has; without a copy on a CPU."""
        if self.library == "numpy":
            return values
        # torch refuses to share memory that may not be written, such as a mapped file's
        is_shared = values.flags.writeable and values.flags.c_contiguous
        return self.xp.asarray(values if is_shared else values.copy(), device=self.name)

    def empty(self, *shape: int) -> Values:
        """Float32 array to be filled."""
        if self.library == "numpy":
            return np.empty(shape, np.float32)
        return self.xp.empty(shape, dtype=self.xp.float32, device=self.name)

    def zeros(self, *shape: int) -> Values:
        """Float32 array of zeros."""
        values = self.empty(*shape)
        values[:] = 0.0
        return values

    def count_free_bytes(self) -> int:
        """Memory of a GPU that nobody uses."""
        free, _ = self.xp.cuda.mem_get_info(self.name)
        return int(free)


CPU = Device("cpu", "numpy")


def namespace(values: Values) -> Any:
    """Give the module of the library that an array is of."""
    if isinstance(values, np.ndarray):
        return np
    import torch

    return torch


def widen(values: Values) -> Values:
    """Array in float64."""
    xp = namespace(values)
    return xp.asarray(values, dtype=xp.float64)


def to_numpy(values: Values) -> Array:
    """Array of any device as one of numpy, float32."""
    return np.asarray(to_host(values), np.float32)


def to_host(values: Values) -> NDArray[Any]:
    """Array of any device as one of numpy, of the type it has."""
    return values if isinstance(values, np.ndarray) else np.asarray(values.detach().cpu())


def resolve_device(name: str) -> Device:
    """Device of ``auto``, ``cpu``, ``cuda`` or ``cuda:N``; auto takes the GPU where there is one.

    Raises
    ------
    SettingsError
        If the name is another one, or there is no such GPU.
    """
    if name == "auto":
        return Device("cuda", "torch") if _count_gpus() else CPU
    if name == CPU.name:
        return CPU
    if not re.fullmatch(r"cuda(:[0-9]{1,4})?", name):
        raise SettingsError(f"expected a device auto, cpu, cuda or cuda:N; found {name!r}.")
    if int(name.partition(":")[2] or 0) >= _count_gpus():
        raise SettingsError(
            f"expected the device {name}; found {_count_gpus()} CUDA devices. Use "
            "--device cpu or auto."
        )
    return Device(name, "torch")


def _count_gpus() -> int:
    """Count the GPUs that torch can use; torch is asked only where there is a driver."""
    if not _has_driver():
        return 0
    import torch

    return torch.cuda.device_count()


def _has_driver() -> bool:
    for name in DRIVERS:
        try:
            ctypes.CDLL(name)
        except OSError:
            continue
        return True
    return AMD_DRIVER.exists()


@contextmanager
def full_precision() -> Iterator[None]:
    """Let convolutions and recurrent layers of torch round to float32 alone on a GPU, inside.

    Matrix products do so anyway. Those two round their factors to 10 bits (TF32) unless they are
    told not to, which moves relevance by up to 2 % of its largest value. The setting is one for
    the whole process: the last thread that leaves puts it back.
    """
    import torch

    cudnn: Any = torch.backends.cudnn
    with _PRECISION_LOCK:
        _PRECISE.append(cudnn.allow_tf32)
        cudnn.allow_tf32 = False
    try:
        yield
    finally:
        with _PRECISION_LOCK:
            before = _PRECISE.pop()  # what the first one found stays to the end
            if not _PRECISE:
                cudnn.allow_tf32 = before


@contextmanager
def single_thread() -> Iterator[int]:
    """Let numpy use one thread per multiplication; gives the number it was allowed before.

    That number is one for the whole process, so Python threads wait here for each other: each uses
    all that numpy may. Where numpy may use one thread anyway, or a caller has seen to it, they
    compute at once.
    """
    if not _IS_LIMITED.get():
        with _find_lock():
            blas = _find_blas()
            n_threads = max((library.num_threads for library in blas.lib_controllers), default=1)
            if n_threads > 1:
                limited = _IS_LIMITED.set(True)
                try:
                    with blas.limit(limits=1):
                        yield n_threads
                finally:
                    _IS_LIMITED.reset(limited)
                return
    yield 1


def run_parts(
    work: Callable[[Part], Result], parts: Iterable[Part], device: Device
) -> list[Result]:
    """Results of all parts in their order; on a CPU as many at once as numpy may use threads."""
    if device.is_gpu:
        return [work(part) for part in parts]
    with single_thread() as n_threads:
        return share_parts(work, parts, n_threads)


@lru_cache(maxsize=1)
def _find_lock() -> threading.RLock:
    return threading.RLock()


@lru_cache(maxsize=1)
def _find_blas() -> ThreadpoolController:
    """Libraries that multiply for numpy; looking for them takes milliseconds."""
    return ThreadpoolController().select(user_api="blas")


if hasattr(os, "register_at_fork"):
    # a forked process has the lock, and none of the threads that use it
    os.register_at_fork(after_in_child=_find_lock.cache_clear)
