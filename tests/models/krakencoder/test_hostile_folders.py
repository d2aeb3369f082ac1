"""Model folders whose description or arrays lie are refused, and take no memory."""

import json
import struct
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kraken_bids.exceptions import CheckpointError
from kraken_bids.io.digests import compute_sha256
from kraken_bids.models.krakencoder.checkpoint import read_model, write_model
from kraken_bids.models.krakencoder.model import Model

MEMORY = 20_000_000


def change(folder: Path, *keys: str, value: Any) -> None:
    """Set one value of model.json."""
    content = json.loads((folder / "model.json").read_text())
    place = content
    for key in keys[:-1]:
        place = place[key]
    place[keys[-1]] = value
    (folder / "model.json").write_text(json.dumps(content))


def lie(folder: Path, name: str, edit: Callable[[dict[str, Any]], None]) -> None:
    """Change the header of a safetensors file, and the hash in model.json with it."""
    path = folder / f"{name}.safetensors"
    data = path.read_bytes()
    (n_header,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + n_header])
    edit(header)
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data[8 + n_header :])
    change(folder, f"{name}_sha256", value=compute_sha256(path))


def refuse(folder: Path) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(CheckpointError, match=r"model\.json|\.safetensors|of tiny|expected"):
            read_model(folder, "cpu")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < MEMORY


@pytest.fixture
def folder(tmp_path: Path, make_model: Callable[..., Model]) -> Path:
    """Write a sound model folder."""
    return write_model(make_model(hidden_sizes=(9,)), tmp_path / "model")


@pytest.mark.parametrize(
    ("keys", "value"),
    [
        (("architecture", "latent_size"), 10**12),
        (("architecture", "latent_size"), -1),
        (("architecture", "latent_size"), "5"),
        (("architecture", "input_sizes"), [10**8] * 3),
        (("architecture", "hidden_sizes"), [9] * 10_000),
        (("architecture", "flavors"), 5),
        (("architecture", "flavors"), ["FC_a.b_c", "FC_b_c", "FC_c_d"]),
        (("architecture", "final_dropouts"), [0.1]),
        (("architecture",), None),
        (("transforms", "FCcorr_mini_hpf", "n_edges"), 10**12),
        (("transforms", "FCcorr_mini_hpf", "n_edges"), "many"),
        (("transforms", "FCcorr_mini_hpf", "n_edges"), 10**400),
        (("transforms", "FCcorr_mini_hpf", "arrays"), ["../../etc/passwd"]),
        (("transforms", "FCcorr_mini_hpf", "type"), "none"),
        (("transforms",), {}),
        (("weights_sha256",), None),
        (("provenance",), 3),
        (("architecture", "dropout"), float("nan")),
        (("architecture", "negative_slope"), float("inf")),
        (("architecture", "dropout"), 10**400),
        (("transforms", "FCcorr_mini_hpf", "n_edges"), float("inf")),
        (("name",), "x\x1b]0;owned\x07"),
        (("name",), "\ud800"),
        (("name",), ["x"]),
        (("name",), "A" * 10**5),
    ],
)
def test_descriptions_that_lie_are_refused(
    folder: Path, keys: tuple[str, ...], value: object
) -> None:
    """Sizes without weights behind them, wrong types, names of other things."""
    change(folder, *keys, value=value)

    refuse(folder)


def test_json_without_end_is_refused(folder: Path) -> None:
    """A hundred thousand open brackets."""
    (folder / "model.json").write_text("[" * 100_000)

    refuse(folder)


def stretch(header: dict[str, Any]) -> None:
    header[next(iter(header))]["shape"] = [10**6, 10**6]


def shift(header: dict[str, Any]) -> None:
    header[next(iter(header))]["data_offsets"] = [0, 10**15]


def reverse(header: dict[str, Any]) -> None:
    next(one for one in header.values() if len(set(one["shape"])) > 1)["shape"].reverse()


def drop(header: dict[str, Any]) -> None:
    del header[next(iter(header))]


def retype(header: dict[str, Any]) -> None:
    header[next(iter(header))]["dtype"] = "F16"


@pytest.mark.parametrize("name", ["weights", "maps"])
@pytest.mark.parametrize("edit", [stretch, shift, reverse, drop, retype])
def test_arrays_that_lie_are_refused(
    folder: Path, name: str, edit: Callable[[dict[str, Any]], None]
) -> None:
    """Shapes, places and types in the header, with the right hash in the description."""
    lie(folder, name, edit)

    refuse(folder)
