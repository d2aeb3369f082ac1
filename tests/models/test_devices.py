"""Where a model computes, and what must be imported for it."""

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from kraken_bids.exceptions import SettingsError
from kraken_bids.models import devices
from kraken_bids.models.devices import (
    CPU,
    Device,
    resolve_device,
    to_host,
    to_numpy,
    widen,
)
from kraken_bids.models.krakencoder import edge_layers
from kraken_bids.models.krakencoder.adaptation import fit_adaptation
from kraken_bids.models.krakencoder.checkpoint import write_model
from kraken_bids.models.krakencoder.model import Model


def test_devices_are_checked() -> None:
    """Auto and cpu exist; other names, and GPUs that are not there, are SettingsErrors."""
    assert resolve_device("cpu") == CPU
    assert resolve_device("auto").name in {"cpu", "cuda"}
    for name in ("gpu", "cuda:99", "cuda:x", "cuda:", "cuda:²", "cpu:", "cpu:1x", ""):
        with pytest.raises(SettingsError, match="device"):
            resolve_device(name)


@pytest.mark.parametrize(
    ("has_driver", "n_gpus", "expected"),
    [
        (True, 2, Device("cuda", "torch")),
        (True, 0, CPU),  # a driver, but a torch that was built without CUDA
        (False, 2, CPU),
    ],
)
def test_auto_takes_a_gpu_that_torch_can_use(
    monkeypatch: pytest.MonkeyPatch, has_driver: bool, n_gpus: int, expected: Device
) -> None:
    """A driver and a GPU are both needed."""
    monkeypatch.setattr(devices, "_has_driver", lambda: has_driver)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: n_gpus)

    assert resolve_device("auto") == expected


def test_a_gpu_is_taken_by_its_number(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of two GPUs the second has the number 1, and there is no third."""
    monkeypatch.setattr(devices, "_has_driver", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)

    for name in ("cuda:", "cuda:²"):
        with pytest.raises(SettingsError, match="found 'cuda:"):
            resolve_device(name)
    assert resolve_device("cuda:1") == Device("cuda:1", "torch")
    with pytest.raises(SettingsError, match=r"cuda:2; found 2 CUDA"):
        resolve_device("cuda:2")


def test_arrays_go_to_a_device_and_come_back(device: Device) -> None:
    """Also those that may not be written, or lie by columns; types are kept."""
    values = np.arange(6, dtype=np.float32).reshape(2, 3)
    fixed = values.copy()
    fixed.flags.writeable = False

    for array in (values, fixed, values.T):
        np.testing.assert_array_equal(to_numpy(device.place(array)), array)
    assert to_host(widen(device.place(values))).dtype == np.float64
    np.testing.assert_array_equal(to_numpy(device.zeros(2, 3)), np.zeros((2, 3)))


class OneDevice(TorchDispatchMode):
    """Refuses operations between devices; copies from one to another are what they are."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name
        self.n_operations = 0

    def __torch_dispatch__(
        self, func: Any, _types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        if "copy" not in func.__name__:
            arrays = [x for x in tree_leaves((args, kwargs)) if isinstance(x, torch.Tensor)]
            places = {x.device.type for x in arrays}
            assert len(places) < 2, f"{func} of arrays on {places}"
            self.n_operations += places == {self.name}
        return func(*args, **(kwargs or {}))


def test_nothing_is_multiplied_across_devices(
    monkeypatch: pytest.MonkeyPatch, make_model: Callable[..., Model]
) -> None:
    """All that a GPU computes has its arrays there, seen on a device that keeps shapes alone."""
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _name: (10**7, 10**7))
    for module in (devices, edge_layers):
        monkeypatch.setattr(module, "to_host", lambda x: np.zeros(x.shape, np.float32))
    paths = {"groups": ("fc", "sc", "fc"), "group_paths": ("fc->sc",)}
    cpu = make_model(hidden_sizes=(9,), latent_activation="sigmoid", **paths)
    fc, sc, _ = cpu.flavors
    edges = np.random.default_rng(0).random((5, 28))
    adaptation = fit_adaptation({fc: (edges.mean(axis=0), 5)}, cpu.training_means())
    model = replace(cpu, device=Device("meta", "torch"))

    with OneDevice("meta") as seen:
        latents = model.encode(fc, edges, adaptation)
        model.decode(sc, latents, source=fc)
        model.fold_maps(fc)

    assert seen.n_operations > 20


def test_a_model_on_a_cpu_needs_no_torch(tmp_path: Path, make_model: Callable[..., Model]) -> None:
    """Loading a folder without hidden layers and predicting leave torch, and its second, out."""
    write_model(make_model(), tmp_path / "model")
    code = (
        "import sys, numpy as np; from kraken_bids import load_model;"
        f"model = load_model({str(tmp_path / 'model')!r}, device='cpu');"
        "x = np.ones((2, 28)); found = model.predict({'FCcorr_mini_hpf': x});"
        "print(len(found), 'torch' in sys.modules)"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.split() == ["3", "False"]


def test_full_precision_holds_until_the_last_thread_leaves() -> None:
    """Threads decode a volume each: who leaves first takes it from no other."""
    allowed = torch.backends.cudnn.allow_tf32
    one, other = devices.full_precision(), devices.full_precision()
    one.__enter__()
    other.__enter__()
    one.__exit__(None, None, None)
    assert not torch.backends.cudnn.allow_tf32
    other.__exit__(None, None, None)
    assert torch.backends.cudnn.allow_tf32 == allowed
