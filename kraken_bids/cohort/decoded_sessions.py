"""Sessions in OUTPUT_DIR of which whole volumes were decoded, or are to be."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from kraken_bids.bids.folders import is_folder
from kraken_bids.bids.names import session_label
from kraken_bids.bids.outputs import DECODED
from kraken_bids.cohort.members import Member
from kraken_bids.cohort.sidecars import read_digest
from kraken_bids.io.facts import read_facts
from kraken_bids.io.writing import write_json

TABLES = f"func/*_desc-{DECODED}_probabilities.tsv"
RECORD = "volumes"
"""Last word of the name of a session's record in ``logs``."""


def decodings_path(output_dir: Path, subject: str, session: str | None) -> Path:
    """Path of what runs have noted of a session: the tables of its decoded runs."""
    return output_dir / "logs" / f"{session_label(subject, session)}_{RECORD}.json"


def note_decodings(
    output_dir: Path, subject: str, session: str | None, planned: Mapping[Path, str]
) -> None:
    """Note what a run decodes of a session, beside what earlier ones have of its other BOLD.

    Parameters
    ----------
    planned : mapping of Path to str
        Table of each run of BOLD, and the digest that its sidecar has once it is decoded.
    """
    known = read_decodings(output_dir, subject, session) or {}
    own = {path.relative_to(output_dir).as_posix(): one for path, one in planned.items()}
    there = {name: one for name, one in known.items() if (output_dir / name).is_file()}
    write_json(decodings_path(output_dir, subject, session), {"Decoded": {**there, **own}})


def read_decodings(output_dir: Path, subject: str, session: str | None) -> dict[str, str] | None:
    """Path in OUTPUT_DIR of each table that runs decode to its digest; None where none does."""
    known = read_facts(decodings_path(output_dir, subject, session))
    if "Decoded" not in known:
        return None
    digests = known.part("Decoded")
    return {name: digests.text(name) for name in digests}


def list_undecoded(output_dir: Path, decodings: Mapping[str, str]) -> list[str]:
    """List the tables that are not there as they were to be decoded."""
    found = {name: read_digest(output_dir / name, if_whole=True) for name in decodings}
    return [name for name, digest in found.items() if digest != decodings[name]]


def list_decoded_members(
    output_dir: Path, subjects: Sequence[str] | None = None, *, besides: Sequence[Member] = ()
) -> list[Member]:
    """List sessions whose volumes were decoded and that have no connectomes.

    Parameters
    ----------
    subjects : sequence of str, optional
        Labels without ``sub-`` (everyone).
    besides : sequence of Member
        Sessions with connectomes.
    """
    if subjects is None:
        folders = [path for path in sorted(output_dir.glob("sub-*")) if is_folder(path)]
        subjects = [path.name.removeprefix("sub-") for path in folders]
    known = {(one.subject, one.session) for one in besides}
    found = []
    for subject in subjects:
        folder = output_dir / f"sub-{subject}"
        for level in (folder, *sorted(folder.glob("ses-*"))):
            session = None if level == folder else level.name.removeprefix("ses-")
            if (subject, session) in known or not is_folder(level):
                continue
            if any(level.glob(TABLES)):
                found.append(Member(subject, session, {}))
    return found
