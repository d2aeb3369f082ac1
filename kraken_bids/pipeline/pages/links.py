"""Names of the participants' pages, and which page comes before and after which."""

from collections.abc import Collection, Sequence
from pathlib import Path

from kraken_bids.cohort.from_dataset import Member
from kraken_bids.report.pages import FileLink

Neighbours = tuple[FileLink | None, FileLink | None]


def name_pages(members: Sequence[Member]) -> dict[str, str]:
    """Name the page of every session, by its label.

    ``sub-01.html``; ``sub-01_ses-1.html`` where a participant has several sessions.
    """
    per_subject: dict[str, int] = {}
    for member in members:
        per_subject[member.subject] = per_subject.get(member.subject, 0) + 1
    return {
        member.label: f"{member.label if per_subject[member.subject] > 1 else stem}.html"
        for member in members
        for stem in (f"sub-{member.subject}",)
    }


def list_neighbours(output_dir: Path, names: Collection[str]) -> dict[str, Neighbours]:
    """List the pages before and after each page of a run, by its name.

    Parameters
    ----------
    output_dir : Path
        Pages that are there already count too.
    names : collection of str
        Of the pages of the run.
    """
    there = {path.name for path in output_dir.glob("sub-*.html")}
    stems = sorted(Path(name).stem for name in there | set(names))
    links: list[FileLink | None] = [FileLink(f"{stem}.html", stem) for stem in stems]
    around = [None, *links, None]
    return {
        f"{stem}.html": (around[k], around[k + 2])
        for k, stem in enumerate(stems)
        if f"{stem}.html" in names
    }
