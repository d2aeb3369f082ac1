"""Carpets: all series of a run as one picture, regions in display order; motion above them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from kraken_bids.report import theme
from kraken_bids.report.plane import Plane
from kraken_bids.report.regions import Layout, group_colours, spread_labels
from kraken_bids.report.section import Floats
from kraken_bids.report.theme import Bytes

if TYPE_CHECKING:
    from matplotlib.axes import Axes


WIDTH = 1060.0
LEFT = 178.0
CARPET = 210.0
"""Height; all in CSS pixels."""
STRIP = 8.0
MAX_ROWS = 300
"""Rows of a carpet that can be seen; with more regions neighbours are averaged."""
N_GREYS = 17
MAX_Z = 2.0
"""Black and white of a carpet, in standard deviations of each region."""
LEFT_OUT = "#f6ddcf"
MISSING = "#d6dbe0"


@dataclass(frozen=True)
class Carpet:
    """Region series of one run, one row per region."""

    parcellation: str
    before: Floats
    """[n_volumes, n_regions]: region means before cleaning; NaN columns where there is nothing."""
    after: Floats | None
    """[n_volumes, n_regions]: after cleaning; None where only the first was kept."""
    region_groups: tuple[str, ...]
    """Lobe, network or structure of each region [n_regions]."""
    hemispheres: tuple[str, ...]
    """``L``, ``R`` or ``M`` of each region [n_regions]."""


def colour_carpet(
    series: Floats, layout: Layout, *, kept: NDArray[np.bool_], is_clean: bool
) -> Bytes:
    """RGB image [n_rows, n_volumes, 3] of the series of a run, regions in display order.

    Parameters
    ----------
    series : array [n_volumes, n_regions]
        Each region is z-scored over the volumes that count; black is -2, white 2. With more than
        300 regions each row is the mean of two or more neighbours.
    layout : Layout
        Order of the regions.
    kept : bool array [n_volumes]
        Volumes that count.
    is_clean : bool
        Whether the series has been cleaned: volumes that do not count then hold guesses only and
        are shown as a pale blank.
    """
    values = np.asarray(series, float)[:, layout.order]
    known = values[kept] if kept.any() else values
    centre, spread = known.mean(axis=0), known.std(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        z = (values - centre) / np.where(spread > 0, spread, np.nan)
    z = _average_neighbours(z)
    level = np.clip((z + MAX_Z) / (2 * MAX_Z), 0, 1)
    grey = np.round(level * (N_GREYS - 1)) * (255 / (N_GREYS - 1))
    rgb = np.repeat(np.nan_to_num(grey)[..., None], 3, axis=2)
    rgb[~np.isfinite(z)] = 255 * np.array(theme.colors.to_rgb(MISSING))
    if is_clean:
        rgb[~kept] = 255 * np.array(theme.colors.to_rgb(LEFT_OUT))
    return np.ascontiguousarray(rgb.transpose(1, 0, 2).round().astype(np.uint8))


def _average_neighbours(z: Floats) -> Floats:
    """Mean of every few columns of [n_volumes, n_regions], so that at most 300 are left."""
    step = -(-z.shape[1] // MAX_ROWS)
    if step == 1:
        return z
    starts = np.arange(0, z.shape[1], step)
    known = np.isfinite(z)
    sums = np.add.reduceat(np.where(known, z, 0.0), starts, axis=1)
    counts = np.add.reduceat(known.astype(float), starts, axis=1)
    return np.asarray(sums / np.where(counts > 0, counts, np.nan))


def draw_carpet(axes: "Axes", rgb: Bytes, layout: Layout, *, end: float) -> None:
    """Draw a picture of :func:`colour_carpet` into its axes.

    Parameters
    ----------
    end : float
        Of the run, in minutes.
    """
    n_regions = len(layout.order)
    axes.imshow(rgb, aspect="auto", extent=(0, end, n_regions, 0), interpolation="nearest")
    axes.set(ylim=(n_regions, 0), yticks=[])
    for spine in axes.spines.values():  # white at either end of a run is data
        spine.set(visible=True, color=theme.MUTED, linewidth=0.4)
    for start in layout.starts[1:-1]:
        axes.axhline(start, color="white", linewidth=0.6)


def draw_displacement(
    axes: "Axes", times: Floats, displacement: Floats, *, threshold: float | None = None
) -> None:
    """Draw framewise displacement over time; a jump far larger than the rest is cut and named.

    Parameters
    ----------
    times : ndarray of shape (n_volumes,)
        In the unit of the axis.
    displacement : ndarray of shape (n_volumes,)
        mm; NaN where undefined.
    threshold : float, optional
        mm; a dashed line.
    """
    displacement = np.asarray(displacement, dtype=float)
    finite = displacement[np.isfinite(displacement)]
    high = float(np.percentile(finite, 99.5)) * 1.15 if finite.size else 0.0
    top = max(0.6, high, (threshold or 0) * 1.2)
    axes.set_ylim(0, top)
    axes.yaxis.set_major_locator(theme.ticker.MaxNLocator(3))
    axes.fill_between(times, 0, displacement, color=theme.ACCENT, alpha=0.15, linewidth=0)
    axes.plot(times, displacement, color=theme.ACCENT, linewidth=0.8)
    if threshold is not None:
        axes.axhline(threshold, color=theme.WARM, linewidth=0.8, linestyle=(0, (5, 3)))
    if finite.size and finite.max() > top:
        note = f"highest {finite.max():.1f} mm"
        style = {"transform": axes.transAxes, "ha": "right", "fontsize": theme.SMALL}
        style["bbox"] = {"facecolor": "white", "edgecolor": "none", "pad": 1.0, "alpha": 0.85}
        theme.add_text(axes, 0.995, 0.8, note, **style)


def draw_groups(plane: Plane, layout: Layout, tops: Sequence[float]) -> None:
    """Draw the colours of the groups left of carpets, and their names, tied to them.

    Parameters
    ----------
    tops : sequence of float
        Of the carpets, which all have this layout; CSS pixels.
    """
    unit = CARPET / len(layout.order)
    colours = group_colours(layout)
    right = LEFT - 3
    left, start = right - STRIP, right - STRIP - 12
    edges = np.add.outer(tops, np.arange(len(colours) + 1) * unit)
    boxes = left, edges[:, :-1], right, edges[:, 1:]
    plane.add(theme.join_boxes(boxes, facecolors=colours, antialiaseds=False))
    placed = spread_labels(layout.middles * unit, gap=14.5, low=5, high=CARPET - 5)
    ties = []
    for top in tops:
        for name, middle, y in zip(layout.titles, layout.middles * unit, placed, strict=True):
            ties.append([(start, top + y), (start + 3, top + y), (start + 10, top + middle)])
            plane.write(start - 3, top + y, name, points=theme.SMALL, align="right")
    plane.add_lines(ties, colors=theme.MUTED, linewidths=0.5)
