"""Atlases that the description of a model folder names, read without the model."""

from contextlib import suppress
from pathlib import Path
from typing import Any

from kraken_bids.exceptions import InputError
from kraken_bids.flavors import recognize_flavor
from kraken_bids.io.texts import read_json
from kraken_bids.parcellations import list_parcellations

DESCRIPTION_NAME = "model.json"


def list_model_atlases(model: str) -> tuple[str, ...]:
    """Atlases beyond the package's that a model folder knows, without loading the model.

    Empty where it is no folder: published models know those of the package alone.
    """
    content: dict[str, Any] = {}
    with suppress(InputError):
        path = Path(model)
        content = read_json(path if path.name == DESCRIPTION_NAME else path / DESCRIPTION_NAME)
    architecture = content.get("architecture")
    names = architecture.get("flavors") if isinstance(architecture, dict) else None
    flavors = [recognize_flavor(str(name)) for name in names] if isinstance(names, list) else []
    found = dict.fromkeys(flavor.parcellation for flavor in flavors if flavor is not None)
    return tuple(name for name in found if name not in list_parcellations())
