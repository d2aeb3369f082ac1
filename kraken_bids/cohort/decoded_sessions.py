"""Sessions in OUTPUT_DIR of which nothing is there but the states of whole volumes."""

from collections.abc import Sequence
from pathlib import Path

from kraken_bids.bids.folders import is_folder
from kraken_bids.bids.outputs import DECODED
from kraken_bids.cohort.from_dataset import Member

TABLES = f"func/*_desc-{DECODED}_probabilities.tsv"


def list_decoded_members(
    output_dir: Path, subjects: Sequence[str], *, besides: Sequence[Member] = ()
) -> list[Member]:
    """List sessions whose volumes were decoded and that have no connectomes.

    Parameters
    ----------
    subjects : sequence of str
        Labels without ``sub-``.
    besides : sequence of Member
        Sessions with connectomes.
    """
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
