"""Of how many subjects each prediction says something."""

from dataclasses import dataclass

from kraken_bids.report.section import Group, Section
from kraken_bids.report.written import sort_flavors
from kraken_bids.report.written_group import WrittenGroup
from kraken_bids.scores.quality_control import VERDICT_LEVELS

VERDICTS = tuple(VERDICT_LEVELS)


@dataclass(frozen=True)
class VerdictShares:
    """Of how many subjects the predictions of one flavor say something, by source."""

    target: str
    group: Group
    counts: dict[str, tuple[int, ...]]
    """By source: about this person, no better than the group mean, not judged."""


def count_verdicts(group: WrittenGroup) -> tuple[VerdictShares, ...]:
    """Count the verdicts of ``group/predictions.tsv`` by target and source."""
    columns = group.read_table("predictions.tsv", texts=("target", "source", "verdict"))
    if not columns:
        return ()
    counts: dict[str, dict[str, list[int]]] = {}
    names = (map(str, columns[key]) for key in ("target", "source", "verdict"))
    for target, source, verdict in zip(*names, strict=True):
        own = counts.setdefault(target, {}).setdefault(source, [0, 0, 0])
        if verdict in VERDICTS:
            own[VERDICTS.index(verdict)] += 1
    return tuple(
        VerdictShares(
            flavor.name, flavor.group, {key: tuple(n) for key, n in counts[flavor.name].items()}
        )
        for flavor in sort_flavors(counts)
        if flavor.name in counts
    )


SECTION = Section(
    "predictions",
    "Predictions",
    "verdict_shares.html",
    lambda group: count_verdicts(group) or None,
    heading="What the predictions are about",
)
