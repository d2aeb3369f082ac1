"""What the reports show of trust, read back from the sidecars of the latents."""

from pathlib import Path

from kraken_bids.pipeline.pages.tables import read_group_table
from kraken_bids.pipeline.pages.written import Written, display_order, parse_known
from kraken_bids.report.pages import PredictionVerdicts, TrustRow
from kraken_bids.scores.quality_control import VERDICT_LEVELS, read_inputs

VERDICTS = tuple(VERDICT_LEVELS)


def list_trust_rows(written: Written, *, href: str = "") -> tuple[TrustRow, ...]:
    """List what is known of each input of a session; empty before there are predictions."""
    entries = read_inputs(written.predicted)
    return tuple(
        TrustRow(
            participant=written.member.label,
            flavor=flavor.name,
            group=flavor.group,
            verdict=entry.conclusion.trust or "n/a",
            note=entry.conclusion.note or "",
            outside_share=entry.quality.outside_share,
            outside_ratio=entry.quality.outside_ratio,
            fit=entry.quality.latent_fit,
            rank=entry.quality.latent_rank,
            n_ranked=entry.quality.latent_rank_n,
            correlation=entry.cross_modal.cross_modal_r,
            correlation_resid=entry.cross_modal.cross_modal_r_resid,
            href=href,
        )
        for flavor in sorted(parse_known(entries), key=display_order)
        if (entry := entries.get(flavor.name))
    )


def count_verdicts(output_dir: Path) -> tuple[PredictionVerdicts, ...]:
    """Count the verdicts of ``group/predictions.tsv`` by target and source."""
    columns = read_group_table(
        output_dir, "predictions.tsv", texts=("target", "source", "verdict")
    )
    if not columns:
        return ()
    counts: dict[str, dict[str, list[int]]] = {}
    names = (map(str, columns[key]) for key in ("target", "source", "verdict"))
    for target, source, verdict in zip(*names, strict=True):
        own = counts.setdefault(target, {}).setdefault(source, [0, 0, 0])
        if verdict in VERDICTS:
            own[VERDICTS.index(verdict)] += 1
    return tuple(
        PredictionVerdicts(
            flavor.name,
            flavor.group,
            {source: (n[0], n[1], n[2]) for source, n in counts[flavor.name].items()},
        )
        for flavor in sorted(parse_known(counts), key=display_order)
        if flavor.name in counts
    )
