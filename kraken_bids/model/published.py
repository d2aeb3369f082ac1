"""The published model files: which belong together, where they are, whether a copy is sound."""

import json
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from kraken_bids.exceptions import CheckpointError, FlavorError
from kraken_bids.files import find_cache_folder
from kraken_bids.model.checkpoint import compute_sha256

PRETRAINED = "pretrained"
CACHE_VARIABLE = "KRAKEN_BIDS_DATA"
MODELS_FOLDER = "models"


@dataclass(frozen=True)
class PublishedFile:
    """One published file."""

    name: str
    """File name."""
    urls: tuple[str, ...]
    """Addresses that serve it."""
    sha256: str
    """What a sound copy has."""


def list_published() -> dict[str, PublishedFile]:
    """Every published file, by name."""
    return {
        name: PublishedFile(name, tuple(entry["urls"]), entry["sha256"])
        for name, entry in _read_registry()["files"].items()
    }


def list_model_files(name: str = PRETRAINED) -> tuple[PublishedFile, ...]:
    """Files that a published model needs, the checkpoint first.

    Parameters
    ----------
    name : str
        ``pretrained`` (the joint model of 15 flavors) or the id of a published flavor.

    Raises
    ------
    FlavorError
        If nothing of that name was published.
    """
    flavors: dict[str, dict[str, str]] = _read_registry()["flavors"]
    joint: str = _read_registry()["pretrained"]
    if name != PRETRAINED and name not in flavors:
        raise FlavorError(
            f"expected {PRETRAINED} or a published flavor ({', '.join(flavors)}); found {name!r}."
        )
    checkpoint = joint if name == PRETRAINED else flavors[name]["checkpoint"]
    transforms = dict.fromkeys(
        entry["transform"] for entry in flavors.values() if entry["checkpoint"] == checkpoint
    )
    published = list_published()
    return tuple(published[file] for file in (checkpoint, *transforms))


def find_published(name: str = PRETRAINED) -> tuple[Path, tuple[Path, ...]]:
    """Checkpoint and transforms of a published model in the cache, each verified by its SHA-256.

    Raises
    ------
    CheckpointError
        If a file is missing (the message names it, its addresses and its place) or damaged.
    """
    needed = list_model_files(name)
    places = {file.name: _find_file(file) for file in needed}
    missing = [file for file in needed if places[file.name] is None]
    if missing:
        lines = "\n".join(f"  {file.name}\n    " + "\n    ".join(file.urls) for file in missing)
        raise CheckpointError(
            f"expected the published model's files in {find_cache_folder() / MODELS_FOLDER}; "
            f"{len(missing)} of {len(needed)} "
            f"are missing:\n{lines}\nDownload them from either address into that folder "
            f"(set {CACHE_VARIABLE} for "
            "another folder), or give a model of your own with --model."
        )
    found = [place for place in places.values() if place is not None]
    for file, path in zip(needed, found, strict=True):
        digest = compute_sha256(path)
        if digest != file.sha256:
            raise CheckpointError(
                f"expected {path} with SHA-256 {file.sha256}; found {digest}. The download is "
                f"incomplete or changed: delete it and download it again from {file.urls[0]}"
            )
    return found[0], tuple(found[1:])


def _find_file(file: PublishedFile) -> Path | None:
    cache_folder = find_cache_folder()
    places = (cache_folder / MODELS_FOLDER / file.name, cache_folder / file.name)
    return next((place for place in places if place.is_file()), None)


@cache
def _read_registry() -> dict[str, Any]:
    text = (
        files("kraken_bids").joinpath("data", "published_models.json").read_text(encoding="utf-8")
    )
    registry: dict[str, Any] = json.loads(text)
    return registry
