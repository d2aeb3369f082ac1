"""Whether the discordance of a cohort is in its tables already."""

from collections.abc import Mapping, Sequence
from hashlib import sha256
from pathlib import Path

from kraken_bids import __version__
from kraken_bids.bids.outputs import discordance_path, group_path, sidecar_path
from kraken_bids.cohort.members import Member
from kraken_bids.cohort.sidecar_records import FILE
from kraken_bids.cohort.sidecars import read_digest
from kraken_bids.exceptions import InputError
from kraken_bids.io.facts import Facts, read_facts
from kraken_bids.pipeline.check.compared_sessions import ControlRules
from kraken_bids.pipeline.check.region_residuals import RegionResiduals

FINDINGS, TESTS = "discordance.tsv", "discordance_tests.tsv"
"""Tables of the group; the sidecar of the second is the record."""


def digest_cohort(
    members: Sequence[Member],
    found: Sequence[RegionResiduals],
    rules: ControlRules,
    *,
    digests: Mapping[str, str],
) -> str:
    """Digest everything that the tables of discordance say something of.

    Parameters
    ----------
    digests : mapping of str to str
        Of everyone's predictions, by label of the session.
    """
    labels = [(member.label, digests.get(member.label, "")) for member in members]
    columns = {name: list(values) for name, values in rules.columns.items()}
    words = (__version__, labels, sorted(rules.controls), rules.is_named, columns)
    total = sha256(repr(words).encode())
    for one in found:
        total.update(repr((one.source, one.target.name, one.subjects)).encode())
        for name, values in sorted(one.measures.items()):
            total.update(name.encode() + values.tobytes())
    return total.hexdigest()


def note_tables(output_dir: Path, members: Sequence[Member], *, digest: str) -> dict[str, object]:
    """Give what the record says of the tables that have just been written.

    Parameters
    ----------
    digest : str
        As of :func:`digest_cohort`.
    """
    return {
        FILE.run_digest: digest,
        "SessionTables": count_tables(output_dir, members),
        "FindingsSize": group_path(output_dir, FINDINGS).stat().st_size,
    }


def are_tables_current(output_dir: Path, members: Sequence[Member], *, digest: str) -> bool:
    """Whether all tables are there, made from what has this digest.

    Parameters
    ----------
    digest : str
        As of :func:`digest_cohort`.
    """
    paths = [group_path(output_dir, name) for name in (FINDINGS, TESTS)]
    try:
        facts = read_facts(sidecar_path(paths[1]))
        sizes = [path.stat().st_size for path in paths]
    except (InputError, OSError):
        facts, sizes = Facts(), []
    known = [facts.count("FindingsSize"), facts.count(FILE.file_size)]
    return (
        facts.text(FILE.run_digest) == digest
        and sizes == known
        and count_tables(output_dir, members) == facts.count("SessionTables")
    )


def count_tables(output_dir: Path, members: Sequence[Member]) -> int:
    """Count the sessions whose table is there and whole."""
    paths = [discordance_path(output_dir, one.subject, one.session) for one in members]
    return sum(read_digest(path, if_whole=True) is not None for path in paths)
