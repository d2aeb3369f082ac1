"""Where a model computes."""

import torch

from kraken_bids.exceptions import SettingsError


def resolve_device(name: str) -> torch.device:
    """Device of ``auto``, ``cpu``, ``cuda`` or ``cuda:N``; auto takes the GPU where there is one.

    Raises
    ------
    SettingsError
        If the name is another one, or there is no such GPU.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    kind, _, index = name.partition(":")
    if kind not in {"cpu", "cuda"} or (index and not index.isdigit()) or name == "cpu:":
        raise SettingsError(f"expected a device auto, cpu, cuda or cuda:N; found {name!r}.")
    if kind == "cuda" and int(index or 0) >= torch.cuda.device_count():
        raise SettingsError(
            f"expected the device {name}; found {torch.cuda.device_count()} CUDA devices. Use "
            "--device cpu or auto."
        )
    return torch.device(name)
