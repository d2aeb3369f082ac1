"""Readers of models: a folder of ours, and the published checkpoints and transforms."""

import io
import json
import tempfile
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fuzz.arrays import FLAVORS, N_EDGES, edges, latents, rng
from fuzz.cases import Reader, Seed, require

if TYPE_CHECKING:
    from kraken_bids.models.krakencoder.model import Model

N_COMPONENTS, N_LATENT = 2, 3


def list_readers() -> list[Reader]:
    """All readers of models."""
    return [
        Reader("model.json", lambda: _list_folders("model.json"), _read_folder),
        Reader("model weights", lambda: _list_folders("weights.safetensors"), _read_folder),
        Reader("model maps", lambda: _list_folders("maps.safetensors"), _read_folder),
        Reader("checkpoint pt", _list_checkpoints, _read_checkpoint),
        Reader("transforms npy", _list_transforms, _read_transforms),
    ]


@cache
def build_model() -> "Model":
    """Build a model of two flavors with random weights."""
    from kraken_bids.flavors import parse_flavor
    from kraken_bids.models.krakencoder.architecture import Architecture, Weights
    from kraken_bids.models.krakencoder.model import Model
    from kraken_bids.models.krakencoder.reduction import Reduction

    flavors = tuple(map(parse_flavor, FLAVORS))
    architecture = Architecture(FLAVORS, (N_COMPONENTS,) * len(FLAVORS), N_LATENT)
    random = rng()
    weights = {
        name: random.standard_normal(shape).astype(np.float32)
        for name, shape in architecture.weight_shapes().items()
    }
    arrays = {
        "pca_components": np.eye(N_COMPONENTS, N_EDGES, dtype=np.float32),
        "pca_input_mean": edges()[0].astype(np.float32),
        "input_normscale": np.ones(1, np.float32),
        "output_normscale": np.ones(1, np.float32),
    }
    reductions = {flavor: Reduction("pca", arrays, N_EDGES) for flavor in flavors}
    network = Weights(architecture, weights)
    return Model("mini", "0" * 64, flavors, N_LATENT, network, reductions, {"Epochs": 3})


@cache
def _write_folder() -> dict[str, bytes]:
    """Files of a model folder, by name."""
    from kraken_bids.models.krakencoder.checkpoint import write_model

    with tempfile.TemporaryDirectory() as name:
        write_model(build_model(), Path(name))
        return {p.name: p.read_bytes() for p in Path(name).iterdir() if p.name[0] != "."}


def _list_folders(name: str) -> Sequence[Seed]:
    files = _write_folder()
    beside = {other: content for other, content in files.items() if other != name}
    return [Seed(name, files[name], beside)]


def _read_folder(path: Path) -> None:
    from kraken_bids.io.digests import compute_sha256
    from kraken_bids.models.krakencoder.load import load_model

    if path.suffix == ".safetensors":
        # a file that was damaged on purpose has its own digest written beside it
        description = json.loads((path.parent / "model.json").read_bytes())
        description[f"{path.stem}_sha256"] = compute_sha256(path)
        (path.parent / "model.json").write_text(json.dumps(description))
    _use(load_model(path.parent, device="cpu"))


def _use(model: "Model") -> None:
    """Predict with a model that was read."""
    require(model.flavors and isinstance(model.name, str), "a model without flavors or name")
    require(model.name.isprintable(), "a name that cannot be printed")
    json.dumps(dict(model.provenance))
    flavor = model.flavors[0]
    if model.n_edges(flavor) == N_EDGES and model.latent_size == N_LATENT:
        encoded = model.encode(flavor, edges().astype(np.float32))
        require(encoded.shape == (len(edges()), N_LATENT), "latents of another shape")
        decoded = model.decode(flavor, latents())
        require(decoded.shape == (len(latents()), N_EDGES), "edges of another shape")


@cache
def _write_published() -> dict[str, bytes]:
    from kraken_bids.models.krakencoder.published_writer import write_upstream

    with tempfile.TemporaryDirectory() as name:
        checkpoint, transforms = write_upstream(build_model(), Path(name) / "mini.pt")
        return {path.name: path.read_bytes() for path in (checkpoint, transforms)}


def _list_checkpoints() -> Sequence[Seed]:
    import torch

    files = _write_published()
    beside = {name: content for name, content in files.items() if name != "mini.pt"}
    content = torch.load(io.BytesIO(files["mini.pt"]), weights_only=False)
    legacy = io.BytesIO()
    torch.save(content, legacy, _use_new_zipfile_serialization=False)
    return [
        Seed("mini.pt", files["mini.pt"], beside),
        Seed("mini.pt", legacy.getvalue(), beside),
    ]


def _read_checkpoint(path: Path) -> None:
    from kraken_bids.models.krakencoder.load import load_model

    _use(load_model(path, device="cpu"))


def _list_transforms() -> Sequence[Seed]:
    files = _write_published()
    (name,) = (name for name in files if name.endswith(".npy"))
    content: Any = np.load(io.BytesIO(files[name]), allow_pickle=True)
    packed = io.BytesIO()
    np.savez(packed, transform_params=content)
    return [
        Seed(name, files[name]),
        Seed(name.replace(".npy", ".npz"), packed.getvalue()),
    ]


def _read_transforms(path: Path) -> None:
    from kraken_bids.models.krakencoder.published_transforms import read_transforms

    for reduction in read_transforms(path).values():
        require(reduction.n_edges > 0, "no edges")
        arrays = reduction.arrays.values()
        require(all(array.dtype == np.float32 for array in arrays), "another type")
