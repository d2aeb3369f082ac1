"""A model of region series as a folder: ``model.json`` and ``weights.safetensors``."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kraken_bids.models.network_folders import FolderKind
from kraken_bids.models.series.architecture import SeriesArchitecture
from kraken_bids.models.series.data_description import SeriesData
from kraken_bids.models.series.model import SeriesModel
from kraken_bids.models.series.network import SeriesNetwork
from kraken_bids.models.step_training import find_device

FOLDER = FolderKind("kraken_bids series model", "kraken-tools pretrain or decode")


def write_series_model(model: SeriesModel, folder: Path) -> Path:
    """Write a model as a folder; returns the folder.

    ``model.json`` is written last, so a half-written folder is no model.

    Raises
    ------
    InputError
        If the disk is full or the folder cannot be written.
    """
    return FOLDER.write(
        model.network,
        {
            "architecture": model.architecture.to_json(),
            "longest": model.longest,
            "classes": model.classes,
            "data": model.data.to_json(),
            "provenance": dict(model.provenance),
        },
        folder,
    )


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
    model = FOLDER.read(folder, _build)
    model.network.to(place)
    return model


def _build(description: Mapping[str, Any]) -> tuple[SeriesNetwork, SeriesModel]:
    network = SeriesNetwork(SeriesArchitecture.from_json(description["architecture"]))
    model = SeriesModel(
        network=network,
        data=SeriesData.from_json(description["data"]),
        longest=int(description["longest"]),
        classes=tuple(map(str, description["classes"])),
        provenance=dict(description["provenance"]),
    )
    _check_whole(model)
    return network, model


def _check_whole(model: SeriesModel) -> None:
    arch = model.architecture
    if model.data.n_regions != arch.n_regions or len(model.classes) != arch.n_classes:
        raise ValueError(
            f"{model.data.n_regions} regions and {len(model.classes)} classes beside a network "
            f"of {arch.n_regions} and {arch.n_classes}"
        )
    if not 1 <= model.longest < arch.n_positions:
        raise ValueError(f"longest is {model.longest}")
