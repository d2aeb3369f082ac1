"""What the reports show of trust, read back from the sidecars of the latents."""

from pathlib import Path

from kraken_bids.io.facts import Facts
from kraken_bids.pipeline.pages.tables import read_group_table
from kraken_bids.pipeline.pages.written import Written, display_order, parse_known
from kraken_bids.report.pages import PredictionVerdicts, TrustRow
from kraken_bids.scores.doubt_words import ABOUT, MEAN, NOT_JUDGED

VERDICTS = (ABOUT, MEAN, NOT_JUDGED)


def list_trust_rows(written: Written, *, href: str = "") -> tuple[TrustRow, ...]:
    """List what is known of each input of a session; empty before there are predictions."""
    entries = written.predicted.part("Trust").by_name()
    flavors = sorted(parse_known(entries), key=display_order)
    return tuple(
        TrustRow(
            participant=written.member.label,
            flavor=flavor.name,
            group=flavor.group,
            verdict=entry.text("Verdict") or "n/a",
            note=entry.text("Note"),
            outside_share=entry.number("OutsideShare"),
            outside_ratio=entry.number("OutsideRatio"),
            fit=entry.number("LatentFit"),
            rank=entry.count("LatentRank"),
            n_ranked=entry.count("LatentRankOf"),
            correlation=entry.number("CrossModalCorrelation"),
            correlation_resid=entry.number("CrossModalCorrelationResidual"),
            href=href,
        )
        for flavor in flavors
        for entry in (entries.get(flavor.name, Facts()),)
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
