"""How dynamic communities were found, as a methods section says it."""

from collections.abc import Sequence
from pathlib import Path

from kraken_bids.bids.names import parse_name
from kraken_bids.bids.outputs import group_path
from kraken_bids.io.facts import Facts, read_facts
from kraken_bids.report.boilerplate.sessions import group_alike, join

WAY = ("Settings", "ChosenByHalves", "Methods", "Surrogates")
"""Fields of a record whose values make a paragraph of its own."""
LEIDEN = "Partitions by the Leiden algorithm [@traag2019leiden] of the mean correlation matrix"
NULLS = "{n} series with randomised phases and {n} with shuffled volumes for each scan"


def describe_communities(output_dir: Path) -> list[str]:
    """Paragraph on the communities of the group; none where they were not searched for."""
    folder = group_path(output_dir, "")
    found = [
        (parse_name(path).get("atlas", ""), read_facts(path))
        for path in sorted(folder.glob("atlas-*_desc-communities_history.json"))
    ]
    searched = [(atlas, facts) for atlas, facts in found if "Settings" in facts]
    return [
        _describe_way([atlas for atlas, _ in own], own[0][1]) for own in group_alike(searched, WAY)
    ]


def _describe_way(atlases: Sequence[str], facts: Facts) -> str:
    sentences = [
        f"Dynamic communities were searched for in the cleaned series of {join(atlases)} by "
        "gradient ascent on the modularity of a soft partition that all scans share, and on how "
        "well each community holds together over the volumes in which it is present "
        "[@ciric2022differentiable]",
        _describe_search(facts),
        _describe_comparisons(facts),
    ]
    return " ".join(f"{sentence}." for sentence in sentences if sentence)


def _describe_comparisons(facts: Facts) -> str:
    has_leiden = any(name.startswith("Leiden") for name in facts.texts("Methods"))
    n_nulls = facts.count("Surrogates") or 0
    words = [LEIDEN] * has_leiden + [NULLS.format(n=n_nulls)] * bool(n_nulls)
    return f"{' and '.join(words)} served as comparisons" if words else ""


def _describe_search(facts: Facts) -> str:
    settings = facts.part("Settings")
    numbers = {
        name: settings.number(name)
        for name in ("n_communities", "gamma", "modularity", "dynamic", "smooth", "bimodal")
    }
    known = {name: f"{value:g}" for name, value in numbers.items() if value is not None}
    sign = (
        "negative correlations counted against a community [@rubinov2011weight]"
        if settings.text("sign") == "signed"
        else "negative correlations were set to 0"
    )
    chosen = ", at which halves of the scans agreed" * bool(facts.plain.get("ChosenByHalves"))
    n_starts = len(facts.numbers("StartsInConsensus")) or settings.count("n_seeds") or 1
    return (
        f"At most {known.get('n_communities', '?')} communities were allowed (resolution γ = "
        f"{known.get('gamma', '?')}{chosen}; weights: modularity "
        f"{known.get('modularity', '?')}, presence {known.get('dynamic', '?')}, "
        f"smoothness {known.get('smooth', '?')}, bimodality "
        f"{known.get('bimodal', '?')}), {sign}, and the consensus of "
        f"{n_starts} of {settings.count('n_seeds') or 1} start(s) was taken"
    )
