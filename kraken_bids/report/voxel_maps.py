"""A map of the whole brain, its strongest voxels in a glass brain and on slices."""

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from kraken_bids.report import theme
from kraken_bids.report.colour_scale import fill_colour_bar
from kraken_bids.report.section import Floats

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PERCENTILE = 95
"""Of the sizes of voxels of the brain: weaker ones are not shown."""
SIZE = 1060.0, 420.0
GLASS, SLICES = (0.0, 0.5, 0.9, 0.5), (0.0, 0.0, 0.9, 0.48)
"""Left, bottom, width and height, as shares of the figure."""
N_SLICES = 8
TOP_PERCENTILE = 99.9
"""Of the sizes of voxels: colours are full from here on."""


@dataclass(frozen=True)
class VoxelMap:
    """A map on a grid."""

    values: Floats
    """[x, y, z]; 0 outside the brain."""
    affine: NDArray[np.float64]
    """Voxel → RAS mm."""
    threshold: float
    """Size from which on voxels are shown; 0 where all are 0."""
    peak: tuple[int, int, int]
    """Place of the largest value, RAS mm."""

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to show."""
        return not self.threshold

    @property
    def n_shown(self) -> int:
        """Voxels that are shown."""
        return int((np.abs(self.values) >= self.threshold).sum()) if self.threshold else 0


def make_voxel_map(
    values: NDArray[np.floating], affine: NDArray[np.float64], *, threshold: float | None = None
) -> VoxelMap:
    """Find what of a map [x, y, z] is shown; values that are no number count as 0.

    Parameters
    ----------
    threshold : float, optional
        Size from which on voxels are shown; by default the 95th percentile of those not 0.
    """
    known = np.nan_to_num(np.asarray(values, np.float32), posinf=0.0, neginf=0.0)
    sizes = np.abs(known[known != 0])
    if not threshold:
        threshold = float(np.percentile(sizes, PERCENTILE)) if sizes.size else 0.0
    place = np.unravel_index(int(np.abs(known).argmax()), known.shape)
    x, y, z = (round(float(at)) for at in (affine @ [*map(int, place), 1.0])[:3])
    return VoxelMap(known, np.asarray(affine, np.float64), threshold, (x, y, z))


def draw_voxel_map(shown: VoxelMap) -> bytes:
    """PNG of the strongest voxels from four sides, and below on axial slices.

    Red is positive, blue negative; both have the same scale. Slices lie over nilearn's template of
    the MNI space.
    """
    theme.prepare_matplotlib()
    figure = theme.new_figure(*SIZE, scale=1.5)
    sizes = np.abs(shown.values[shown.values != 0])
    top = float(np.percentile(sizes, TOP_PERCENTILE)) if sizes.size else 1.0
    norm, colours = theme.colors.Normalize(-top, top), theme.diverging_colours()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a change of matplotlib's backend, which is not used
        _plot(figure, shown, top)
    width, height = SIZE
    axes = theme.add_box(figure, 0.91 * width, 0.25 * height, 10, 0.5 * height)
    bar = fill_colour_bar(axes, norm, colours, "relevance")
    bar.formatter = theme.ticker.FuncFormatter(lambda value, _: f"{value:.2g}".replace("-", "−"))
    bar.update_ticks()
    for edge in (-shown.threshold, shown.threshold):
        axes.axhline(edge, color=theme.TEXT, linewidth=0.8)
    return theme.draw_png(figure)


def _plot(figure: "Figure", shown: VoxelMap, top: float) -> None:
    import nibabel
    from nilearn.plotting import plot_glass_brain, plot_stat_map

    image = nibabel.Nifti1Image(shown.values, shown.affine)  # type: ignore[no-untyped-call]
    style = {
        "figure": figure, "threshold": shown.threshold or None, "vmin": -top, "vmax": top,
        "cmap": theme.diverging_colours(), "colorbar": False,
    }  # fmt: skip
    plot_glass_brain(image, axes=GLASS, display_mode="lyrz", plot_abs=False, **style)
    plot_stat_map(
        image, axes=SLICES, display_mode="z", cut_coords=_choose_heights(shown),
        black_bg=False, annotate=True, draw_cross=False, **style,
    )  # fmt: skip


def _choose_heights(shown: VoxelMap) -> list[int]:
    """Heights of slices, mm, spread over the voxels that are not 0."""
    rows = np.argwhere(shown.values != 0)
    ends = (rows.min(axis=0), rows.max(axis=0)) if len(rows) else (np.zeros(3), np.ones(3))
    low, high = sorted(float((shown.affine @ [*end, 1.0])[2]) for end in ends)
    places = np.linspace(low, high, N_SLICES + 2)[1:-1]
    return [round(float(place)) for place in np.unique(places.round())]
