"""Whether the predictions of a session are there already, and what their sidecars say of trust."""

import json
from collections.abc import Iterable, Mapping
from hashlib import blake2b
from pathlib import Path
from typing import Any

from kraken_bids.bids.facts import Facts
from kraken_bids.bids.outputs import sidecar_path
from kraken_bids.exceptions import InputError
from kraken_bids.pipeline.sessions import is_whole
from kraken_bids.texts import read_json

ADDED = (
    "TrustSessions", "Trust", "Verdicts", "TrustLevel", "TrustDigest", "TrustDetails", "Warnings",
)  # fmt: skip
"""Fields that judging adds to sidecars of latents and predictions, last and in this order."""


def are_whole(paths: Iterable[Path], wanted: str, seen: dict[Path, bytes]) -> bool:
    """Whether every file is there as it was written, by a run of this digest.

    Parameters
    ----------
    paths : iterable of Path
    wanted : str
    seen : dict
        To which :func:`fingerprint` of each sidecar is added, so that none is opened again to
        find that it needs no change.
    """
    for path in paths:
        try:
            content = read_json(sidecar_path(path))
        except InputError:
            return False
        if Facts(content).text("RunDigest") != wanted or not is_whole(path, content):
            return False
        seen[path] = fingerprint(content)
    return True


def order_added(content: Mapping[str, Any], fields: Mapping[str, object]) -> dict[str, Any]:
    """Content of a sidecar with fields added or replaced; None takes one away.

    They stand last and in one order, whoever came first: a run alone gives the same bytes.
    """
    changed = {key: value for key, value in {**content, **fields}.items() if value is not None}
    ordered = {key: changed.pop(key) for key in ADDED if key in changed}
    return changed | ordered


def fingerprint(content: Mapping[str, Any]) -> bytes:
    """Digest of the added fields of a sidecar and of where they stand."""
    names = [key for key in content if key in ADDED]
    stand_last = names == list(content)[len(content) - len(names) :]
    plain = json.dumps([stand_last, [(name, content[name]) for name in names]])
    return blake2b(plain.encode(), digest_size=16).digest()
