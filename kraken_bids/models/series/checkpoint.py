"""A model of region series as a folder: ``model.json`` and ``weights.safetensors``."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from kraken_bids.exceptions import CheckpointError, InputError
from kraken_bids.io.digests import compute_sha256
from kraken_bids.io.files import make_folder
from kraken_bids.io.tensors import read_arrays, write_arrays
from kraken_bids.io.texts import read_json
from kraken_bids.io.writing import write_json
from kraken_bids.models.series.architecture import SeriesArchitecture
from kraken_bids.models.series.data_description import SeriesData
from kraken_bids.models.series.model import SeriesModel
from kraken_bids.models.series.network import SeriesNetwork
from kraken_bids.models.step_training import find_device

FORMAT = "kraken_bids series model"
FORMAT_VERSION = 1
DESCRIPTION_NAME = "model.json"
WEIGHTS_NAME = "weights.safetensors"


def write_series_model(model: SeriesModel, folder: Path) -> Path:
    """Write a model as a folder; returns the folder.

    ``model.json`` is written last, so a half-written folder is no model.

    Raises
    ------
    InputError
        If the disk is full or the folder cannot be written.
    """
    make_folder(folder)
    (folder / DESCRIPTION_NAME).unlink(missing_ok=True)
    state = model.network.state_dict()
    write_arrays(folder / WEIGHTS_NAME, {k: v.cpu().numpy() for k, v in state.items()})
    write_json(
        folder / DESCRIPTION_NAME,
        {
            "format": FORMAT,
            "format_version": FORMAT_VERSION,
            "weights_sha256": compute_sha256(folder / WEIGHTS_NAME),
            "architecture": model.architecture.to_json(),
            "longest": model.longest,
            "classes": model.classes,
            "data": model.data.to_json(),
            "provenance": dict(model.provenance),
        },
    )
    return folder


def read_series_model(folder: Path, device: str = "cpu") -> SeriesModel:
    """Read a model folder.

    Parameters
    ----------
    device : str
        ``auto``, ``cpu`` or ``cuda[:N]``.

    Raises
    ------
    CheckpointError
        If either file is missing, incomplete, changed, or of another kind.
    """
    place = find_device(device)
    path = folder / DESCRIPTION_NAME
    description = _read_description(path)
    arrays = read_arrays(folder / WEIGHTS_NAME)
    try:
        if compute_sha256(folder / WEIGHTS_NAME) != description["weights_sha256"]:
            raise CheckpointError(
                f"expected the weights that {path} was written with beside it; found others. "
                "Copy the whole folder again, or make the model again."
            )
        network = SeriesNetwork(SeriesArchitecture.from_json(description["architecture"]))
        fill_network(network, arrays, str(folder / WEIGHTS_NAME))
        model = SeriesModel(
            network=network.to(place).eval(),
            data=SeriesData.from_json(description["data"]),
            longest=int(description["longest"]),
            classes=tuple(map(str, description["classes"])),
            provenance=dict(description["provenance"]),
        )
        _check_whole(model)
    except (KeyError, TypeError, AttributeError, ValueError, OverflowError) as error:
        raise CheckpointError(
            f"expected a complete description of a model of region series in {path}; found a "
            f"fault: {error}. Make the model again."
        ) from error
    return model


def fill_network(
    network: SeriesNetwork, arrays: Mapping[str, NDArray[np.float32]], where: str
) -> None:
    """Put weights into a network by their names.

    Raises
    ------
    CheckpointError
        If they are not those of such a network.
    """
    own = network.state_dict()
    for name in (*own, *arrays):
        found = arrays[name].shape if name in arrays else "nothing"
        wanted = tuple(own[name].shape) if name in own else "nothing"
        if found != wanted:
            raise CheckpointError(
                f"expected weights that fit the architecture in {where}; found {name} of shape "
                f"{found} in place of {wanted}. Make the model again."
            )
    network.load_state_dict({k: torch.from_numpy(np.array(v)) for k, v in arrays.items()})


def _check_whole(model: SeriesModel) -> None:
    arch = model.architecture
    if model.data.n_regions != arch.n_regions or len(model.classes) != arch.n_classes:
        raise ValueError(
            f"{model.data.n_regions} regions and {len(model.classes)} classes beside a network "
            f"of {arch.n_regions} and {arch.n_classes}"
        )
    if not 1 <= model.longest < arch.n_positions:
        raise ValueError(f"longest is {model.longest}")


def _read_description(path: Path) -> dict[str, Any]:
    try:
        description = read_json(path)
    except InputError as error:
        raise CheckpointError(
            f"expected a folder that kraken-tools pretrain or decode wrote; found no readable "
            f"{path}. {error}"
        ) from error
    if description.get("format") != FORMAT:
        raise CheckpointError(
            f"expected {path} to say format {FORMAT!r}; found {description.get('format')!r}. Give "
            "a folder that kraken-tools pretrain or decode wrote."
        )
    if description.get("format_version") != FORMAT_VERSION:
        raise CheckpointError(
            f"expected format_version {FORMAT_VERSION} in {path}; found "
            f"{description.get('format_version')}. Update kraken_bids, or make the model again."
        )
    return description
