"""What a participant's report shows of the registration: pictures drawn while measuring."""

from pathlib import Path

from kraken_bids.bids.names import parse_name
from kraken_bids.bids.outputs import REGISTRATION
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
    rows = [
        _describe(path, path.stem.removeprefix(f"{written.member.label}_"))
        for path in find_registration_pictures(written)
    ]
    return tuple(sorted(rows, key=lambda row: (row.is_structural, row.name)))


def _describe(path: Path, name: str) -> Registration:
    entities = parse_name(f"{path.stem}_picture.png")
    algorithm = entities.get("tracks", "")
    what = f"task {entities['task']} " if "task" in entities else ""
    what = f"streamlines of {ALGORITHMS.get(algorithm, algorithm)} " if algorithm else what
    title = f"{entities.get('atlas', '')} on {what}in {entities.get('space', 'unknown')}"
    return Registration(name, title, path.read_bytes(), bool(algorithm))
