"""Whether a page is up to date: it holds a digest of everything that it shows."""

import hashlib
import os
import pickle
import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import fields
from pathlib import Path

from kraken_bids import __version__
from kraken_bids.bids.outputs import DECODED, group_path
from kraken_bids.cohort.failures import read_failures
from kraken_bids.io.digests import recall_sha256
from kraken_bids.report.section import Page
from kraken_bids.report.sections.registration import find_registration_pictures
from kraken_bids.report.shown_files import list_shown
from kraken_bids.report.written import Written

HEAD_BYTES = 16384
"""The digest stands among the first lines of a page."""
END = b"</html>"
NOT_READ = re.compile(rf"^(?!.*_(stat|label)-).*_desc-{DECODED}_relevance\.nii\.gz$")
"""Relevance of every volume of a run: gigabytes that no page reads, only their sidecar."""
PATTERN = re.compile(rb'name="kraken_bids-digest" content="([^"]+)"')


def digest_cohort(output_dir: Path) -> str:
    """Digest of the group's files that participants' pages show, and of the tables of regions."""
    group = group_path(output_dir, "")
    tables = sorted(output_dir.glob("atlas-*_dseg.tsv"))
    return _digest_files([*(group / name for name in list_shown(group)), *tables], root=output_dir)


def digest_subject(written: Written, cohort: str) -> str:
    """Digest of everything that the page of a session shows.

    Parameters
    ----------
    cohort : str
        From :func:`digest_cohort`, which is the same for everyone.
    """
    output_dir, member = written.output_dir, written.member
    notices = output_dir / "logs" / f"{member.label}_inputs.json"
    shown = (written.folder / name for name in written.shown)
    files = [*shown, *find_registration_pictures(written), notices]
    own = _digest_files(files, root=output_dir)
    failed = read_failures(output_dir, member.subject)
    return hashlib.sha256(
        f"{__version__} {member.label} {cohort} {own} {failed}".encode()
    ).hexdigest()


def digest_page(page: Page) -> str:
    """Digest of what a page shows, the date aside."""
    shown = [getattr(page, f.name) for f in fields(page) if f.name not in {"created", "sections"}]
    return hashlib.sha256(pickle.dumps(shown)).hexdigest()


def mark_page(digest: str, figures: Mapping[str, bytes]) -> str:
    """Say in a page what it was drawn from, and the sizes of the figures beside it."""
    return " ".join([digest, *(f"{name}:{len(png)}" for name, png in figures.items())])


def is_current(path: Path, digest: str, figures: Path) -> bool:
    """Whether a page was drawn from what has this digest, and is whole, as its figures are.

    Parameters
    ----------
    figures : path
        Folder and first letters of the figures beside the page.
    """
    try:
        with path.open("rb") as file:
            head = PATTERN.search(file.read(HEAD_BYTES))
            file.seek(-min(len(END), path.stat().st_size), os.SEEK_END)
            is_whole = file.read() == END
        if head is None or not is_whole:
            return False
        found, *names = head.group(1).decode().split()
        sizes = (name.rpartition(":") for name in names)
        return found == digest and all(
            Path(f"{figures}{name}.png").stat().st_size == int(size) for name, _, size in sizes
        )
    except (OSError, ValueError):
        return False


def _digest_files(paths: Iterable[Path], *, root: Path) -> str:
    """Digest of names and contents; files written again as they were do not change it."""
    total = hashlib.sha256()
    for path in paths:
        content = "unreadable"
        with suppress(OSError):  # folders may be closed
            if not path.is_file():
                continue
            content = "named" if NOT_READ.match(path.name) else recall_sha256(path)
        total.update(f"{path.relative_to(root)} {content}\n".encode())
    return total.hexdigest()
