"""One BOLD run over time: head motion, signal, and every region before and after cleaning."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from kraken_bids.bids.names import parse_name
from kraken_bids.bids.outputs import frames_path, sidecar_path, timeseries_path
from kraken_bids.cohort.measurements import CLEANING
from kraken_bids.exceptions import InputError
from kraken_bids.io.facts import read_facts, read_table
from kraken_bids.io.tables import read_columns
from kraken_bids.report import theme
from kraken_bids.report.carpet import (
    CARPET,
    LEFT,
    WIDTH,
    Carpet,
    colour_carpet,
    draw_carpet,
    draw_displacement,
    draw_groups,
)
from kraken_bids.report.plane import Plane
from kraken_bids.report.regions import Layout, layout_regions
from kraken_bids.report.section import Booleans, Floats, Section
from kraken_bids.report.theme import Bytes
from kraken_bids.report.written import Written, read_or_none

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


Entities = Mapping[str, str]
OF_FRAMES = ("framewise_displacement", "std_dvars", "global_signal", "kept")
NOT_OF_A_RUN = ("sub", "ses", "space", "cohort", "res", "atlas", "desc", "suffix", "extension")

RIGHT = 16.0
TRACE, MOTION_TRACE = 44.0, 84.0
"""Heights in CSS pixels."""
GAP = 12.0
TITLE = 28.0
MARKS = 7.0
AXIS = 42.0


@dataclass(frozen=True)
class Motion:
    """One run, frame by frame: how the head moved, and what the signal did."""

    name: str
    """Entities that tell the run apart, also the figure's file name: ``task-rest_run-01``."""
    displacement: Floats
    """Framewise displacement [n_volumes] in mm; NaN where undefined."""
    kept: Booleans
    """Volumes that entered the connectomes [n_volumes]."""
    tr: float
    threshold: float | None = None
    """Displacement in mm above which volumes were left out, if one was set."""
    dvars: Floats | None = None
    """Standardised DVARS [n_volumes]; NaN where undefined."""
    global_signal: Floats | None = None
    """Mean of the brain [n_volumes], any unit."""
    carpet: Carpet | None = None


def list_motion(written: Written) -> tuple[Motion, ...]:
    """Every run over time, once, with the carpet of its finest parcellation."""
    finest: dict[str, tuple[int, Entities]] = {}
    for path in written.list_files("func/*_atlas-*_timeseries.tsv"):
        entities = parse_name(path)
        if (
            "desc" in entities
            or "atlas" not in entities
            or not frames_path(written.output_dir, entities).exists()
        ):
            continue
        n_regions = written.read_regions(entities["atlas"]).n_regions
        name = _name_run(entities)
        if n_regions > finest.get(name, (0, {}))[0]:
            finest[name] = n_regions, entities
    runs = (_describe_run(written, name, finest[name][1]) for name in sorted(finest))
    return tuple(run for run in runs if run)


def _describe_run(written: Written, name: str, entities: Entities) -> Motion | None:
    path = frames_path(written.output_dir, entities)
    columns = read_or_none(partial(read_table, path, numbers=OF_FRAMES))
    sidecar = read_facts(sidecar_path(path))
    tr = sidecar.number("RepetitionTime")
    if columns is None or not len(columns["kept"]) or not tr:
        return None
    return Motion(
        name=name,
        displacement=columns["framewise_displacement"],
        kept=columns["kept"] == 1,
        tr=tr,
        threshold=sidecar.number(CLEANING.fd_threshold),
        dvars=columns["std_dvars"],
        global_signal=columns["global_signal"],
        carpet=_read_carpet(written, entities, len(columns["kept"])),
    )


def _read_carpet(written: Written, entities: Entities, n_volumes: int) -> Carpet | None:
    parcellation = entities["atlas"]
    regions = written.read_regions(parcellation)
    before, after = (
        timeseries_path(written.output_dir, entities, parcellation, is_clean=is_clean)
        for is_clean in (False, True)
    )

    def read(path: Path) -> NDArray[np.float64]:
        series = np.stack(list(read_columns(path).values()), axis=1)
        if series.dtype.kind != "f" or series.shape != (n_volumes, regions.n_regions):
            raise InputError(
                f"expected {n_volumes} volumes of {regions.n_regions} regions in {path}; found "
                f"shape {series.shape}. The file is cut: measure it again with --force."
            )
        return series

    series = read_or_none(partial(read, before))
    if series is None:
        return None
    cleaned = read_or_none(partial(read, after)) if after.exists() else None
    return Carpet(parcellation, series, cleaned, regions.groups, regions.hemispheres)


def _name_run(entities: Entities) -> str:
    parts = [f"{key}-{value}" for key, value in entities.items() if key not in NOT_OF_A_RUN]
    return "_".join(parts) or "bold"


def draw_motion(motion: Motion) -> bytes:
    """PNG of one run: displacement, DVARS, global signal, carpets; volumes left out marked."""
    traces = [t for t in (motion.dvars, motion.global_signal) if t is not None]
    carpets = _list_carpets(motion)
    n_marks = MARKS + 4
    height = 10 + MOTION_TRACE + len(traces) * (TRACE + GAP) + n_marks + AXIS
    height += len(carpets) * (CARPET + TITLE)
    figure = theme.new_figure(WIDTH, height, scale=1.5)
    plane = Plane(figure)
    panels = [_add_panel(figure, 10, MOTION_TRACE)]
    times = _minutes(motion.displacement, motion.tr)
    draw_displacement(panels[0], times, motion.displacement, threshold=motion.threshold)
    _name_panel(panels[0], "displacement (mm)")
    top = 10 + MOTION_TRACE
    for values, name, colour in (
        (motion.dvars, "DVARS", theme.ACCENT),
        (motion.global_signal, "global signal", theme.MUTED),
    ):
        if values is not None:
            top += GAP
            panels.append(_add_panel(figure, top, TRACE))
            _draw_trace(panels[-1], values, motion.tr, name=name, colour=colour)
            top += TRACE
    top += 4
    panels.append(_add_panel(figure, top, MARKS))
    _draw_marks(panels[-1], motion)
    top += MARKS
    tops: list[float] = []
    for title, rgb, layout in carpets:
        panels.append(_add_panel(figure, top + TITLE, CARPET))
        draw_carpet(panels[-1], rgb, layout, end=_minutes_of(motion))
        tops.append(top + TITLE)
        theme.add_text(
            panels[-1], 0, 1 + 5 / CARPET, title, transform=panels[-1].transAxes, va="bottom"
        )
        top += TITLE + CARPET
    if tops:
        draw_groups(plane, carpets[0][2], tops)
    _share_time(panels, motion)
    return plane.draw()


def find_stretches(mask: NDArray[np.bool_], step: float) -> list[tuple[float, float]]:
    """Start and length of every stretch of True, in the unit of ``step``."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], mask.astype(int), [0]])))
    return [(start * step, (stop - start) * step) for start, stop in edges.reshape(-1, 2).tolist()]


def _list_carpets(motion: Motion) -> list[tuple[str, Bytes, Layout]]:
    """Title, picture and layout of each carpet of a run."""
    carpet = motion.carpet
    if carpet is None:
        return []
    kept = np.asarray(motion.kept, dtype=bool)
    layout = layout_regions(carpet.region_groups, carpet.hemispheres)
    name = f"{len(layout.order)} regions of {carpet.parcellation}"
    before = colour_carpet(carpet.before, layout, kept=kept, is_clean=False)
    carpets = [(f"{name}, before cleaning", before, layout)]
    if carpet.after is not None:
        after = colour_carpet(carpet.after, layout, kept=kept, is_clean=True)
        carpets.append((f"{name}, after cleaning", after, layout))
    return carpets


def _add_panel(figure: "Figure", top: float, height: float) -> "Axes":
    axes = theme.add_box(figure, LEFT, top, WIDTH - LEFT - RIGHT, height)
    theme.style_axes(axes, grid="")
    axes.tick_params(axis="x", bottom=False, labelbottom=False)
    axes.spines["bottom"].set_visible(False)
    return axes


def _share_time(panels: list["Axes"], motion: Motion) -> None:
    for axes in panels:
        axes.set_xlim(0, _minutes_of(motion))
        axes.xaxis.set_major_locator(theme.ticker.MaxNLocator(10, steps=[1, 2, 5, 10]))
    last = panels[-1]
    last.tick_params(axis="x", bottom=True, labelbottom=True)
    last.set_xlabel("minutes", fontsize=theme.NORMAL, color=theme.MUTED)


def _draw_trace(axes: "Axes", values: Floats, tr: float, *, name: str, colour: str) -> None:
    series = np.asarray(values, dtype=float)
    axes.plot(_minutes(series, tr), series, color=colour, linewidth=0.8)
    finite = series[np.isfinite(series)]
    if finite.size:
        # the first volumes are far brighter, and a jump far larger, than all the rest
        low, high = np.percentile(finite, [0.5, 99.5])
        room = 0.12 * (high - low) or 1.0
        axes.set_ylim(low - room, high + room)
    axes.yaxis.set_major_locator(theme.ticker.MaxNLocator(2))
    _name_panel(axes, name)


def _draw_marks(axes: "Axes", motion: Motion) -> None:
    axes.set(ylim=(0, 1), yticks=[])
    axes.spines["left"].set_visible(False)
    dropped = ~np.asarray(motion.kept, dtype=bool)
    axes.broken_barh(
        find_stretches(dropped, motion.tr / 60), (0, 1), color=theme.WARM, linewidth=0.6
    )
    _name_panel(axes, f"left out ({int(dropped.sum())})")


def _name_panel(axes: "Axes", name: str) -> None:
    width = WIDTH - LEFT - RIGHT
    theme.add_text(
        axes, -44 / width, 0.5, name, transform=axes.transAxes,
        ha="right", va="center", fontsize=theme.SMALL, color=theme.TEXT,
    )  # fmt: skip


def _minutes(values: Floats, tr: float) -> Floats:
    return np.asarray(np.arange(len(values)) * tr / 60)


def _minutes_of(motion: Motion) -> float:
    return max(len(motion.displacement) * motion.tr / 60, 1e-3)


SECTION = Section(
    "motion",
    "Motion and signal",
    "motion.html",
    lambda written: written.once(list_motion) or None,
    draw=lambda runs: {f"motion_{run.name}": draw_motion(run) for run in runs},
    figures=("motion_",),
)
