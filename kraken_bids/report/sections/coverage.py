"""How much of each region the scan covers: as dots, and on the brain."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from kraken_bids.bids.names import full_space, parse_name
from kraken_bids.bids.outputs import labels_path, sidecar_path
from kraken_bids.cohort.measurements import CLEANING
from kraken_bids.connectome.labels.slices import BrainSlice, cut_slices
from kraken_bids.exceptions import InputError
from kraken_bids.io.facts import read_facts, read_table
from kraken_bids.io.images import read_labels
from kraken_bids.report import theme
from kraken_bids.report.colour_scale import draw_colour_bar
from kraken_bids.report.plane import Plane
from kraken_bids.report.section import Floats, Section
from kraken_bids.report.theme import Bytes, draw_png
from kraken_bids.report.written import Written, read_or_none

if TYPE_CHECKING:
    from matplotlib.colors import ListedColormap, Normalize


WIDTH = 1060.0
NAMES = 104.0
BAR = 84.0
SLICE_GAP = 8.0
ROW_GAP = 16.0
MAX_HEIGHT = 128.0
"""Of a slice, CSS pixels."""
FINER = 5
"""Pixels per voxel, so that borders of regions are thin."""

WORST_REGIONS = 8
"""Rows of the table of poorly covered regions, per space and parcellation."""


@dataclass(frozen=True)
class Coverage:
    """Share of each region's voxels that hold data (0 to 1), for one parcellation in one space."""

    space: str
    parcellation: str
    share: Floats
    """[n_regions]."""
    region_names: tuple[str, ...]
    threshold: float
    """Regions below it are not measured."""
    tsnr: Floats | None = None
    """Temporal signal-to-noise ratio of each region's mean [n_regions]; NaN where unknown."""
    slices: tuple[BrainSlice, ...] = ()
    """Where the regions lie; empty leaves the brain out."""
    lesioned: Floats | None = None
    """Share of each region inside a lesion [n_regions]; None where there is no lesion mask."""

    @property
    def median_tsnr(self) -> float | None:
        """Median over the regions that hold data; None where unknown."""
        known = np.empty(0) if self.tsnr is None else self.tsnr[np.isfinite(self.tsnr)]
        return float(np.median(known)) if known.size else None


def list_coverage(written: Written) -> tuple[Coverage, ...]:
    """Coverage and temporal SNR of every region, with slices through them."""
    rows = []
    for path in written.list_files("func/*_coverage.tsv"):
        entities = parse_name(path)
        names = written.read_regions(entities.get("atlas", "")).region_names
        columns = read_or_none(partial(_read_coverage, path, len(names)))
        if columns is None:
            continue
        picture = labels_path(written.output_dir, entities, entities["atlas"])
        rows.append(
            Coverage(
                space=full_space(entities),
                parcellation=entities["atlas"],
                share=columns["coverage"],
                region_names=names,
                threshold=read_facts(sidecar_path(path)).number(CLEANING.coverage_min) or 0.0,
                tsnr=columns.get("tsnr"),
                lesioned=columns.get("lesioned"),
                slices=_cut(picture, len(names)),
            )
        )
    return tuple(rows)


def _read_coverage(path: Path, n_regions: int) -> dict[str, NDArray[Any]]:
    columns = read_table(path, numbers=("coverage",))
    if len(columns["coverage"]) != n_regions:
        raise InputError(
            f"expected {n_regions} regions in {path}; found {len(columns['coverage'])}. The file "
            "is cut: measure it again with --force."
        )
    return columns


def _cut(path: Path, n_regions: int) -> tuple[BrainSlice, ...]:
    image = read_or_none(partial(read_labels, path)) if path.exists() else None
    if image is None or image[0].max(initial=0) > n_regions:
        return ()
    return cut_slices(*image)


def _worst_regions(coverage: Coverage) -> list[tuple[str, float]]:
    """Regions below the threshold, lowest first, with their share."""
    share = np.nan_to_num(np.asarray(coverage.share, dtype=float))
    low = [i for i in np.argsort(share, kind="stable") if share[i] < coverage.threshold]
    return [(coverage.region_names[i], float(share[i])) for i in low]


def _lesioned_regions(coverage: Coverage) -> list[tuple[str, float]]:
    """Regions that a lesion reaches, with the share that it takes, largest first."""
    share = np.zeros(0) if coverage.lesioned is None else np.nan_to_num(coverage.lesioned)
    order = np.argsort(-share, kind="stable")
    return [(coverage.region_names[i], float(share[i])) for i in order if share[i] > 0]


def draw_coverage(coverage: Sequence[Coverage]) -> bytes:
    """PNG of every region's coverage as a dot, one row per space and parcellation."""
    row = 58.0
    figure = theme.new_figure(WIDTH, 56 + row * len(coverage), scale=1.5)
    axes = theme.add_box(figure, 140, 8, WIDTH - 165, row * len(coverage))
    theme.style_axes(axes, x_label="share of the region's voxels with data (%)", grid="x")
    axes.set(xlim=(-1, 101), ylim=(len(coverage) - 0.5, -0.5))
    axes.spines["left"].set_visible(False)
    axes.tick_params(axis="y", length=0, labelsize=theme.NORMAL, labelcolor=theme.TEXT)
    axes.set_yticks(range(len(coverage)), [f"{c.parcellation}\n{c.space}" for c in coverage])
    spread = np.random.default_rng(0)
    for i, entry in enumerate(coverage):
        share = 100 * np.nan_to_num(np.asarray(entry.share, dtype=float))
        low = share < 100 * entry.threshold
        y = i + spread.uniform(-0.3, 0.3, len(share))
        axes.vlines(
            100 * entry.threshold,
            i - 0.42,
            i + 0.42,
            color=theme.WARM,
            linewidth=0.9,
            linestyle=(0, (4, 2)),
        )
        axes.scatter(share[~low], y[~low], s=8, color=theme.ACCENT, alpha=0.55, linewidth=0)
        axes.scatter(share[low], y[low], s=22, color=theme.WARM, marker="X", linewidth=0)
    return draw_png(figure)


def draw_brain(coverage: Coverage) -> bytes:
    """PNG of slices through the regions: coverage in per cent, and below it temporal SNR.

    Regions below the bar are in the warning colour; those without a value are grey.
    """
    share = np.nan_to_num(np.asarray(coverage.share, dtype=float))
    low = share < coverage.threshold
    rows = [("coverage (%)", 100 * share, theme.colors.Normalize(0, 100), theme.share_colours())]
    if coverage.median_tsnr is not None and coverage.tsnr is not None:
        tsnr = np.where(low, np.nan, np.asarray(coverage.tsnr, dtype=float))
        top = float(np.nanpercentile(tsnr, 98)) if np.isfinite(tsnr).any() else 1.0
        rows.append(
            ("tSNR", tsnr, theme.colors.Normalize(0, max(top, 1e-6)), theme.sequential_colours())
        )
    scale = _scale(coverage.slices)
    height = max(one.labels.shape[0] * one.row_mm for one in coverage.slices) * scale
    figure = theme.new_figure(WIDTH, 26 + len(rows) * (height + ROW_GAP), scale=1.5)
    plane = Plane(figure)
    for k, (name, values, norm, colours) in enumerate(rows):
        top = 24 + k * (height + ROW_GAP)
        _draw_row(plane, coverage.slices, top=top, height=height, scale=scale, named=k == 0,
                  paint=_paint(values, low, norm, colours))  # fmt: skip
        plane.write(0, top + height / 2, name)
        place = WIDTH - BAR + 30, top + 0.1 * height, 10, 0.8 * height
        draw_colour_bar(plane, place, norm, colours, at_most=2)
    return plane.draw()


def colour_slice(picture: BrainSlice, paint: Floats) -> Bytes:
    """RGB image of one slice, five pixels per voxel, with thin pale borders between regions.

    Parameters
    ----------
    picture : BrainSlice
        The regions.
    paint : array [n_regions + 1, 3]
        Colour of each region, 0 to 1; the first is that of the background.
    """
    labels = np.repeat(np.repeat(picture.labels, FINER, axis=0), FINER, axis=1)
    rgb = np.asarray(paint)[labels]
    border = np.zeros(labels.shape, dtype=bool)
    border[1:] |= labels[1:] != labels[:-1]
    border[:, 1:] |= labels[:, 1:] != labels[:, :-1]
    border &= labels > 0
    rgb[border] = 0.45 * rgb[border] + 0.55
    return np.asarray((255 * rgb).round(), dtype=np.uint8)


def _paint(values: Floats, low: Floats, norm: "Normalize", colours: "ListedColormap") -> Floats:
    """Colour of the background and of each region [n_regions + 1, 3]."""
    table = np.ones((len(values) + 1, 3))
    table[1:] = colours(norm(np.nan_to_num(values)))[:, :3]
    table[1:][~np.isfinite(values)] = theme.colors.to_rgb(theme.LINE)
    table[1:][np.asarray(low, dtype=bool)] = theme.colors.to_rgb(theme.WARM)
    return table


def _scale(slices: Sequence[BrainSlice]) -> float:
    """CSS pixels per mm at which all slices fit beside each other."""
    widths = sum(one.labels.shape[1] * one.column_mm for one in slices)
    heights = max(one.labels.shape[0] * one.row_mm for one in slices)
    room = WIDTH - NAMES - BAR - SLICE_GAP * len(slices)
    return float(min(room / widths, MAX_HEIGHT / heights))


def _draw_row(  # noqa: PLR0913 - one row of a fixed layout
    plane: Plane,
    slices: Sequence[BrainSlice],
    *,
    top: float,
    height: float,
    scale: float,
    named: bool,
    paint: Floats,
) -> None:
    left = float(NAMES)
    for one in slices:
        width = one.labels.shape[1] * one.column_mm * scale
        own = one.labels.shape[0] * one.row_mm * scale
        plane.place((left, top + (height - own) / 2, width, own), colour_slice(one, paint))
        if named:
            style: dict[str, Any] = {"points": theme.SMALL, "colour": theme.MUTED}
            plane.write(left + width / 2, top - 11, one.name, align="center", **style)
        left += width + SLICE_GAP


def draw(entries: Sequence[Coverage]) -> dict[str, bytes]:
    """Draw all parcellations as dots, and each on the brain."""
    brains = {name_brain(one): draw_brain(one) for one in entries if one.slices}
    return {"coverage": draw_coverage(entries), **brains}


def name_brain(coverage: Coverage) -> str:
    """Name the figure of a parcellation's coverage on the brain."""
    return f"coverage_{coverage.parcellation}_space-{coverage.space or 'unknown'}"


SECTION = Section(
    "coverage",
    "Coverage",
    "coverage.html",
    lambda written: written.once(list_coverage) or None,
    draw=draw,
    figures=("coverage",),
    words={
        "name_brain": name_brain,
        "find_worst": _worst_regions,
        "find_lesioned": _lesioned_regions,
        "n_worst": WORST_REGIONS,
    },
)
