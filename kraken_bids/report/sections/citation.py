"""Works to cite: those that the methods name."""

from kraken_bids.report.boilerplate.bibliography import Work
from kraken_bids.report.section import Section
from kraken_bids.report.sections.methods import describe_group, describe_session
from kraken_bids.report.written import Written
from kraken_bids.report.written_group import WrittenGroup


def list_references(works: list[Work]) -> tuple[tuple[str, str], ...]:
    """Text and address of each; a link to click, nothing is fetched when the page opens."""
    return tuple((work.full, work.address) for work in works)


def gather(written: Written) -> tuple[tuple[str, str], ...]:
    """List what the methods of a session cite."""
    return list_references(written.once(describe_session).works)


def gather_group(group: WrittenGroup) -> tuple[tuple[str, str], ...]:
    """List what the methods of the group cite."""
    return list_references(group.once(describe_group).works)


SUBJECT = Section("citation", "How to cite", "citation.html", gather)
GROUP = Section("citation", "How to cite", "citation.html", gather_group)
