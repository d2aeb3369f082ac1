"""States that the volumes of each run were decoded into, and which voxels spoke for them."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from kraken_bids.bids.decoded_relevance import find_relevance
from kraken_bids.bids.names import parse_name
from kraken_bids.bids.outputs import DECODED, sidecar_path
from kraken_bids.io.facts import Facts, read_facts, read_table
from kraken_bids.io.images import read_image
from kraken_bids.report import theme
from kraken_bids.report.colour_scale import fill_colour_bar
from kraken_bids.report.section import Floats, Section
from kraken_bids.report.voxel_maps import PERCENTILE, VoxelMap, draw_voxel_map, make_voxel_map
from kraken_bids.report.words import format_share
from kraken_bids.report.written import Written, read_or_none

MAX_MAPS, MAX_REGIONS, MAX_LAYERS = 6, 5, 4
MUCH_LOST = 0.5
"""Share of relevance, lost or made, from which on the page warns."""
WORTH_NAMING = 0.01
"""Share of relevance that a layer has lost or made, from which on it is named."""
WIDTH, LEFT, ROW = 1060.0, 130.0, 20.0
NOT_NAMED = ("sub", "ses", "desc", "suffix", "extension")
"""Of a run, in the name of its pictures: what stands there elsewhere."""


@dataclass(frozen=True)
class StateMap:
    """Mean relevance of the volumes that were decoded as one state."""

    state: str
    figure: str
    """Name of its picture."""
    n_volumes: int
    fwhm: float
    """mm by which it is smoothed."""
    voxels: VoxelMap


@dataclass(frozen=True)
class RegionSums:
    """Mean relevance summed in the regions of one atlas."""

    atlas: str
    rows: Sequence[tuple[str, Sequence[tuple[str, float]]]]
    """Of each state the regions of the most relevance, whatever its sign, with their sums."""


@dataclass(frozen=True)
class DecodedRun:
    """What one run was decoded into."""

    title: str
    figure: str
    """Name of the picture of its probabilities."""
    states: tuple[str, ...]
    probabilities: Floats
    """[n_volumes, n_states]."""
    repetition_time: float
    """Seconds; NaN where not known."""
    counts: Sequence[tuple[str, int]]
    """Volumes of each state that was decoded, most first."""
    facts: Facts
    """Sidecar of its probabilities."""
    relevance: Facts
    """Sidecar of its relevance; empty without."""
    maps: Sequence[StateMap]
    sums: Sequence[RegionSums]

    @property
    def arrived(self) -> float | None:
        """Share of the logits that has arrived at the voxels; None where not known."""
        lost = self.relevance.part("LostRelevance")
        shares = [lost.number(name) for name in lost]
        known = [share for share in shares if share is not None]
        return 1 - sum(known) if known and len(known) == len(shares) else None

    @property
    def is_much_lost(self) -> bool:
        """Whether the maps say little about the logits."""
        return self.arrived is not None and abs(1 - self.arrived) >= MUCH_LOST

    @property
    def losses(self) -> str:
        """Name the layers that have lost, or made, relevance, those of the most first."""
        lost = self.relevance.part("LostRelevance")
        shares = {name: lost.number(name) or 0.0 for name in lost}
        named = sorted(shares, key=lambda name: -abs(shares[name]))
        return ", ".join(
            f"{name} {'' if shares[name] > 0 else 'made '}{format_share(abs(shares[name]))}"
            for name in named[:MAX_LAYERS]
            if abs(shares[name]) >= WORTH_NAMING
        )


def list_decoded(written: Written) -> list[DecodedRun]:
    """Read what the runs of a session were decoded into."""
    paths = written.list_files(f"func/*_desc-{DECODED}_probabilities.tsv")
    found = (read_or_none(partial(read_decoded_run, path)) for path in paths)
    return [run for run in found if run is not None]


def read_decoded_run(path: Path) -> DecodedRun:
    """Read what one run was decoded into, from its table of probabilities and the files beside.

    Raises
    ------
    InputError
        If the table cannot be read.
    """
    facts = read_facts(sidecar_path(path))
    names = read_table(path, texts=("state",))
    states = tuple(name.removeprefix("p_") for name in names if name.startswith("p_"))
    columns = read_table(path, numbers=[f"p_{name}" for name in states], texts=("state",))
    decoded = [str(state) for state in columns["state"] if str(state) in states]
    stem = path.name.removesuffix("_probabilities.tsv")
    figure = "_".join(["decoded", *_name_run(path)])
    relevance = read_facts(path.with_name(f"{stem}_relevance.json"))
    return DecodedRun(
        stem.partition("_desc-")[0],
        figure,
        states,
        np.stack([columns[f"p_{name}"] for name in states], axis=1),
        facts.number("RepetitionTime") or np.nan,
        Counter(decoded).most_common(),
        facts,
        relevance,
        read_maps(_find_beside(path, {"stat", "label"}, ".nii.gz"), figure)
        if len(relevance)
        else (),
        _list_sums(path) if len(relevance) else (),
    )


def read_maps(paths: Sequence[Path], figure: str) -> list[StateMap]:
    """Read mean maps of states, of those with the most volumes; damaged ones are left out.

    Parameters
    ----------
    figure : str
        How the names of their pictures begin.
    """
    found = []
    for path in paths:
        facts = read_facts(sidecar_path(path))
        found.append((facts.count("NumberOfVolumes") or 0, path, facts))
    found.sort(key=lambda one: (-one[0], one[1].name))
    maps = []
    for n_volumes, path, facts in found[:MAX_MAPS]:
        image = read_or_none(partial(read_image, path))
        if image is None:
            continue
        label = parse_name(path)["label"]
        name, fwhm = facts.text("State") or label, facts.number("MapSmoothingFWHM") or 0.0
        voxels = make_voxel_map(*image, threshold=facts.number("Percentile95"))
        maps.append(StateMap(name, f"{figure}_{label}", n_volumes, fwhm, voxels))
    return maps


def _list_sums(table: Path) -> list[RegionSums]:
    found = []
    for path in _find_beside(table, {"atlas"}, ".tsv"):
        columns = read_or_none(partial(read_table, path, texts=("region",)))
        if columns is None:
            continue
        regions = columns.pop("region")
        rows = [
            (state, [(str(regions[k]), float(own[k])) for k in _find_strongest(own)])
            for state, own in columns.items()
            if own.dtype.kind == "f"
        ]
        found.append(RegionSums(parse_name(path)["atlas"], rows))
    return found


def _find_strongest(sums: Floats) -> list[int]:
    known = np.nan_to_num(sums)  # regions that are not in the volumes
    order = np.argsort(-np.abs(known), kind="stable")
    return [int(k) for k in order[:MAX_REGIONS] if known[k]]


def _find_beside(table: Path, added: set[str], extension: str) -> list[Path]:
    """Find relevance of a run whose names say these entities besides those of the run."""
    return [
        path
        for path, more in find_relevance(table)
        if more == added and path.name.endswith(extension)
    ]


def _name_run(path: Path) -> list[str]:
    return [f"{key}-{value}" for key, value in parse_name(path).items() if key not in NOT_NAMED]


def draw(runs: Sequence[DecodedRun]) -> Mapping[str, bytes]:
    """Draw the probabilities of each run, and the maps of its states."""
    pictures = {run.figure: draw_probabilities(run) for run in runs}
    for run in runs:
        pictures |= {one.figure: draw_voxel_map(one.voxels) for one in run.maps}
    return pictures


def draw_probabilities(run: DecodedRun) -> bytes:
    """PNG of the probability of every state in every volume, over time."""
    height = ROW * len(run.states)
    figure = theme.new_figure(WIDTH, height + 62, scale=1.5)
    axes = theme.add_box(figure, LEFT, 8, WIDTH - LEFT - 96, height)
    step = run.repetition_time
    is_timed, n_volumes = np.isfinite(step), len(run.probabilities)
    x_label = "seconds of the run" if is_timed else "volume"
    norm, colours = theme.colors.Normalize(0, 1), theme.sequential_colours()
    axes.imshow(
        run.probabilities.T,
        aspect="auto",
        interpolation="nearest",
        norm=norm,
        cmap=colours,
        extent=(0, n_volumes * (step if is_timed else 1), len(run.states) - 0.5, -0.5),
    )
    theme.style_axes(axes, x_label=x_label, grid="")
    axes.set_yticks(range(len(run.states)))
    axes.set_yticklabels(run.states, parse_math=False)
    axes.tick_params(axis="y", length=0, labelsize=theme.SMALL, labelcolor=theme.TEXT)
    bar_axes = theme.add_box(figure, WIDTH - 78, 8, 10, max(height, 60))
    fill_colour_bar(bar_axes, norm, colours, "probability", n_steps=2)
    return theme.draw_png(figure)


SECTION = Section(
    "decoded",
    "Decoded volumes",
    "decoded_volumes.html",
    lambda written: written.once(list_decoded) or None,
    heading="States of the volumes, and which voxels spoke for them",
    draw=draw,
    figures=("decoded_",),
    words={"MAX_MAPS": MAX_MAPS, "PERCENTILE": PERCENTILE},
)
