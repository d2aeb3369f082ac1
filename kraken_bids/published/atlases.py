"""The published label images and their tables: where they are, what they may be used for."""

import json
from importlib.resources import files

from kraken_bids.published.cache import PublishedFile

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
