"""Our own format: a folder with ``model.json`` (what it is) and ``weights.safetensors``."""

import json
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from kraken_bids.cache import compute_sha256
from kraken_bids.exceptions import CheckpointError, FlavorError
from kraken_bids.files import atomic_path
from kraken_bids.flavors import Flavor, parse_flavor
from kraken_bids.model.network import Architecture, Krakencoder
from kraken_bids.model.predict import Model, resolve_device
from kraken_bids.model.reduction import Reduction
from kraken_bids.parcellations import load_parcellation

FORMAT = "kraken_bids model"
FORMAT_VERSION = 1
DESCRIPTION_NAME = "model.json"
WEIGHTS_NAME = "weights.safetensors"


def write_model(model: Model, folder: Path) -> Path:
    """Write a model as a folder; returns the folder.

    Parameters
    ----------
    model : Model
    folder : Path
        Made if it does not exist. ``model.json`` is written last, so a half-written folder is no
        model.

    Raises
    ------
    InputError
        If the disk is full or the folder cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / DESCRIPTION_NAME).unlink(missing_ok=True)
    arrays: dict[str, NDArray[Any]] = {
        f"network.{name}": tensor.detach().cpu().numpy()
        for name, tensor in model.network.state_dict().items()
    }
    for flavor, reduction in model.reductions.items():
        for name, values in reduction.arrays.items():
            arrays[f"transform.{flavor.name}.{name}"] = np.ascontiguousarray(values, np.float32)
    weights = folder / WEIGHTS_NAME
    with atomic_path(weights) as temporary:
        save_file(arrays, temporary)
    text = json.dumps(_describe(model, compute_sha256(weights)), indent=1)
    with atomic_path(folder / DESCRIPTION_NAME) as temporary:
        temporary.write_text(text + "\n", encoding="utf-8")
    return folder


def read_model(folder: Path, device: str = "auto") -> Model:
    """Read a model folder.

    Parameters
    ----------
    folder : Path
        Holds ``model.json`` and ``weights.safetensors``. The weights are mapped, not copied,
        into memory.
    device : str
        ``auto``, ``cpu`` or ``cuda[:N]``.

    Raises
    ------
    CheckpointError
        If either file is missing, incomplete, changed, or of another kind.
    """
    description = _read_description(folder / DESCRIPTION_NAME)
    arrays = _read_arrays(folder / WEIGHTS_NAME)
    found = compute_sha256(folder / WEIGHTS_NAME)
    try:
        if description["weights_sha256"] != found:
            raise CheckpointError(
                f"expected {folder / WEIGHTS_NAME} with SHA-256 "
                f"{description['weights_sha256']}; found {found}. The file was changed or "
                "damaged: copy or make the model again."
            )
        architecture = Architecture.from_json(description["architecture"])
        network = Krakencoder(architecture)
        _load_network(network, arrays, folder)
        return Model(
            name=str(description["name"]),
            sha256=str(description["sha256"]),
            flavors=tuple(parse_flavor(name) for name in architecture.flavors),
            latent_size=architecture.latent_size,
            network=network,
            reductions=_read_reductions(description["transforms"], arrays),
            provenance=dict(description["provenance"]),
            device=resolve_device(device),
        )
    except (KeyError, TypeError, AttributeError, FlavorError) as error:
        raise CheckpointError(
            f"expected a complete model description in {folder / DESCRIPTION_NAME}; found a "
            f"fault: {error!r}. Make the model again."
        ) from error


def _describe(model: Model, weights_sha256: str) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "name": model.name,
        "sha256": model.sha256 or weights_sha256,
        "weights_sha256": weights_sha256,
        "architecture": model.network.architecture.to_json(),
        "transforms": {
            flavor.name: {
                "type": reduction.kind,
                "n_edges": reduction.n_edges,
                "arrays": sorted(reduction.arrays),
            }
            for flavor, reduction in model.reductions.items()
        },
        "regions": _list_regions(model.flavors),
        "provenance": dict(model.provenance),
    }


def _list_regions(flavors: tuple[Flavor, ...]) -> dict[str, list[str]]:
    """Region names in the order of the edges: the folder explains itself without this package."""
    regions = {}
    for parcellation in dict.fromkeys(flavor.parcellation for flavor in flavors):
        try:
            regions[parcellation] = list(load_parcellation(parcellation).region_names)
        except FlavorError:
            continue  # a parcellation of the user's own has no table here
    return regions


def _read_description(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise CheckpointError(
            f"expected a model folder with {DESCRIPTION_NAME} and {WEIGHTS_NAME}; found no "
            f"{path}. Give the folder that kraken-tools train or convert wrote, or a published "
            ".pt file with --transforms."
        )
    try:
        description = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, OSError) as error:
        raise CheckpointError(
            f"expected JSON in {path}; found: {error}. Copy or make the model again."
        ) from error
    if not isinstance(description, dict) or description.get("format") != FORMAT:
        raise CheckpointError(
            f"expected {path} to say format {FORMAT!r}; it is another program's file."
        )
    if description.get("format_version") != FORMAT_VERSION:
        raise CheckpointError(
            f"expected format_version {FORMAT_VERSION} in {path}; found "
            f"{description.get('format_version')}. Update kraken_bids, or make the model again."
        )
    return description


def _read_arrays(path: Path) -> dict[str, NDArray[np.float32]]:
    """Arrays of a safetensors file, mapped from disk so that only what is used takes memory."""
    try:
        path.open("rb").close()  # says why it cannot be read, which safe_open does not
        with safe_open(path, framework="numpy"):
            pass  # checks the header, and that the file is as long as it says
        with path.open("rb") as file:
            (n_header,) = struct.unpack("<Q", file.read(8))
            header = json.loads(file.read(n_header))
        # copy-on-write, because torch takes only memory that looks writable
        buffer = np.memmap(path, np.uint8, mode="c")
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


def _view(buffer: NDArray[np.uint8], start: int, entry: Mapping[str, Any]) -> NDArray[np.float32]:
    if entry["dtype"] != "F32":
        raise CheckpointError(
            f"expected float32 weights; found {entry['dtype']}. Make the model again."
        )
    first, last = entry["data_offsets"]
    values = buffer[start + first : start + last].view(np.float32).reshape(entry["shape"])
    return np.asarray(values)


def _load_network(
    network: Krakencoder, arrays: Mapping[str, NDArray[np.float32]], folder: Path
) -> None:
    prefix = "network."
    state = {
        name.removeprefix(prefix): torch.from_numpy(values.copy())
        for name, values in arrays.items()
        if name.startswith(prefix)
    }
    try:
        network.load_state_dict(state)
    except RuntimeError as error:
        raise CheckpointError(
            f"expected weights that fit the architecture in {folder / DESCRIPTION_NAME}; found: "
            f"{error}. Make the model again."
        ) from error


def _read_reductions(
    entries: Mapping[str, Mapping[str, Any]], arrays: Mapping[str, NDArray[np.float32]]
) -> dict[Flavor, Reduction]:
    return {
        parse_flavor(name): Reduction(
            str(entry["type"]),
            {part: arrays[f"transform.{name}.{part}"] for part in entry["arrays"]},
            int(entry["n_edges"]),
        )
        for name, entry in entries.items()
    }
