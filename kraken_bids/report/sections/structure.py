"""The tractograms of a session: strongest connections, ends and lengths of streamlines."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from kraken_bids.bids.names import parse_name
from kraken_bids.bids.outputs import RELMAT, sidecar_path
from kraken_bids.cohort.measurements import LENGTHS, STRUCTURAL
from kraken_bids.cohort.sidecar_records import ORIGIN
from kraken_bids.flavors import is_further_meas
from kraken_bids.io.facts import Facts, read_facts
from kraken_bids.io.tables import read_relmat
from kraken_bids.parcellations import list_parcellations
from kraken_bids.report import theme
from kraken_bids.report.circle import CIRCLE, Circle, draw_circle
from kraken_bids.report.colour_scale import choose_ticks
from kraken_bids.report.panels import FlavorPanel, list_panels
from kraken_bids.report.plane import Plane
from kraken_bids.report.section import Section
from kraken_bids.report.words import ALGORITHMS, explain_unit, format_count
from kraken_bids.report.written import Written, read_or_none

WIDTH = 1060.0
LENGTHS_HEIGHT = 190.0


@dataclass(frozen=True)
class EndShares:
    """Share of streamlines with both, one or no end in a region of a parcellation (0 to 1)."""

    parcellation: str
    both: float
    one: float
    none: float
    within: float | None = None
    """Share of those with both ends in regions that stay within one region."""
    density: float | None = None
    """Share of the pairs of regions that at least one streamline connects."""


@dataclass(frozen=True)
class TractogramRow:
    """One tractogram."""

    algorithm: str
    file: str
    n_streamlines: int
    weights: str
    """File of the SIFT2 weights, or empty."""
    ends: tuple[EndShares, ...]
    length_counts: tuple[int, ...] = ()
    """Streamlines per bin of length from 0 mm on; empty where lengths were not measured."""
    length_bin_mm: float = 5.0
    n_longer: int = 0
    """Streamlines beyond the last bin."""
    mean_length: float | None = None
    """mm."""
    network: Circle | None = None
    """A connectome of this tractogram, drawn as a circle; None leaves it out."""
    further: tuple["FurtherEdges", ...] = ()
    """What else was asked of its edges."""


@dataclass(frozen=True)
class FurtherEdges:
    """Lengths or scalars of a tractogram's edges in one parcellation."""

    name: str
    """Of what: ``meanlength``, ``sift2meanFA`` …"""
    parcellation: str
    rule: str
    """How the value of an edge is computed."""
    n_edges: int
    """Those that are not 0."""
    quartiles: tuple[float, float, float]
    """Of these."""
    file: str


def list_tractograms(written: Written) -> tuple[TractogramRow, ...]:
    """List every tractogram that a connectome was measured from."""
    found: dict[str, dict[str, Facts]] = {}
    for flavor, sidecar in sorted(written.measured.items()):
        is_known = sidecar.text(STRUCTURAL.tractography_algorithm) in ALGORITHMS
        if is_known and sidecar.part(STRUCTURAL.streamlines).count("n_streamlines"):
            found.setdefault(_first_source(sidecar), {})[flavor.parcellation] = sidecar
    further = _list_further(written)
    panels = written.once(list_panels)
    squares = {panel.name: panel for panel in panels if panel.measured is not None}
    return tuple(
        replace(
            _describe_tractogram(uri, sidecars, _pick_network(written, uri, squares)),
            further=tuple(further.get(uri, ())),
        )
        for uri, sidecars in found.items()
    )


def _list_further(written: Written) -> dict[str, list[FurtherEdges]]:
    """List further edges by the tractogram that they are of."""
    found: dict[str, list[FurtherEdges]] = {}
    for path in written.list_files(f"dwi/*_relmat{RELMAT}"):
        entities = parse_name(path)
        if not is_further_meas(entities.get("meas", "")):
            continue
        square = read_or_none(partial(read_relmat, path))
        if square is None:
            continue
        sidecar = read_facts(sidecar_path(path))
        values = square[np.triu_indices(len(square), 1)]
        values = values[np.isfinite(values) & (values != 0)]
        low, middle, high = (
            np.percentile(values, (25, 50, 75)).tolist() if values.size else (0,) * 3
        )
        found.setdefault(_first_source(sidecar), []).append(
            FurtherEdges(
                name=sidecar.text("Flavor").rpartition("_")[2],
                parcellation=entities.get("atlas", ""),
                rule=sidecar.text("Rule"),
                n_edges=values.size,
                quartiles=(low, middle, high),
                file=path.name,
            )
        )
    return found


def _first_source(sidecar: Facts) -> str:
    return next(iter(sidecar.texts(ORIGIN.sources)), "")


def _describe_tractogram(
    uri: str, sidecars: dict[str, Facts], network: Circle | None
) -> TractogramRow:
    first = next(iter(sidecars.values()))
    lengths = first.part(LENGTHS)
    ends = (_share_ends(name, s.part(STRUCTURAL.streamlines)) for name, s in sidecars.items())
    return TractogramRow(
        algorithm=ALGORITHMS[first.text(STRUCTURAL.tractography_algorithm)],
        file=uri.rpartition("/")[2],
        n_streamlines=first.part(STRUCTURAL.streamlines).count("n_streamlines") or 0,
        weights=first.text("SIFT2Weights").rpartition("/")[2],
        ends=tuple(share for share in ends if share is not None),
        length_counts=tuple(map(int, lengths.numbers("Counts"))),
        length_bin_mm=lengths.number("BinWidth") or 5.0,
        n_longer=lengths.count("Longer") or 0,
        mean_length=lengths.number("Mean"),
        network=network,
    )


def _pick_network(written: Written, uri: str, panels: Mapping[str, FlavorPanel]) -> Circle | None:
    """Pick the connectome of a tractogram that a circle shows best: few regions, volnorm."""
    order = (*list_parcellations(), *written.custom_atlases)
    flavors = [
        flavor
        for flavor, sidecar in written.measured.items()
        if flavor.name in panels and _first_source(sidecar) == uri
    ]
    flavors.sort(key=lambda f: (order.index(f.parcellation), f.processing != "volnorm", f.name))
    if not flavors:
        return None
    panel, table = panels[flavors[0].name], written.read_regions(flavors[0].parcellation)
    square = panel.measured
    if square is None or not (np.nan_to_num(square) > 0).any():
        return None
    return Circle(panel.name, table.region_names, table.groups, table.hemispheres, square)


def _share_ends(parcellation: str, counts: Facts) -> EndShares | None:
    """Share of streamlines by where they end; None where that was not counted."""
    n_all, n_both = counts.count("n_streamlines"), counts.count("n_both")
    n_one, n_none = counts.count("n_one"), counts.count("n_none")
    if not n_all or n_both is None or n_one is None or n_none is None:
        return None
    n_self = counts.count("n_self")
    within = n_self / n_both if n_self is not None and n_both else None
    shares = (n_both / n_all, n_one / n_all, n_none / n_all)
    return EndShares(parcellation, *shares, within, counts.number("density"))


def draw_structure(row: TractogramRow) -> bytes:
    """PNG of one tractogram: circle of its strongest connections, key, histogram of lengths.

    Either half is left out where the row does not hold it.
    """
    height = CIRCLE if row.network else LENGTHS_HEIGHT + 70
    figure = theme.new_figure(WIDTH, height, scale=1.4)
    plane = Plane(figure)
    left = 80.0
    if row.network:
        left = CIRCLE + 62
        draw_circle(plane, row.network)
    if row.length_counts:
        _draw_lengths(plane, row, left=left, top=height - LENGTHS_HEIGHT - 50)
    return plane.draw()


def _draw_lengths(plane: Plane, row: TractogramRow, *, left: float, top: float) -> None:
    """Bars up to the longest track; those beyond the last bin are said in words."""
    counts = np.asarray(row.length_counts, float)
    starts = row.length_bin_mm * np.arange(len(counts))
    filled = np.flatnonzero(counts)
    longest = row.length_bin_mm * max(20, int(filled[-1]) + 2 if filled.size else 0)
    most = max(1.0, counts.max(initial=0)) * 1.08
    width, bottom = WIDTH - left - 14, top + LENGTHS_HEIGHT
    x_ticks = choose_ticks(theme.colors.Normalize(0, longest), at_most=9)
    y_ticks = [
        (bottom - LENGTHS_HEIGHT * value / most, format_count(round(value)))
        for value, _ in choose_ticks(theme.colors.Normalize(0, most), at_most=4)
        if value == round(value)
    ]
    grid = [[(left, y), (left + width, y)] for y, _ in y_ticks]
    plane.add_lines(grid, colors=theme.EMPTY, linewidths=0.7)
    ends = (starts[filled], starts[filled] + 0.92 * row.length_bin_mm)
    first, last = (left + width * end / longest for end in ends)
    heights = bottom - LENGTHS_HEIGHT * counts[filled] / most
    bars = (first, heights, last, bottom)
    plane.add(theme.join_boxes(bars, facecolors=theme.ACCENT, alpha=0.8))
    notes = []
    if row.mean_length is not None:
        x = left + width * row.mean_length / longest
        style = {"colors": theme.WARM, "linewidths": 1.0, "linestyles": [(0, (5, 3))]}
        plane.add_lines([[(x, bottom), (x, top)]], **style)
        notes.append(f"mean {row.mean_length:.0f} mm")
    if row.n_longer:
        notes.append(
            f"{format_count(row.n_longer)} of {row.length_bin_mm * len(counts):.0f} mm or more"
        )
    plane.write(left + 0.99 * width, top + 10, "; ".join(notes), align="right")
    plane.draw_scales(
        (left, top, width, LENGTHS_HEIGHT),
        [(left + width * value / longest, text) for value, text in x_ticks],
        y_ticks,
        labels=("length of the streamlines (mm)", "streamlines"),
    )


def explain_circle(flavor: str) -> str:
    """Say what the lines of the circle of connections mean."""
    return f"Width of a line: {explain_unit(flavor)}, relative to the strongest connection."


def gather(written: Written) -> tuple[TractogramRow, ...] | None:
    """List the tractograms of which something can be drawn."""
    rows = written.once(list_tractograms)
    return tuple(row for row in rows if row.network or row.length_counts or row.further) or None


SECTION = Section(
    "structure",
    "Structure",
    "structure.html",
    gather,
    draw=lambda rows: {f"structure_{row.algorithm}": draw_structure(row) for row in rows},
    figures=("structure_",),
    words={"explain_circle": explain_circle},
)
