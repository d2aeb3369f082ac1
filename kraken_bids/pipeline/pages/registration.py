"""What a participant's report shows of the registration: pictures drawn while measuring."""

from functools import partial
from pathlib import Path

from kraken_bids.bids.names import parse_name
from kraken_bids.bids.outputs import REGISTRATION
from kraken_bids.exceptions import InputError
from kraken_bids.io.files import is_whole_png
from kraken_bids.pipeline.pages.tables import read_or_none
from kraken_bids.pipeline.pages.written import Written
from kraken_bids.report.pages import Registration

ALGORITHMS = {"ifod2": "iFOD2", "sdstream": "SD_STREAM"}


def find_registration_pictures(written: Written) -> list[Path]:
    """Find the pictures of one session, without those of runs that were left aside."""
    label = written.member.label
    folder = written.output_dir / f"sub-{written.member.subject}" / "figures"
    found = sorted(folder.glob(f"{label}_{REGISTRATION}_*.png"))
    return [path for path in found if not written.leftovers.holds_picture(path)]


def list_registration(written: Written) -> tuple[Registration, ...]:
    """List the pictures of a session, those on functional data first."""
    found = find_registration_pictures(written)
    rows = (read_or_none(partial(_read, path, written.member.label)) for path in found)
    known = [row for row in rows if row is not None]
    return tuple(sorted(known, key=lambda row: (row.is_structural, row.name)))


def _read(path: Path, label: str) -> Registration:
    if not is_whole_png(path):
        raise InputError(
            f"expected a whole PNG file at {path}; found another. Run the participant level again."
        )
    name = path.stem.removeprefix(f"{label}_")
    entities = parse_name(f"{path.stem}_picture.png")
    algorithm = entities.get("tracks", "")
    what = f"task {entities['task']} " if "task" in entities else ""
    what = f"streamlines of {ALGORITHMS.get(algorithm, algorithm)} " if algorithm else what
    title = f"{entities.get('atlas', '')} on {what}in {entities.get('space', 'unknown')}"
    return Registration(name, title, path.read_bytes(), bool(algorithm))
