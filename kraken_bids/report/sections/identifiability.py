"""How well the right subject is found among everyone, source by target."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kraken_bids.flavors import parse_flavor
from kraken_bids.io.records import from_columns
from kraken_bids.report.section import Floats, Section, SourceGroup
from kraken_bids.report.source_by_target import SourceByTarget, draw_source_by_target
from kraken_bids.report.words import count_noun, format_share
from kraken_bids.report.written import display_order, parse_known
from kraken_bids.report.written_group import WrittenGroup
from kraken_bids.scores.metrics import chance_rank
from kraken_bids.scores.quality_control import CROSS_MODAL, Metric

NEEDED = {"avgrank", "top1acc", "avgcorr", "avgcorr_resid", "explainedvar", "n"}
"""What must be known of a source and target to be shown."""
NAMES = ("source", "target", "metric")
Metrics = Mapping[tuple[str, str], Mapping[str, float]]
SOURCE_GROUPS: dict[str, SourceGroup] = {"fusion": "both", "fusionFC": "FC", "fusionSC": "SC"}


@dataclass(frozen=True)
class Identifiability(SourceByTarget):
    """How well the right subject's connectome is found among everyone's, by source and target."""

    average_rank: Floats
    """[n_sources, n_targets]; 1 perfect, (n + 1) / 2n chance."""
    top1_accuracy: Floats
    """[n_sources, n_targets]; 1 perfect, 1 / n_participants chance."""
    n_participants: int
    """Participants that were ranked against each other, for the target with most of them."""
    n_fewest: int | None = None
    """The same for the target with fewest of them: whoever lacks regions is not ranked."""


def read_all_metrics(group: WrittenGroup) -> dict[tuple[str, str], dict[str, Metric]]:
    """Rows of ``group/metrics.tsv`` by source and target, and by metric.

    What a table of an earlier version lacks, or holds no numbers for, is not known.
    """
    columns = dict(group.read_table("metrics.tsv", numbers=("value",), texts=NAMES))
    found: dict[tuple[str, str], dict[str, Metric]] = {}
    if not columns:
        return found
    unknown = np.full(len(columns["value"]), np.nan)
    columns.setdefault("basis", unknown)
    for name in ("p", "low", "high", "n"):
        own = columns.get(name, unknown)
        columns[name] = (
            np.where(np.isfinite(own), own, np.nan) if own.dtype.kind == "f" else unknown
        )
    for row in from_columns(Metric, columns):
        found.setdefault((row.source, row.target), {})[row.metric] = row
    return found


def read_metric_rows(group: WrittenGroup) -> dict[tuple[str, str], dict[str, Metric]]:
    """Give the rows of those sources and targets of which everything is known that is shown."""
    found = group.once(read_all_metrics)
    flavors = {flavor.name for flavor in parse_known({name for pair in found for name in pair})}
    return {
        (source, target): own
        for (source, target), own in found.items()
        if {source, target} <= flavors | set(SOURCE_GROUPS) and set(own) >= NEEDED
    }


def read_metrics(group: WrittenGroup) -> dict[tuple[str, str], dict[str, float]]:
    """Metrics by source and target."""
    return {
        pair: {name: row.value for name, row in own.items()}
        for pair, own in group.once(read_metric_rows).items()
    }


def tabulate_metrics(group: WrittenGroup) -> Identifiability | None:
    """Sort average rank and top-1 accuracy by source and target; None where nothing was scored."""
    metrics = group.once(read_metrics)
    if not metrics:
        return None
    targets = sorted({target for _, target in metrics}, key=_order)
    fusions = [name for name in SOURCE_GROUPS if any(source == name for source, _ in metrics)]
    singles = {source for source, _ in metrics} - set(SOURCE_GROUPS)
    sources = [*fusions, *sorted(singles, key=_order)]

    def table(metric: str) -> NDArray[np.float64]:
        empty = {metric: np.nan}
        rows = [[metrics.get((s, t), empty)[metric] for t in targets] for s in sources]
        return np.array(rows)

    return Identifiability(
        sources=tuple(sources),
        source_groups=tuple(SOURCE_GROUPS.get(s) or parse_flavor(s).group for s in sources),
        targets=tuple(targets),
        target_groups=tuple(parse_flavor(t).group for t in targets),
        average_rank=table("avgrank"),
        top1_accuracy=table("top1acc"),
        n_participants=int(max(values["n"] for values in metrics.values())),
        n_fewest=int(min(values["n"] for values in metrics.values())),
    )


def _order(name: str) -> tuple[str, int, str]:
    return display_order(parse_flavor(name))


def draw_identifiability(identifiability: Identifiability, *, metric: str) -> bytes:
    """PNG heatmap of one metric, source by target, with the cross-modal blocks framed.

    Parameters
    ----------
    identifiability : Identifiability
        Values per source and target.
    metric : {'average_rank', 'top1_accuracy'}
        Which one. Colours run from chance to 1; cells at or below chance are pale orange.
    """
    rank = metric == "average_rank"
    values = identifiability.average_rank if rank else identifiability.top1_accuracy
    n_participants = max(identifiability.n_participants, 1)
    chance = chance_rank(n_participants) if rank else 1 / n_participants
    return draw_source_by_target(identifiability, values, chance=chance, digits=2 if rank else 0)


def summarize_identifiability(identifiability: Identifiability) -> str:
    """Headline of the group page: how well the other modality finds the right subject.

    The numbers are means over the targets, never the best one.
    """
    parts = [
        _summarize_direction(identifiability, "SC", "FC"),
        _summarize_direction(identifiability, "FC", "SC"),
    ]
    found = " ".join(part for part in parts if part)
    return found or (
        "No prediction across modalities could be scored: that needs subjects with both FC and SC."
    )


def explain_chance(identifiability: Identifiability) -> str:
    """Say what guessing would give, and among how many."""
    n_most, n_fewest = identifiability.n_participants, identifiability.n_fewest
    among = str(n_most)
    if n_fewest is not None and n_fewest < n_most:
        among = f"{n_fewest} to {n_most}"
    few = (
        " How many depends on the flavor: whoever lacks it, or regions of it, is not compared."
        if among != str(n_most)
        else ""
    )
    return (
        f"Guessing among {n_most} subjects gives an average rank of "
        f"{chance_rank(n_most):.2f} and the right subject first in "
        f"{format_share(1 / max(n_most, 1))} of cases. {among} subjects were compared.{few} Who "
        "comes first gets harder with every subject more: compare that number only between "
        "cohorts of one size."
    )


def compute_direction(
    identifiability: Identifiability, source: str, target: str
) -> tuple[float, float] | None:
    """Average rank and top-1 accuracy from all of one modality to the other.

    Both are means over the targets of that modality, never the best one; None where nothing was
    scored.
    """
    name = f"fusion{source}"
    columns = [i for i, group in enumerate(identifiability.target_groups) if group == target]
    if name not in identifiability.sources or not columns:
        return None
    row = identifiability.sources.index(name)
    rank = np.asarray(identifiability.average_rank, dtype=float)[row, columns]
    first = np.asarray(identifiability.top1_accuracy, dtype=float)[row, columns]
    if not np.isfinite(rank).any():
        return None
    return float(np.nanmean(rank)), float(np.nanmean(first))


def _summarize_direction(identifiability: Identifiability, source: str, target: str) -> str:
    scores = compute_direction(identifiability, source, target)
    if scores is None:
        return ""
    origin = {"SC": "structure", "FC": "function"}[source]
    aim = {"SC": "structural", "FC": "functional"}[target]
    n_participants = max(identifiability.n_participants, 1)
    return (
        f"From {origin} alone, the right subject's {aim} connectome had an average rank of "
        f"{scores[0]:.2f} (1 is best, chance is {chance_rank(n_participants):.2f}) and came "
        f"first in {format_share(scores[1])} of cases "
        f"(chance is {format_share(1 / n_participants)})."
    )


def summarize_worth(metrics: Metrics) -> list[str]:
    """Say what predictions across modalities are worth beside the mean, a peer and the ceiling.

    The numbers are means over the targets, never the best one.
    """
    sentences = []
    for group, source in CROSS_MODAL.items():
        own = [
            v for (s, t), v in metrics.items() if s == source and parse_flavor(t).group == group
        ]
        gains = _list_values(own, "gain")
        if not gains:
            continue
        aim = {"SC": "structural", "FC": "functional"}[group]
        text = (
            f"Predicted {aim} connectomes from the other modality alone correlate with the "
            f"measured ones at {_average(own, 'avgcorr')}, and the mean of the other people, "
            f"which knows nothing of the person, at {_average(own, 'baseline_avgcorr')}. Without "
            f"the mean {_average(own, 'avgcorr_resid')} is left"
        )
        text += f"{_say_ceiling(own)}."
        text += f" In squared error they {_say_gain(float(np.mean(gains)))}"
        others = (
            ("cal_gain", "calibrated ones"),
            ("pls_gain", "a closed-form regression from the same inputs"),
        )
        for name, whose in others:
            if found := _list_values(own, name):
                text += f"; {whose}: {format_share(float(np.mean(found)))}".replace(": -", ": −")
        sentences.append(text + ".")
    return sentences


def _say_ceiling(own: Sequence[Mapping[str, float]]) -> str:
    known = [one for one in own if np.isfinite(one.get("ceiling_avgcorr_resid", np.nan))]
    if not known:
        return "; what a second measurement would reach is unknown"
    reached = _average(known, "avgcorr_resid")
    ceiling = _average(known, "ceiling_avgcorr_resid")
    return (
        f"; in the {count_noun(len(known), 'target')} for which it is known what a second "
        f"measurement of the same person reaches, {reached} of {ceiling}"
    )


def _say_gain(gain: float) -> str:
    if gain > 0:
        return f"save {format_share(gain)} of what the mean errs"
    return f"err more than the mean does, by {format_share(-gain)}"


def _list_values(own: Sequence[Mapping[str, float]], name: str) -> list[float]:
    return [values[name] for values in own if np.isfinite(values.get(name, np.nan))]


def _average(own: Sequence[Mapping[str, float]], name: str) -> str:
    found = _list_values(own, name)
    return f"{np.mean(found):.2f}" if found else "an unknown value"


def gather(group: WrittenGroup) -> dict[str, Any]:
    """Gather the scores; nothing of them where nobody could be told apart."""
    return {
        "scores": tabulate_metrics(group),
        "worth": summarize_worth(group.once(read_metrics)),
    }


def draw(data: Mapping[str, Any]) -> dict[str, bytes]:
    """Draw average rank and top-1 accuracy."""
    scores = data["scores"]
    metrics = {"rank": "average_rank", "top1": "top1_accuracy"} if scores else {}
    return {
        f"identifiability_{name}": draw_identifiability(scores, metric=metric)
        for name, metric in metrics.items()
        if scores
    }


SECTION = Section(
    "identifiability",
    "Identifiability",
    "identifiability.html",
    gather,
    draw=draw,
    figures=("identifiability_",),
    words={
        "summarize": summarize_identifiability,
        "explain_chance": explain_chance,
        "chance_rank": chance_rank,
    },
)
