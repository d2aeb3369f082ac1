"""How dynamic communities were found, as a methods section says it."""

from pathlib import Path

from kraken_bids.bids.names import parse_name
from kraken_bids.bids.outputs import group_path
from kraken_bids.io.facts import Facts, read_facts
from kraken_bids.report.boilerplate.sessions import join


def describe_communities(output_dir: Path) -> list[str]:
    """Paragraph on the communities of the group; none where they were not searched for."""
    folder = group_path(output_dir, "")
    found = {
        parse_name(path).get("atlas", ""): read_facts(path)
        for path in sorted(folder.glob("atlas-*_desc-communities_history.json"))
    }
    found = {atlas: facts for atlas, facts in found.items() if "Settings" in facts}
    if not found:
        return []
    settings = next(iter(found.values())).part("Settings")
    sentences = [
        f"Dynamic communities were searched for in the cleaned series of {join(found)} by "
        "gradient ascent on the modularity of a soft partition that all scans share, and on how "
        "well each community holds together over the volumes in which it is present "
        "[@ciric2022differentiable]",
        _describe_search(settings),
        "Partitions by the Leiden algorithm [@traag2019leiden] of the mean correlation matrix, "
        "and series with randomised phases and shuffled volumes, served as comparisons",
    ]
    return [" ".join(f"{sentence}." for sentence in sentences)]


def _describe_search(settings: Facts) -> str:
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
    return (
        f"At most {known.get('n_communities', '?')} communities were allowed (resolution γ = "
        f"{known.get('gamma', '?')}; weights: modularity {known.get('modularity', '?')}, presence "
        f"{known.get('dynamic', '?')}, smoothness {known.get('smooth', '?')}, bimodality "
        f"{known.get('bimodal', '?')}), {sign}, and the consensus of "
        f"{settings.count('n_seeds') or 1} start(s) was taken"
    )
