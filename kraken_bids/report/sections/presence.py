"""When communities of regions are present in each scan of a session, and how the head moved."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

import numpy as np

from kraken_bids.bids.names import parse_name
from kraken_bids.bids.outputs import CLEANED, group_report_path, sidecar_path
from kraken_bids.cohort.run_volumes import read_displacement
from kraken_bids.io.digests import compute_sha256
from kraken_bids.io.facts import read_facts, read_table
from kraken_bids.report.presence_carpet import PresenceCarpet, draw_presence
from kraken_bids.report.section import Section
from kraken_bids.report.written import Written, read_or_none
from kraken_bids.report.written_group import read_group_table

NULLS = ("phase", "shuffle")
NOT_NAMED = ("sub", "ses", "atlas", "desc", "suffix", "extension")
"""Of a scan, in the name of its picture: what stands there elsewhere."""


@dataclass(frozen=True)
class ScanPresence:
    """Presence of the communities of one atlas in one scan."""

    atlas: str
    figure: str
    """Name of its picture."""
    carpet: PresenceCarpet
    p: Mapping[str, Sequence[float | None]]
    """Of each community's swing, against each kind of surrogates; None where not compared."""
    group_href: str
    """Address of the group's page, which shows the regions; empty without one."""
    is_outdated: bool
    """Whether the region series are others now."""


def list_presence(written: Written) -> list[ScanPresence]:
    """Read the presence of communities in every scan of a session."""
    found = []
    report = group_report_path(written.output_dir)
    names_of = cache(partial(list_communities, written.output_dir))
    for path in written.list_files("func/*_desc-communities_timeseries.tsv"):
        atlas = parse_name(path).get("atlas", "")
        names = names_of(atlas)
        if not names:  # the group level was stopped before it wrote them
            continue
        carpet = read_or_none(partial(read_carpet, path, names))
        if carpet is None:
            continue
        sidecar = read_facts(sidecar_path(path))
        own = {null: sidecar.part(f"P_{null}") for null in NULLS}
        found.append(
            ScanPresence(
                atlas,
                "_".join(["presence", atlas, *_name_scan(path)]),
                carpet,
                {null: [facts.number(name) for name in names] for null, facts in own.items()},
                report.name if report.exists() else "",
                is_outdated(path),
            )
        )
    return sorted(found, key=lambda one: one.figure)


def list_communities(output_dir: Path, atlas: str) -> tuple[str, ...]:
    """Name the communities of an atlas that some region is in."""
    table = f"atlas-{atlas}_desc-communities_communities.tsv"
    columns = read_group_table(output_dir, table, numbers=("n_regions",), texts=("community",))
    if not columns:
        return ()
    return tuple(map(str, columns["community"][columns["n_regions"] > 0]))


def read_carpet(path: Path, names: tuple[str, ...]) -> PresenceCarpet:
    """Read the presence of communities in a scan, and the displacement of the head."""
    columns = read_table(path, numbers=names)
    presence = np.column_stack([columns[name] for name in names])
    title = path.name.partition("_atlas-")[0]
    return PresenceCarpet(title, names, presence, read_displacement(path, len(presence)))


def is_outdated(path: Path) -> bool:
    """Whether the region series of a scan are others than those that were searched."""
    noted = read_facts(sidecar_path(path)).text("SourceSHA256")
    series = path.with_name(path.name.replace("_desc-communities_", f"_desc-{CLEANED}_"))
    return bool(noted) and (not series.exists() or compute_sha256(series) != noted)


def _name_scan(path: Path) -> list[str]:
    return [f"{key}-{value}" for key, value in parse_name(path).items() if key not in NOT_NAMED]


SECTION = Section(
    "communities",
    "Communities",
    "presence.html",
    lambda written: list_presence(written) or None,
    heading="Communities that come and go",
    draw=lambda scans: {one.figure: draw_presence(one.carpet) for one in scans},
    figures=("presence_",),
)
