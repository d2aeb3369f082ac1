"""A model of whole volumes: its network, and what volumes it takes; in memory and as a folder."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from torch import nn

from kraken_bids.analysis_settings import DEEPLIGHT
from kraken_bids.models.network_folders import FolderKind
from kraken_bids.models.volumes.architecture import VolumeArchitecture, VolumeCleaning
from kraken_bids.models.volumes.network import VolumeNetwork, build_network

FOLDER = FolderKind("kraken_bids volume model", "kraken-tools train-volumes")


@dataclass(frozen=True)
class VolumeModel:
    """A network that decodes volumes, with what they must be like."""

    network: VolumeNetwork
    cleaning: VolumeCleaning = field(default_factory=VolumeCleaning)
    """What was done to the volumes that it takes."""
    provenance: Mapping[str, Any] = field(default_factory=dict)
    """On whom and how it was trained, or where its weights are from."""

    @property
    def states(self) -> tuple[str, ...]:
        """What its outputs stand for."""
        return self.network.architecture.states


def write_volume_model(model: VolumeModel, folder: Path) -> Path:
    """Write a model; returns the folder.

    Raises
    ------
    InputError
        If the disk is full or the folder cannot be written.
    """
    description = {
        "architecture": asdict(model.network.architecture),
        **asdict(model.cleaning),
        "provenance": dict(model.provenance),
    }
    return FOLDER.write(model.network, description, folder)


def read_volume_model(folder: Path) -> VolumeModel:
    """Read a model folder.

    Raises
    ------
    CheckpointError
        If either file is missing, incomplete, changed, or of another kind.
    """
    return FOLDER.read(folder, _build)


def _build(description: Mapping[str, Any]) -> tuple[nn.Module, VolumeModel]:
    shape = dict(description["architecture"])
    for name in ("states", "grid", "channels", "strides"):
        shape[name] = tuple(shape[name])
    network = build_network(VolumeArchitecture(**shape))
    cleaning = VolumeCleaning(
        float(description["smoothing_fwhm"]),
        float(description["high_pass"]),
        # models of earlier versions know none but the release's
        str(description.get("strategy", DEEPLIGHT)),
    )
    model = VolumeModel(network, cleaning, dict(description["provenance"]))
    return network, model
