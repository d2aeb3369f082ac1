"""Our own format: a folder with ``model.json`` (what it is) and ``weights.safetensors``.

``maps.safetensors`` beside them holds what the weights make of edges, folded
(``edge_layers.py``); without it, maps are folded when they are first used.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kraken_bids.exceptions import CheckpointError, InputError
from kraken_bids.flavors import Flavor, parse_flavor
from kraken_bids.io.digests import compute_sha256
from kraken_bids.io.facts import Facts
from kraken_bids.io.files import atomic_path, make_folder
from kraken_bids.io.tensors import read_arrays, write_array_stream, write_arrays
from kraken_bids.io.texts import read_json
from kraken_bids.models.devices import resolve_device
from kraken_bids.models.krakencoder.architecture import Architecture, Weights
from kraken_bids.models.krakencoder.described_atlases import DESCRIPTION_NAME
from kraken_bids.models.krakencoder.model import Model
from kraken_bids.models.krakencoder.reduction import Reduction
from kraken_bids.models.training_record import TRAINING
from kraken_bids.parcellations import recognize_parcellation
from kraken_bids.published.cache import check_copy, remember_copy

FORMAT = "kraken_bids model"
FORMAT_VERSION = 1
WEIGHTS_NAME = "weights.safetensors"
MAPS_NAME = "maps.safetensors"
TRAINING_NAME = "training.json"
"""Says of a folder that it is one of a training, complete or not."""
MAX_NAME = 1000


def write_model(model: Model, folder: Path) -> Path:
    """Write a model as a folder; returns the folder.

    Parameters
    ----------
    folder : Path
        Made if it does not exist. ``model.json`` is written last, so a half-written folder is no
        model.

    Raises
    ------
    InputError
        If the disk is full or the folder cannot be written.
    """
    make_folder(folder)
    (folder / DESCRIPTION_NAME).unlink(missing_ok=True)
    digests = {
        "weights_sha256": _write_weights(model, folder / WEIGHTS_NAME),
        "maps_sha256": _write_maps(model, folder / MAPS_NAME),
    }
    text = json.dumps(_describe(model, digests), indent=1)
    with atomic_path(folder / DESCRIPTION_NAME) as temporary:
        temporary.write_text(text + "\n", encoding="utf-8")
    return folder


def read_model(folder: Path, device: str = "auto") -> Model:
    """Read a model folder.

    Parameters
    ----------
    folder : Path
        Holds ``model.json`` and ``weights.safetensors``, which is mapped into memory.
    device : str
        ``auto``, ``cpu`` or ``cuda[:N]``.

    Raises
    ------
    CheckpointError
        If either file is missing, incomplete, changed, or of another kind.
    """
    place = resolve_device(device)
    description = _read_description(folder / DESCRIPTION_NAME)
    arrays = read_arrays(folder / WEIGHTS_NAME)
    try:
        _check_file(folder / WEIGHTS_NAME, description["weights_sha256"])
        architecture = _read_architecture(description["architecture"], folder)
        network = _make_network(architecture, arrays, folder)
        reductions = _read_reductions(description["transforms"], arrays)
        maps = _read_maps(folder / MAPS_NAME, description.get("maps_sha256", ""))
        _check_maps(maps, network, reductions, folder / MAPS_NAME)
        return Model(
            name=str(description["name"]),
            sha256=str(description["sha256"]),
            flavors=tuple(parse_flavor(name) for name in architecture.flavors),
            latent_size=architecture.latent_size,
            network=network,
            reductions=reductions,
            provenance=dict(description["provenance"]),
            device=place,
            maps=maps,
        )
    except (KeyError, TypeError, AttributeError, ValueError, OverflowError) as error:
        raise CheckpointError(
            f"expected a complete model description in {folder / DESCRIPTION_NAME}; found a "
            f"fault: {error!r}. Make the model again."
        ) from error


def _write_weights(model: Model, path: Path) -> str:
    arrays: dict[str, NDArray[Any]] = {
        f"network.{name}": values for name, values in model.network.arrays.items()
    }
    for flavor, reduction in model.reductions.items():
        for name, values in reduction.arrays.items():
            arrays[f"transform.{flavor.name}.{name}"] = values
    write_arrays(path, arrays)
    return _hash(path)


def _write_maps(model: Model, path: Path) -> str:
    folded = (one for flavor in model.flavors for one in model.fold_maps(flavor).values())
    affine = {f: model.reductions[f] for f in model.flavors if model.reductions[f].is_affine}
    write_array_stream(path, _list_map_shapes(model.network.architecture, affine), folded)
    return _hash(path)


def _hash(path: Path) -> str:
    sha256 = compute_sha256(path)
    remember_copy(path, sha256)
    return sha256


def _describe(model: Model, digests: Mapping[str, str]) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "name": model.name,
        "sha256": model.sha256 or digests["weights_sha256"],
        **digests,
        "architecture": model.network.architecture.to_json(),
        "transforms": {
            flavor.name: {
                "type": reduction.kind,
                "n_edges": reduction.n_edges,
                "arrays": sorted(reduction.arrays),
            }
            for flavor, reduction in model.reductions.items()
        },
        "regions": _list_regions(model),
        "provenance": dict(model.provenance),
    }


def _list_regions(model: Model) -> dict[str, list[str]]:
    """Region names in the order of the edges: the folder explains itself without this package."""
    names = dict.fromkeys(flavor.parcellation for flavor in model.flavors)
    known = filter(None, map(recognize_parcellation, names))
    own = Facts(dict(model.provenance)).part(
        TRAINING.regions
    )  # of atlases the package does not know
    return {**own.plain, **{one.name: list(one.region_names) for one in known}}


def _read_description(path: Path) -> dict[str, Any]:
    if not path.is_file():
        if path.with_name(TRAINING_NAME).is_file():
            raise CheckpointError(
                f"expected a model folder with {DESCRIPTION_NAME}; found a training in "
                f"{path.parent} that is not finished. Go on with it: kraken-tools train --resume."
            )
        raise CheckpointError(
            f"expected a model folder with {DESCRIPTION_NAME} and {WEIGHTS_NAME}; found no "
            f"{path}. Give the folder that kraken-tools convert or merge wrote, or a published "
            ".pt file with --transforms."
        )
    try:
        description = read_json(path)
    except InputError as error:
        raise CheckpointError(f"{error} Or make the model again.") from error
    if description.get("format") != FORMAT:
        raise CheckpointError(
            f"expected {path} to say format {FORMAT!r}; it is another program's file."
        )
    name = description.get("name")
    if not isinstance(name, str) or not name.isprintable() or len(name) > MAX_NAME:
        raise CheckpointError(
            f"expected a name of at most {MAX_NAME} letters in {path}; found {str(name)[:99]!r}. "
            "Make the model again."
        )
    if description.get("format_version") != FORMAT_VERSION:
        raise CheckpointError(
            f"expected format_version {FORMAT_VERSION} in {path}; found "
            f"{description.get('format_version')}. Update kraken_bids, or make the model again."
        )
    return description


def _read_maps(path: Path, sha256: str) -> dict[str, NDArray[np.float32]]:
    """Folded maps; none where the file was not written, or was deleted to save room."""
    if not sha256 or not path.exists():
        return {}
    arrays = read_arrays(path)
    _check_file(path, sha256)
    return arrays


def _check_maps(
    maps: Mapping[str, NDArray[np.float32]],
    network: Weights,
    reductions: Mapping[Flavor, Reduction],
    path: Path,
) -> None:
    shapes = _list_map_shapes(network.architecture, reductions)
    for name, values in maps.items():
        if values.shape != shapes.get(name):
            raise CheckpointError(
                f"expected maps of this model's flavors in {path}; found {name} of shape "
                f"{list(values.shape)}. Delete the file, or make the model again."
            )


def _list_map_shapes(
    architecture: Architecture, reductions: Mapping[Flavor, Reduction]
) -> dict[str, tuple[int, ...]]:
    n_hidden = (*architecture.hidden_sizes, architecture.latent_size)[0]
    shapes: dict[str, tuple[int, ...]] = {}
    for flavor, reduction in reductions.items():
        shapes[f"inward.{flavor.name}"] = (reduction.n_edges, n_hidden)
        shapes[f"outward.{flavor.name}"] = (n_hidden + 1, reduction.n_edges)
    return shapes


def _check_file(path: Path, sha256: str) -> None:
    found = check_copy(path, sha256)
    if found:
        raise CheckpointError(
            f"expected {path} with SHA-256 {sha256}; found {found}. The file was changed or "
            "damaged: copy or make the model again."
        )


def _read_architecture(values: dict[str, Any], folder: Path) -> Architecture:
    try:
        return Architecture.from_json(values)
    except CheckpointError as error:
        raise CheckpointError(f"{folder / DESCRIPTION_NAME}: {error}") from error


def _make_network(
    architecture: Architecture, arrays: Mapping[str, NDArray[np.float32]], folder: Path
) -> Weights:
    prefix = "network."
    weights = {
        name.removeprefix(prefix): values
        for name, values in arrays.items()
        if name.startswith(prefix)
    }
    misfit = architecture.find_misfit({name: values.shape for name, values in weights.items()})
    if misfit:
        raise CheckpointError(
            f"expected weights that fit the architecture in {folder / DESCRIPTION_NAME}; found "
            f"{misfit}. Make the model again."
        )
    return Weights(architecture, weights)


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
