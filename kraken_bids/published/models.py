"""The published model and atlas files: which belong together, where they are, how sound."""

import json
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from kraken_bids.exceptions import CheckpointError, FlavorError
from kraken_bids.io.files import find_cache_folder
from kraken_bids.published.cache import PublishedFile, check_copy

PRETRAINED = "pretrained"
CACHE_VARIABLE = "KRAKEN_BIDS_DATA"
MODELS_FOLDER = "models"


def list_published() -> dict[str, PublishedFile]:
    """Every published file, by name."""
    registry = _read_registry()
    return {
        name: PublishedFile(
            name, tuple(entry["urls"]), entry["sha256"], entry.get("size"), registry["licence"]
        )
        for name, entry in registry["files"].items()
    }


def list_published_flavors() -> tuple[str, ...]:
    """Ids of the published flavors, those of the joint model first."""
    return tuple(_read_registry()["flavors"])


def is_published(name: str) -> bool:
    """Whether a name is that of a published model: ``pretrained`` or a published flavor."""
    return name == PRETRAINED or _plain_id(name) in list_published_flavors()


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
    if not is_published(name):
        raise FlavorError(
            f"expected {PRETRAINED} or a published flavor ({', '.join(flavors)}); found {name!r}."
        )
    checkpoint = joint if name == PRETRAINED else flavors[_plain_id(name)]["checkpoint"]
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
    places = {file.name: find_file(file) for file in needed}
    missing = [file for file in needed if places[file.name] is None]
    if missing:
        lines = "\n".join(f"  {file.name}\n    " + "\n    ".join(file.urls) for file in missing)
        raise CheckpointError(
            f"expected the published model's files in {find_cache_folder() / MODELS_FOLDER}; "
            f"{len(missing)} of {len(needed)} "
            f"are missing:\n{lines}\nRun {_fetch_command(name)}, or download them from either "
            f"address into that folder (set {CACHE_VARIABLE} for another folder), or give a model "
            "of your own with --model."
        )
    found = [place for place in places.values() if place is not None]
    for file, path in zip(needed, found, strict=True):
        digest = check_copy(path, file.sha256)
        if digest:
            raise CheckpointError(
                f"expected {path} with SHA-256 {file.sha256}; found {digest}. The download is "
                f"incomplete or changed: run {_fetch_command(name)}, or download it again from "
                f"{file.urls[0]}"
            )
    return found[0], tuple(found[1:])


def find_file(file: PublishedFile) -> Path | None:
    """Where a published file lies in the cache, verified or not; None if it is not there."""
    cache_folder = find_cache_folder()
    places = (cache_folder / MODELS_FOLDER / file.name, cache_folder / file.name)
    return next((place for place in places if place.is_file()), None)


def _plain_id(name: str) -> str:
    # the published files call one processing by two names
    return name.replace("sift2count", "sift2")


def _fetch_command(name: str) -> str:
    return f"kraken-tools fetch {'model' if name == PRETRAINED else name}"


@cache
def _read_registry() -> dict[str, Any]:
    text = (
        files("kraken_bids").joinpath("data", "published_models.json").read_text(encoding="utf-8")
    )
    registry: dict[str, Any] = json.loads(text)
    return registry


ATLASES_FOLDER = "atlases"
"""Folder of the cache in which they lie."""


def list_atlas_files() -> tuple[PublishedFile, ...]:
    """Label images that the model's authors publish, then tables of regions and their volumes.

    Source: github.com/kjamison/nemo (MIT); component atlases keep their own terms.
    """
    registry = files("kraken_bids").joinpath("data", "published_atlases.json")
    entries = json.loads(registry.read_text(encoding="utf-8"))["files"]
    return tuple(
        PublishedFile(name, tuple(e["urls"]), e["sha256"], e["size"], e["licence"])
        for name, e in entries.items()
    )
