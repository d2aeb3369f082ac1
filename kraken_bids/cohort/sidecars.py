"""Sidecars in OUTPUT_DIR: what they say of a matrix, and whether it is up to date."""

import logging
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kraken_bids.bids.folders import list_entries
from kraken_bids.bids.names import parse_name
from kraken_bids.bids.outputs import CALIBRATED, PREDICTED, sidecar_path
from kraken_bids.cohort.sidecar_records import FILE, JUDGED, RegionsRecord
from kraken_bids.exceptions import InputError
from kraken_bids.flavors import Flavor, describe_flavor
from kraken_bids.io.facts import Facts
from kraken_bids.io.files import take_lock
from kraken_bids.io.files_together import stat_written
from kraken_bids.io.records import to_sidecar
from kraken_bids.io.texts import MAX_TEXT, parse_json, read_bytes, read_json
from kraken_bids.io.writing import write_json
from kraken_bids.parcellations import Parcellation
from kraken_bids.settings import MAX_IMPUTED_SHARE

logger = logging.getLogger(__name__)

PREDICTION = re.compile(rf"_desc-[^_.]*(?:{PREDICTED}|{CALIBRATED})_[^_.]+(\..+)$")
"""End of the name of what is predicted of a session, or of its sidecar; with the extension."""
REDONE = "+lambda="
"""In a digest: before it inputs and settings, after it the λ that the group level saved."""


def read_digest(path: Path, *, if_whole: bool = False) -> str | None:
    """``RunDigest`` in the sidecar of a file; None where there is none.

    Parameters
    ----------
    if_whole : bool
        None also where the file is not there, or has another size than when it was written.
    """
    try:
        content = read_json(sidecar_path(path))
    except InputError:
        return None
    if if_whole and not is_whole(path, content):
        return None
    return Facts(content).text(FILE.run_digest) or None


def is_whole(path: Path, sidecar: Mapping[str, object]) -> bool:
    """Whether a file is there, and has the size that its sidecar says it was written with."""
    try:
        size = path.stat().st_size
    except OSError:
        return False
    return _says_size(sidecar, size)


def _says_size(sidecar: Mapping[str, object], size: int) -> bool:
    """Whether a file of this size is as its sidecar says, where that says anything."""
    return sidecar.get(FILE.file_size, size) == size


def size_of(path: Path) -> dict[str, object]:
    """Give the sidecar field with the size of a file just written; another size is damage."""
    return {FILE.file_size: stat_written(path).st_size}


def is_of_run(path: Path, run: str | None) -> bool:
    """Whether a prediction is of the run with this digest, as far as is known.

    It is that of the session's latents. Of calibrated predictions none of another run stays.
    """
    if parse_name(path).get("desc", "").endswith(CALIBRATED):
        return True
    own = read_digest(path) if run is not None else None
    return own is None or own == run


def find_damaged_predictions(latents: Path) -> list[Path]:
    """Find the sidecars of predictions beside a session's latents that are not as they say.

    What they describe is not there, or has another size, or lacks a sidecar that can be read.
    Raw predictions of another run than the latents are passed over.
    """
    run, label = read_digest(latents), latents.name.partition("_desc-")[0]
    files: dict[Path, list[str]] = {}
    for folder in (latents.parent, latents.parent / "func", latents.parent / "dwi"):
        for entry in list_entries(folder):
            end = PREDICTION.search(entry.name)
            if end is not None and entry.name.startswith(f"{label}_"):
                stem = entry.path.removesuffix(end[1])
                files.setdefault(Path(f"{stem}.json"), []).append(entry.path)
    return [sidecar for sidecar, paths in files.items() if not _is_as_written(sidecar, paths, run)]


def _is_as_written(sidecar: Path, paths: Sequence[str], run: str | None) -> bool:
    """Whether there is a file besides its sidecar, as that says; or both are of another run."""
    try:
        content = read_json(sidecar)
    except InputError:
        return False
    own = Facts(content).text(FILE.run_digest)
    if own and own != run and not parse_name(sidecar).get("desc", "").endswith(CALIBRATED):
        return True
    described = next((path for path in paths if not path.endswith(sidecar.suffix)), "")
    return bool(own and described) and is_whole(Path(described), content)


def forget_digest(path: Path) -> None:
    """Take ``RunDigest`` out of a file's sidecar, before the file is replaced.

    A run that is stopped between the two leaves no file that seems to be what its sidecar says.
    """
    try:
        content = dict(read_json(sidecar_path(path)))
    except (InputError, OSError):  # nothing there that could vouch for it
        return
    if content.pop(FILE.run_digest, None) is not None:
        write_json(sidecar_path(path), content)


def redo_digest(measured: str, ridge: float) -> str:
    """``RunDigest`` of a partial correlation with the λ that the group level saved for everyone.

    The same whether it was measured with that λ or computed again by the group level.
    """
    return f"{measured.partition(REDONE)[0]}{REDONE}{float(ridge)!r}"


def read_measured_digest(path: Path) -> str:
    """``RunDigest`` of a measured connectome without the λ of the group level; or ''."""
    return (read_digest(path) or "").partition(REDONE)[0]


def matrix_sidecar(flavor: Flavor) -> dict[str, object]:
    """Fields that every connectome's sidecar has, measured or predicted: what the matrix is."""
    return {
        "Flavor": flavor.name,
        "Description": describe_flavor(flavor),
        "Weighted": True,
        "Directed": False,
        "ValidDiagonal": False,
        "StorageFormat": "Full",
        "Atlas": flavor.parcellation,
        "NodesFile": f"bids::atlas-{flavor.parcellation}_dseg.tsv",
    }


def predicted_sidecar(flavor: Flavor) -> dict[str, object]:
    """Fields of :func:`matrix_sidecar` of a predicted connectome."""
    facts = matrix_sidecar(flavor)
    return facts | {"Description": f"predicted: {facts['Description']}"}


def region_sidecar(
    parcellation: Parcellation, missing: NDArray[np.bool_], *, is_known: bool
) -> dict[str, object]:
    """Name the regions without data (NaN) in a sidecar, and say what the model makes of them.

    ``ImputedRegions`` are those that the model's input fills with the training mean; none where
    so many are missing that the model does not take the connectome at all, or the model does not
    know the atlas.
    """
    names = zip(parcellation.region_names, missing, strict=True)
    absent = [name for name, gone in names if gone]
    usable = is_known and bool(missing.mean() <= MAX_IMPUTED_SHARE)
    return to_sidecar(RegionsRecord(tuple(absent), tuple(absent if usable else ()), usable))


@contextmanager
def hold_session(output_dir: Path, label: str) -> Iterator[None]:
    """Let no other process write the predictions of a session, where there are locks."""
    lock = take_lock(output_dir / "logs" / f".{label}_predictions.lock")
    try:
        yield
    finally:
        if lock is not None:
            os.close(lock)


ADDED = tuple(vars(JUDGED).values())
"""Fields that judging adds to sidecars of latents and predictions, last and in this order."""


def mark_whole(
    paths: Sequence[Path],
    wanted: str,
    *,
    known: str = "",
    contents: Mapping[Path, Mapping[str, Any]] | None = None,
) -> str:
    """Digest the sidecars and sizes of files, if all are there as a run of a digest wrote them.

    Parameters
    ----------
    wanted : str
        ``RunDigest`` that each sidecar must have.
    known : str, optional
        What this gave before: where all bytes are the same, none is parsed again.
    contents : mapping of Path to mapping, optional
        What each sidecar must say (anything).

    Returns
    -------
    str
        Empty where a file is not there, has another size than its sidecar says, or is of another
        run, or its sidecar says something else.
    """
    found, mark = [], blake2b(wanted.encode(), digest_size=16)
    for path in paths:
        try:
            content, size = read_bytes(sidecar_path(path), at_most=MAX_TEXT), path.stat().st_size
        except (InputError, OSError):
            return ""
        mark.update(f"{path.name} {size} {len(content)} ".encode() + content)
        found.append((path, size, content))
    if mark.hexdigest() == known or all(
        _vouches(content, size, wanted, None if contents is None else contents.get(path, {}))
        for path, size, content in found
    ):
        return mark.hexdigest()
    return ""


def _vouches(content: bytes, size: int, wanted: str, expected: Mapping[str, Any] | None) -> bool:
    """Whether a sidecar is of a run, of a file of this size, and says what is expected."""
    try:
        said = Facts(parse_json(content))
    except ValueError:
        return False
    if said.text(FILE.run_digest) != wanted or not _says_size(said.plain, size):
        return False
    return expected is None or list(said.plain.items()) == list(expected.items())


def order_added(content: Mapping[str, Any], fields: Mapping[str, object]) -> dict[str, Any]:
    """Content of a sidecar with fields added or replaced; None takes one away.

    They stand last and in one order, whoever came first: a run alone gives the same bytes.
    """
    changed = {key: value for key, value in {**content, **fields}.items() if value is not None}
    ordered = {key: changed.pop(key) for key in ADDED if key in changed}
    return changed | ordered
