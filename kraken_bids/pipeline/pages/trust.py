"""What the reports show of trust, read back from the sidecars of the latents."""

from collections.abc import Sequence
from pathlib import Path

from kraken_bids.bids.outputs import report_path
from kraken_bids.flavors import parse_flavor
from kraken_bids.pipeline.pages.written import Written, display_order
from kraken_bids.pipeline.predictions.cohort import Member
from kraken_bids.report.pages import TrustRow


def list_trust_rows(written: Written) -> tuple[TrustRow, ...]:
    """List what is known of each input of a session; empty before there are predictions."""
    entries = written.predicted.get("Trust", {})
    flavors = sorted(map(parse_flavor, entries), key=display_order)
    return tuple(
        TrustRow(
            participant=written.member.label,
            flavor=flavor.name,
            group=flavor.group,
            verdict=entry["Verdict"],
            note=entry.get("Note", ""),
            outside_share=entry.get("OutsideShare"),
            outside_ratio=entry.get("OutsideRatio"),
            fit=entry.get("LatentFit"),
            rank=entry.get("LatentRank"),
            n_ranked=entry.get("LatentRankOf"),
            correlation=entry.get("CrossModalCorrelation"),
            correlation_resid=entry.get("CrossModalCorrelationResidual"),
            href=report_path(written.output_dir, written.member.subject).name,
        )
        for flavor in flavors
        for entry in (entries[flavor.name],)
    )


def list_cohort_trust(output_dir: Path, members: Sequence[Member]) -> tuple[TrustRow, ...]:
    """List the same of every session."""
    return tuple(row for member in members for row in list_trust_rows(Written(output_dir, member)))
