"""How alike connectomes of parts of the data are, over everyone: ``group/reliability.tsv``."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from kraken_bids.bids.folders import list_entries
from kraken_bids.bids.outputs import group_path
from kraken_bids.cohort.failures import Failure, failing_alone
from kraken_bids.cohort.members import Member
from kraken_bids.cohort.part_pairs import PartPair, PartSummary, read_pairs, summarize_pairs
from kraken_bids.io.records import remove_records, write_records

STAGE = "reliability"


def write_reliability(
    output_dir: Path, members: Sequence[Member], failures: list[Failure]
) -> None:
    """Write the table, unless nobody has parts; a damaged table of one session fails alone."""
    summaries = summarize_pairs(_read_all(output_dir, members, failures))
    path = group_path(output_dir, "reliability.tsv")
    if not summaries:
        remove_records(path)
        return
    write_records(
        path,
        [PartSummary],
        [[one] for one in summaries],
        description="How alike connectomes of parts of the data are, over sessions",
    )


def _read_all(
    output_dir: Path, members: Sequence[Member], failures: list[Failure]
) -> Iterator[list[PartPair]]:
    for member in members:
        folder = output_dir.joinpath(*(f"{k}-{v}" for k, v in member.entities.items()))
        names = (entry.name for entry in list_entries(folder / "func"))
        if not any(name.endswith("_reliability.tsv") for name in names):
            continue
        with failing_alone(failures, subject=member.subject, session=member.session, stage=STAGE):
            yield read_pairs(folder, member.measured_digests)
