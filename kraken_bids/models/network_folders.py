"""A network as a folder: ``model.json``, which says what it is, and ``weights.safetensors``."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from kraken_bids.exceptions import CheckpointError, InputError
from kraken_bids.io.digests import compute_sha256
from kraken_bids.io.files import make_folder
from kraken_bids.io.tensors import read_arrays, write_arrays
from kraken_bids.io.texts import read_json
from kraken_bids.io.writing import write_json

DESCRIPTION_NAME, WEIGHTS_NAME = "model.json", "weights.safetensors"
FORMAT_VERSION = 1
Model = TypeVar("Model")


@dataclass(frozen=True)
class FolderKind:
    """What kind of network a folder holds."""

    format: str
    """As ``model.json`` names it."""
    writers: str
    """Commands that write such folders, for messages."""

    def write(self, network: nn.Module, description: Mapping[str, Any], folder: Path) -> Path:
        """Write a network; returns the folder.

        ``model.json`` is written last, so a half-written folder is no model.

        Raises
        ------
        InputError
            If the disk is full or the folder cannot be written.
        """
        make_folder(folder)
        (folder / DESCRIPTION_NAME).unlink(missing_ok=True)
        state = network.state_dict()
        write_arrays(folder / WEIGHTS_NAME, {k: v.cpu().numpy() for k, v in state.items()})
        write_json(
            folder / DESCRIPTION_NAME,
            {
                "format": self.format,
                "format_version": FORMAT_VERSION,
                "weights_sha256": compute_sha256(folder / WEIGHTS_NAME),
                **description,
            },
        )
        return folder

    def read(
        self,
        folder: Path,
        build: Callable[[Mapping[str, Any]], tuple[nn.Module, Model]],
    ) -> Model:
        """Read a network.

        Parameters
        ----------
        build : callable
            Makes the network, and what is returned, of the description.

        Raises
        ------
        CheckpointError
            If either file is missing, incomplete, changed, or of another kind.
        """
        path = folder / DESCRIPTION_NAME
        description = self._read_description(path)
        arrays = read_arrays(folder / WEIGHTS_NAME)
        try:
            if compute_sha256(folder / WEIGHTS_NAME) != description["weights_sha256"]:
                raise CheckpointError(
                    f"expected the weights that {path} was written with beside it; found others. "
                    "Copy the whole folder again, or make the model again."
                )
            network, model = build(description)
            fill_network(network, arrays, str(folder / WEIGHTS_NAME))
        except (KeyError, TypeError, AttributeError, ValueError, OverflowError) as error:
            raise CheckpointError(
                f"expected a complete description of a {self.format} in {path}; found a fault: "
                f"{error}. Make the model again."
            ) from error
        network.eval()
        return model

    def _read_description(self, path: Path) -> Mapping[str, Any]:
        try:
            description = read_json(path)
        except InputError as error:
            raise CheckpointError(
                f"expected a folder that {self.writers} wrote; found no readable {path}. {error}"
            ) from error
        if description.get("format") != self.format:
            raise CheckpointError(
                f"expected {path} to say format {self.format!r}; found "
                f"{description.get('format')!r}. Give a folder that {self.writers} wrote."
            )
        if description.get("format_version") != FORMAT_VERSION:
            raise CheckpointError(
                f"expected format_version {FORMAT_VERSION} in {path}; found "
                f"{description.get('format_version')}. Update kraken_bids, or make the model "
                "again."
            )
        return description


def fill_network(network: nn.Module, arrays: Mapping[str, NDArray[Any]], where: str) -> None:
    """Put weights into a network by their names.

    Raises
    ------
    CheckpointError
        If they are not those of such a network.
    """
    own = network.state_dict()
    for name in (*own, *arrays):
        found = arrays[name].shape if name in arrays else "nothing"
        # a file of arrays has none without axes
        wanted = (tuple(own[name].shape) or (1,)) if name in own else "nothing"
        if found != wanted:
            raise CheckpointError(
                f"expected weights that fit the architecture in {where}; found {name} of shape "
                f"{found} in place of {wanted}. Make the model again."
            )
    for name, values in own.items():
        values.copy_(torch.from_numpy(np.array(arrays[name])).reshape(values.shape))


def digest_weights(path: Path) -> str:
    """SHA-256 of the weights of a model folder, or of a file of weights."""
    return compute_sha256(path / WEIGHTS_NAME if path.is_dir() else path)
