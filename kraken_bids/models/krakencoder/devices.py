"""Where a model computes: numpy on a CPU, torch on a GPU.

What computes is written by the names that both libraries have (``xp.tanh``, ``@`` …), so one text
serves both; torch, whose import takes a second, is not needed on a CPU.
"""

import ctypes
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from kraken_bids.exceptions import SettingsError

Array = NDArray[np.float32]
Values: TypeAlias = Any
"""An array of either library."""

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
