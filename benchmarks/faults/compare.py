"""What is wrong with a folder of results: halves, differences, leftovers, contradictions."""

import json
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np

from kraken_bids.cohort.manifests import UNRECORDED, compare_files, list_recorded

STAMPS = re.compile(
    rb"\d{8}T\d{6}_(participant|group)_\d+(-\d+)?|20\d\d-\d\d-\d\d([ T]\d\d:\d\d(:\d\d)?)?"
)
"""Names of runs, and dates in pages."""
SHARED = ("RunDigest", "AdaptationNotice", "AdaptationMode", "Adaptation", "SourceFlavors")
"""What the sidecars of a prediction and of its latents say alike."""
MAT_HEADER = 128
"""Bytes."""
TEMPORARY = re.compile(r"\..+\.tmp(\..+)?")


def read_results(out: Path) -> dict[str, bytes]:
    """Content of every file that must not differ between two runs, by its path in the folder.

    Left out are logs and settings, which each run writes anew, and locks, which are empty; names
    of runs, dates and the folder's own path are replaced.
    """
    own = str(out).encode()
    return {
        path.relative_to(out).as_posix(): STAMPS.sub(b"STAMP", _read(path).replace(own, b"OUT"))
        for path in _list_files(out)
        if not _is_of_run(path, out) and not TEMPORARY.fullmatch(path.name)
    }


def list_temporary(out: Path) -> list[str]:
    """Half-written files under hidden names."""
    return [str(path) for path in _list_files(out) if TEMPORARY.fullmatch(path.name)]


def list_differences(wanted: dict[str, bytes], found: dict[str, bytes]) -> dict[str, list[str]]:
    """Paths by what is wrong: ``lost``, ``wrong`` (other bytes), ``left`` (that nobody wrote)."""
    return {
        "lost": sorted(set(wanted) - set(found)),
        "left": sorted(set(found) - set(wanted)),
        "wrong": sorted(name for name in set(wanted) & set(found) if wanted[name] != found[name]),
    }


def list_halves(out: Path) -> list[str]:
    """Files under their final name that end in the middle."""
    halves = []
    for path in _list_files(out):
        if path.name.startswith(".") or _is_of_run(path, out):
            continue  # on the way, or a store with a checksum of its own
        try:
            is_whole = _is_whole(path)
        except Exception as error:  # noqa: BLE001 - a broken file gives any error
            halves.append(f"{path}: {error}")
        else:
            halves += [] if is_whole else [f"{path}: cut"]
    return halves


def list_contradictions(out: Path) -> list[str]:
    """List predictions that do not go together: of another run, or adapted otherwise.

    Every sidecar is held against that of the session's latents, if these name its source (an
    earlier run may have had others), and these against the group's adaptation.
    """
    found = []
    for latents in sorted(out.glob("sub-*/**/*_desc-kraken_latents.json")):
        known = json.loads(latents.read_text())
        for sidecar in sorted(latents.parent.glob("*/*kraken_relmat.json")):
            own = json.loads(sidecar.read_text())
            wanted = known | known["InputSources"].get(own["Source"], own)
            differing = [key for key in SHARED if own.get(key) != wanted.get(key)]
            if differing and own["Source"] in known["InputSources"]:
                found.append(f"{sidecar}: {', '.join(differing)} not as in {latents.name}")
        modes = {str(source["AdaptationMode"]) for source in known["InputSources"].values()}
        if len(modes) > 1 or (modes == {"none"} and (out / "group" / "adaptation.h5").exists()):
            found.append(f"{latents}: adaptation {modes}")
    return found


def list_unverified(out: Path) -> list[str]:
    """List files that are not as the hashes beside the logs say, where there are any."""
    return [
        f"{finding.path}: {finding.what}, by the hashes of the last run"
        for subject in list_recorded(out)
        for finding in compare_files(out, subject)
        if finding.what != UNRECORDED
    ]


def _read(path: Path) -> bytes:
    """Content of a file, without the dates that a ``.mat`` and the members of a ``.zip`` hold."""
    if path.suffix == ".zip":
        with zipfile.ZipFile(path) as archive:
            return b"".join(name.encode() + archive.read(name) for name in archive.namelist())
    return path.read_bytes()[MAT_HEADER if path.suffix == ".mat" else 0 :]


def _list_files(out: Path) -> Iterator[Path]:
    return (path for path in sorted(out.rglob("*")) if path.is_file() and not path.is_symlink())


def _is_of_run(path: Path, out: Path) -> bool:
    """Whether a run writes it anew: its log, settings and hashes; locks, stamps, words of jobs."""
    logs = out / "logs"
    is_of_log = path.suffix in {".log", ".toml"} or path.name.endswith("_files.tsv")
    return (
        path.is_relative_to(logs / "jobs")
        or path.suffix in {".lock", ".sha256"}
        or (path.parent == logs and is_of_log)
    )


def _is_whole(path: Path) -> bool:
    """Whether a file is complete, as far as its format tells."""
    content = path.read_bytes()
    if path.name.endswith("relmat.dense.tsv"):
        rows = np.loadtxt(path, ndmin=2)
        return content.endswith(b"\n") and rows.shape[0] == rows.shape[1]
    ends = {".html": b"</html>", ".png": b"IEND\xaeB`\x82", ".tsv": b"\n", ".csv": b"\n"}
    if path.suffix in ends:
        return content.rstrip(b" " if path.suffix in {".tsv", ".csv"} else None).endswith(
            ends[path.suffix]
        )
    if path.suffix == ".json":
        json.loads(content)
    elif path.suffix == ".h5":
        with h5py.File(path) as file:
            file.visititems(lambda _, node: node[()] if isinstance(node, h5py.Dataset) else None)
    elif path.suffix in {".npz", ".zip"}:
        with zipfile.ZipFile(path) as archive:
            return archive.testzip() is None
    return bool(content)
