"""Columns that say whose row of a table it is."""

from dataclasses import dataclass

from kraken_bids.cohort.members import Member
from kraken_bids.io.records import column


@dataclass(frozen=True)
class Whose:
    """Whose row of a table it is."""

    participant_id: str = column()
    session_id: str | None = column()


def whose_row(member: Member) -> Whose:
    """Say whose row of a table it is."""
    return Whose(f"sub-{member.subject}", f"ses-{member.session}" if member.session else None)
