"""``kraken-tools brain``: connections in a brain that can be turned, in one file of its own."""

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kraken_bids.bids.names import strip_label
from kraken_bids.cohort.from_dataset import list_members
from kraken_bids.cohort.members import Member
from kraken_bids.cohort.output_connectomes import list_kinds, read_edges
from kraken_bids.exceptions import InputError, SettingsError
from kraken_bids.flavors import Flavor
from kraken_bids.io.writing import write_text
from kraken_bids.report.sections.brain import GlassBrain, find_strongest
from kraken_bids.report.written import Written, read_means
from kraken_bids.report.written_group import WrittenGroup

LINK = re.compile(r"<link\s[^<>]*\bhref\s*=\s*[\"']?(?:https?:)?//[^<>]*>", re.IGNORECASE)
"""A tag, and not the word in the scripts of the page."""
REQUEST = re.compile(
    r"<(?:script|link|img|iframe|source|video|audio|object|embed)\s[^<>]*\b(?:src|href|data)\s*=\s*"
    r"[\"']?(?:https?:)?//|@import|url\(\s*[\"']?(?:https?:)?//",
    re.IGNORECASE,
)
"""What makes a browser ask another machine when it opens a page."""


@dataclass(frozen=True)
class Shown:
    """Which connectome is shown, and how much of it."""

    flavor: Flavor
    label: str = ""
    """``sub-01`` or ``sub-01_ses-1``; '' for the mean that the group level has saved."""
    what: str = "measured"
    """``measured``, ``predicted``, ``calibrated``, or ``changed``: measured less the mean."""
    source: str = ""
    """Of a prediction."""
    n_edges: int = 100
    """Connections: the strongest."""


def write_interactive_brain(output_dir: Path, path: Path, shown: Shown) -> None:
    """Write a page with the strongest connections, regions coloured by network.

    It asks for nothing outside of it.

    Raises
    ------
    InputError
        If there is no such connectome, or the places of its regions are not known.
    SettingsError
        If a prediction or a change is asked for, and no participant named.
    """
    edges, title = _read_edges(output_dir, shown)
    brain = find_strongest(shown.flavor, (edges, None), at_most=shown.n_edges)
    if brain is None:
        raise InputError(
            f"expected connections of {shown.flavor} whose places in the brain are known; found "
            "none: they are known of fs86, shen268 and coco439."
        )
    write_text(path, draw_interactive(brain, title))


def draw_interactive(brain: GlassBrain, title: str) -> str:
    """HTML of nilearn's view, without its links to files elsewhere.

    Raises
    ------
    RuntimeError
        If the page would still ask another machine for something.
    """
    from nilearn.plotting import view_connectome

    view = view_connectome(
        brain.square,
        brain.centres,
        edge_cmap="RdBu_r" if (brain.shown < 0).any() else "YlOrRd",
        symmetric_cmap=bool((brain.shown < 0).any()),
        node_color=[brain.colours[name] for name in brain.networks],
        node_size=5,
        title=title,
    )
    page = LINK.sub("", view.html)
    if found := REQUEST.search(page):
        raise RuntimeError(f"nilearn's page asks for something elsewhere: {found[0][:80]}")
    return page


def _read_edges(output_dir: Path, shown: Shown) -> tuple[NDArray[np.floating], str]:
    """Edges, and what they are."""
    flavor, label, what = shown.flavor, shown.label, shown.what
    if not label:
        if what != "measured" or shown.source:
            raise SettingsError(
                "expected a participant for --what and --source, since the group has the mean of "
                f"measured connectomes alone; found --what {what}"
                f"{f' --source {shown.source}' if shown.source else ''} without one. Add "
                "--participant-label."
            )
        return _read_mean(output_dir, flavor), f"{flavor}, mean of the group"
    member = _find_member(output_dir, label)
    wanted = "measured" if what == "changed" else what
    kinds = [
        kind
        for kind in list_kinds(output_dir, member)
        if (kind.flavor, kind.what) == (flavor, wanted) and shown.source in {kind.source, ""}
    ]
    if len(kinds) != 1:
        words = ", ".join(kind.source for kind in kinds if kind.source) or "none"
        raise InputError(
            f"expected one {wanted} connectome {flavor} of {label}; found {len(kinds)} "
            f"(sources: {words}). Choose with --source, or check --flavor."
        )
    regions = Written(output_dir, member).read_regions(flavor.parcellation)
    edges = read_edges(output_dir, member, kinds[0], regions.n_edges)
    origin = f" from {kinds[0].source}" if kinds[0].source else ""
    title = f"{flavor}, {member.label}, {what}{origin}"
    if what != "changed":
        return edges, title
    return edges - _read_mean(output_dir, flavor), f"{title}: less the mean of the group"


def _read_mean(output_dir: Path, flavor: Flavor) -> NDArray[np.floating]:
    mean, _ = read_means(WrittenGroup(output_dir, ())).get(flavor.name, (None, None))
    if mean is None:
        raise InputError(
            f"expected the mean of {flavor} in {output_dir}/group; found none. Run the group "
            "level, or name a participant (--participant-label)."
        )
    return mean


def _find_member(output_dir: Path, label: str) -> Member:
    subject = strip_label(label, "sub")
    name = f"sub-{subject}"
    # everyone is read only to say who is there
    members = list_members(output_dir, [subject.partition("_ses-")[0]]) or list_members(output_dir)
    own = [one for one in members if name in {one.label, f"sub-{one.subject}"}]
    if len(own) != 1:
        there = ", ".join(one.label for one in (own or members)[:5]) or "nobody"
        raise InputError(
            f"expected one session of {name} in OUTPUT_DIR; found {len(own)} (there: {there}). "
            "Name it with its session: sub-01_ses-1."
        )
    return own[0]
