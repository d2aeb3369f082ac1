"""What is written, shown in the terminal and drawn of an evaluation."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

import numpy as np

from kraken_bids.io.files import atomic_path
from kraken_bids.io.records import write_records
from kraken_bids.pipeline.check.evaluation import Evaluation
from kraken_bids.report.source_by_target import SourceByTarget, draw_source_by_target
from kraken_bids.scores.metrics import chance_rank
from kraken_bids.scores.quality_control import Metric
from kraken_bids.scores.significance import Score

NOTES = (
    "r: mean correlation with the own observed connectome; in brackets that of the group mean,",
    "  which knows nothing of the person. r less mean: the same without the group mean; ceiling:",
    "  that of a second measurement. gain: share of the group mean's squared error that is saved;",
    "  0 or less: no better than the mean. PLS gain: that of partial least squares from the same",
    "  inputs (--input). p: predictions dealt out to other people. [..]: 95 % bootstrap interval.",
)


def write_evaluation(evaluations: Sequence[Evaluation], path: Path) -> None:
    """Write one row per source, target and metric, and what the columns mean beside it."""
    write_records(
        path,
        [Metric],
        [[row] for one in evaluations for row in one.list_metrics()],
        description="How well predictions match observed connectomes",
    )


def describe_evaluation(evaluations: Sequence[Evaluation]) -> Iterator[str]:
    """Lines of a table for the terminal: one per source and target, and what the columns are."""
    heads = ("source", "target", "n", "r (mean)", "r less mean", "ceiling", "gain", "PLS gain")
    rows = [(*heads, "R2", "avgrank", "top1acc"), *map(_list_cells, evaluations)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = [
            cell.ljust(width) if k < 2 else cell.rjust(width)
            for k, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        yield "  ".join(cells).rstrip()
    yield from NOTES


def _list_cells(one: Evaluation) -> tuple[str, ...]:
    scores, unknown = one.scores, Score(float("nan"))
    ceiling = one.ceiling.score("avgcorr_resid")
    peer = scores.get("pls_gain", unknown)
    return (
        one.source,
        one.target.name,
        str(one.n_subjects),
        f"{scores['avgcorr'].value:.3f} ({_show(scores['baseline_avgcorr'])})",
        _show_p(scores["avgcorr_resid"]),
        _show(ceiling) if one.ceiling.n else "unknown",
        _show_interval(scores["gain"]),
        _show(peer),
        _show(scores["r2"]),
        _show_p(scores["avgrank"]),
        _show_p(scores["top1acc"]),
    )


def _show(score: Score) -> str:
    return "-" if np.isnan(score.value) else f"{score.value:.3f}"


def _show_p(score: Score) -> str:
    return _show(score) + ("" if np.isnan(score.p) else f" (p {score.p:.3f})")


def _show_interval(score: Score) -> str:
    return _show(score) + ("" if np.isnan(score.low) else f" [{score.low:.3f}, {score.high:.3f}]")


def draw_evaluation(evaluations: Sequence[Evaluation], metric: str, path: Path) -> None:
    """Draw the heatmap of one metric, source by target, as PNG."""
    sources = tuple(dict.fromkeys(e.source for e in evaluations))
    targets = tuple(sorted({e.target for e in evaluations}))
    values = np.full((len(sources), len(targets)), np.nan)
    for e in evaluations:
        values[sources.index(e.source), targets.index(e.target)] = e.scores[metric].value
    table = SourceByTarget(
        sources=sources,
        source_groups=tuple(map(_group, sources)),
        targets=tuple(target.name for target in targets),
        target_groups=tuple(target.group for target in targets),
    )
    n = max(e.n_subjects for e in evaluations)
    chance = {"top1acc": 1 / n, "top2acc": 2 / n, "avgrank": chance_rank(n)}.get(metric, 0.0)
    png = draw_source_by_target(table, values, chance=chance, digits=2)
    with atomic_path(path) as temporary:
        temporary.write_bytes(png)


def _group(source: str) -> Literal["FC", "SC", "both"]:
    """Modality that a source takes its inputs from; both where its name does not say."""
    name = source.partition(".")[0]
    if name == "fusionFC" or (name.startswith("FC") and "_" in name):
        return "FC"
    return "SC" if name == "fusionSC" or (name.startswith("SC") and "_" in name) else "both"
