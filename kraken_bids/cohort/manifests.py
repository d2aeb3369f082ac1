"""Hashes of the files of OUTPUT_DIR: a manifest for each participant, and one for the group."""

import errno
import logging
import os
import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from stat import S_ISREG
from typing import NamedTuple

from kraken_bids.bids.outputs import group_path
from kraken_bids.exceptions import InputError
from kraken_bids.io.digests import compute_sha256, recall_sha256
from kraken_bids.io.texts import read_text
from kraken_bids.io.writing import write_table

logger = logging.getLogger(__name__)

GROUP = ""
"""In place of a participant: files of the group, and those at the root of OUTPUT_DIR."""
PAGE = re.compile(r"sub-([^_]+)(?:_ses-.+)?\.html")
COLUMNS = ("path", "size", "sha256", "modified")
CHANGED, MISSING, EXTRA, UNRECORDED = "changed", "missing", "extra", "not recorded"
UNREADABLE = "not readable"


class Recorded(NamedTuple):
    """What a manifest says of a file."""

    size: int
    sha256: str
    modified: int
    """Time of its last change, in nanoseconds."""


@dataclass(frozen=True, order=True)
class Finding:
    """A file that is not as a run left it."""

    path: str
    """Inside OUTPUT_DIR."""
    what: str
    """``changed``, ``missing``, ``extra``, ``not readable``; ``not recorded`` by any manifest."""


def manifest_path(output_dir: Path, subject: str) -> Path:
    """Path of the manifest of a participant, or of the group."""
    name = f"sub-{subject}" if subject else "group"
    return output_dir / "logs" / f"{name}_files.tsv"


def list_pages(output_dir: Path) -> dict[str, list[str]]:
    """List the names of everyone's pages, by participant, in one look at OUTPUT_DIR."""
    found: dict[str, list[str]] = {}
    with os.scandir(output_dir) as entries:
        for name in sorted(entry.name for entry in entries):
            if (page := PAGE.fullmatch(name)) is not None:
                found.setdefault(page[1], []).append(name)
    return found


def _stat_files(
    output_dir: Path, subject: str, pages: Sequence[str] | None
) -> dict[str, os.stat_result]:
    """Size and time of every file by its path in OUTPUT_DIR.

    Neither of links that lead to none, nor of what cannot be read to an end.
    """
    found: dict[str, os.stat_result] = {}
    for name, entry in _list_entries(output_dir, subject, pages):
        status = _stat(entry)
        if status is not None and S_ISREG(status.st_mode):
            found[name] = status
    return found


def _list_entries(
    output_dir: Path, subject: str, pages: Sequence[str] | None
) -> Iterator[tuple[str, Path | os.DirEntry[str]]]:
    """List all but folders and hidden files (caches, locks), each with its path in OUTPUT_DIR."""
    if subject:
        for name in list_pages(output_dir).get(subject, ()) if pages is None else pages:
            yield name, output_dir / name
        folder = f"sub-{subject}"
    else:
        with os.scandir(output_dir) as entries:
            for entry in entries:
                if not entry.name.startswith((".", "sub-")):
                    yield entry.name, entry
        folder = group_path(output_dir, "").name
    if (output_dir / folder).is_dir():
        yield from _list_folder(f"{output_dir}/{folder}", folder)


def _list_folder(path: str, name: str) -> Iterator[tuple[str, os.DirEntry[str]]]:
    with os.scandir(path) as entries:
        for entry in entries:
            own = f"{name}/{entry.name}"
            if entry.name.startswith("."):
                continue
            if entry.is_dir(follow_symlinks=False):
                yield from _list_folder(entry.path, own)
            else:
                yield own, entry


def _stat(entry: Path | os.DirEntry[str]) -> os.stat_result | None:
    """Size, time and kind; None of links that lead to none, or in a circle."""
    try:
        return entry.stat()
    except FileNotFoundError:
        return None
    except OSError as error:
        if error.errno != errno.ELOOP:
            raise
        return None


def find_vanished(
    output_dir: Path, subject: str, pages: Sequence[str] | None = None
) -> frozenset[str]:
    """Find what is recorded of a participant, or of the group, and is not there.

    ``pages`` as :func:`write_manifest` takes them. A damaged record, which is made anew, says
    nothing.
    """
    path = manifest_path(output_dir, subject)
    try:
        known = read_manifest(path).keys() if path.is_file() else ()
    except InputError:
        return frozenset()
    entries = _list_entries(output_dir, subject, pages) if known else ()
    there = {name for name, entry in entries if not entry.is_symlink() or _stat(entry)}
    return frozenset(known) - there


def write_manifest(
    output_dir: Path,
    subject: str,
    begun: int = 0,
    pages: Sequence[str] | None = None,
    *,
    vanished: Collection[str] = (),
) -> list[Finding]:
    """Record the files of a participant, or of the group, as they are.

    A file whose size and time are those recorded before is not read again. One that had vanished
    stays recorded until it is there again.

    Parameters
    ----------
    begun : int
        When the run began, in nanoseconds.
    pages : sequence of str, optional
        Of the participant, from :func:`list_pages`, where many participants are recorded.
    vanished : collection of str, optional
        What was recorded and was not there when the run began (:func:`find_vanished`).

    Returns
    -------
    list of Finding
        Files whose content is not the one recorded before, and that were changed before the run
        began, by hand or by a run that was stopped; and those that have vanished and were not
        made again.
    """
    path = manifest_path(output_dir, subject)
    known = _recall(path)
    rows: dict[str, Recorded] = {}
    found: list[Finding] = []
    for name, status in sorted(_stat_files(output_dir, subject, pages).items()):
        before = known.get(name)
        if before is not None and (before.size, before.modified) == (
            status.st_size,
            status.st_mtime_ns,
        ):
            rows[name] = before
        else:
            content = recall_sha256(output_dir / name)
            rows[name] = Recorded(status.st_size, content, status.st_mtime_ns)
            is_other = before is not None and before.sha256 != rows[name].sha256
            found += [Finding(name, CHANGED)] if is_other and status.st_mtime_ns < begun else []
    for name in sorted((known.keys() - rows.keys()) & set(vanished)):
        rows[name] = known[name]
        found.append(Finding(name, MISSING))
    if rows != known or not path.is_file():
        write_table(
            path,
            {
                "path": [*rows],
                "size": [str(one.size) for one in rows.values()],
                "sha256": [one.sha256 for one in rows.values()],
                "modified": [str(one.modified) for one in rows.values()],
            },
        )
    return found


def read_manifest(path: Path) -> dict[str, Recorded]:
    """Read a manifest: what it says of each file, by its path inside OUTPUT_DIR.

    Raises
    ------
    InputError
        If it is damaged.
    """
    try:
        lines = read_text(path).splitlines()
        if lines[:1] != ["\t".join(COLUMNS)]:
            raise ValueError(f"the header {lines[:1]}")
        rows = (line.split("\t") for line in lines[1:])
        return {name: Recorded(int(n), sha, int(time)) for name, n, sha, time in rows}
    except ValueError as error:
        raise InputError(
            f"expected the columns {', '.join(COLUMNS)} in {path}; reading them gave: {error}. "
            "Run the level again, which writes it anew."
        ) from error


def _recall(path: Path) -> dict[str, Recorded]:
    """Read a manifest that is to be replaced; nothing where there is none, or a damaged one."""
    try:
        return read_manifest(path) if path.is_file() else {}
    except InputError as error:
        logger.warning("%s is damaged and made anew: %s", path, error)
        return {}


def compare_files(
    output_dir: Path, subject: str, pages: Sequence[str] | None = None
) -> list[Finding]:
    """Compare the files of a participant, or of the group, with what was recorded, by hash.

    ``pages`` as :func:`write_manifest` takes them.

    Raises
    ------
    InputError
        If the manifest is damaged.
    """
    path = manifest_path(output_dir, subject)
    there = _stat_files(output_dir, subject, pages)
    if not path.is_file():
        return [Finding(name, UNRECORDED) for name in there]
    known = read_manifest(path)
    found = [Finding(name, MISSING) for name in known.keys() - there.keys()]
    found += [Finding(name, EXTRA) for name in there.keys() - known.keys()]
    for name in known.keys() & there.keys():
        own = known[name]
        is_same = there[name].st_size == own.size
        try:
            is_same = is_same and compute_sha256(output_dir / name) == own.sha256
        except OSError:
            found.append(Finding(name, UNREADABLE))
        else:
            found += [] if is_same else [Finding(name, CHANGED)]
    return sorted(found)


def list_recorded(output_dir: Path) -> list[str]:
    """List the participants of OUTPUT_DIR by folders and manifests, the group first."""
    folders = {path.name for path in output_dir.glob("sub-*") if path.is_dir()}
    known = {path.name.removesuffix("_files.tsv") for path in _manifests(output_dir)}
    subjects = {name.removeprefix("sub-") for name in folders | known if name.startswith("sub-")}
    return [GROUP, *sorted(subjects)]


def _manifests(output_dir: Path) -> Iterable[Path]:
    return (output_dir / "logs").glob("sub-*_files.tsv")
