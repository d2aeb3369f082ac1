"""How alike connectomes of single runs and of the first minutes are."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from kraken_bids.cohort.part_pairs import PartPair, PartSummary, read_pairs
from kraken_bids.report.section import Section
from kraken_bids.report.written import Written, read_or_none, sort_flavors
from kraken_bids.report.written_group import WrittenGroup, read_group_records


@dataclass(frozen=True)
class PairRow:
    """Two parts of the data, and how alike each flavor's connectomes of them are."""

    first: str
    second: str
    shared_minutes: float
    cells: dict[str, PartPair | PartSummary]
    """By flavor."""


@dataclass(frozen=True)
class PairTable:
    """Rows of pairs, columns of flavors."""

    flavors: tuple[str, ...]
    rows: tuple[PairRow, ...]
    n_sessions: int | None = None
    """Of the group: most that have a pair."""


def list_pairs(written: Written) -> PairTable | None:
    """Pairs of the parts of a session; None where no parts were asked for."""
    read = partial(read_pairs, written.folder, written.member.measured_digests)
    return _arrange(read_or_none(read) or [])


def list_summaries(group: WrittenGroup) -> PairTable | None:
    """Pairs over everyone; None where nobody has parts."""
    return _arrange(read_group_records(group.output_dir, "reliability.tsv", PartSummary)[1])


def _arrange(pairs: Sequence[PartPair] | Sequence[PartSummary]) -> PairTable | None:
    rows: dict[tuple[str, str], PairRow] = {}
    for pair in pairs:
        key = pair.first, pair.second
        row = rows.setdefault(key, PairRow(*key, pair.shared_minutes, {}))
        row.cells[pair.flavor] = pair
    if not rows:
        return None
    flavors = tuple(one.name for one in sort_flavors({pair.flavor for pair in pairs}))
    counts = [pair.n_sessions for pair in pairs if isinstance(pair, PartSummary)]
    return PairTable(flavors, tuple(rows.values()), max(counts, default=None))


SUBJECT, GROUP = (
    Section("reliability", "Reliability", "reliability.html", gather)
    for gather in (list_pairs, list_summaries)
)
