"""The strongest connections of the group's mean connectomes, in a glass brain."""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from kraken_bids.connectome.labels.region_places import load_centres
from kraken_bids.connectome.matrices import edges_to_square, square_to_edges
from kraken_bids.flavors import Flavor, parse_flavor
from kraken_bids.parcellations import load_parcellation
from kraken_bids.report import theme
from kraken_bids.report.colour_scale import fill_colour_bar
from kraken_bids.report.regions import choose_colours
from kraken_bids.report.section import Floats, Group, Section
from kraken_bids.report.words import explain_unit
from kraken_bids.report.written import Means, read_means, sort_flavors
from kraken_bids.report.written_group import WrittenGroup

if TYPE_CHECKING:
    from matplotlib.colors import ListedColormap, Normalize

MAX_EDGES = 100
"""More lines than these hide each other."""
SIZE = 1060.0, 300.0
"""CSS pixels."""


@dataclass(frozen=True)
class GlassBrain:
    """The strongest connections of one mean connectome."""

    flavor: str
    group: Group
    square: Floats
    """[n_measured, n_measured]: what is drawn; 0 elsewhere."""
    centres: Floats
    """[n_measured, 3]: MNI152NLin6Asym, RAS mm; regions that nobody has are left out."""
    n_edges: int
    """Connections that were measured."""
    names: tuple[str, ...]
    """Of the regions [n_measured]."""
    networks: tuple[str, ...]
    """Lobe, network or structure of each region [n_measured]."""

    @cached_property
    def colours(self) -> dict[str, str]:
        """Colour of each network of the parcellation, whichever of them were measured."""
        return choose_colours(load_parcellation(parse_flavor(self.flavor).parcellation).groups)

    @cached_property
    def scale(self) -> tuple["Normalize", "ListedColormap"]:
        """Range and colours of the connections; 0 is in the middle where some are negative."""
        low, high = self.threshold, float(np.abs(self.shown).max())
        if (self.shown < 0).any():
            return theme.colors.Normalize(-high, high), theme.diverging_colours()
        norm = theme.colors.Normalize(low, high if high > low else low * 1.01)
        return norm, theme.strength_colours()

    @property
    def shown(self) -> Floats:
        """Values of the connections that are drawn."""
        edges = square_to_edges(self.square)
        return np.asarray(edges[edges != 0])

    @property
    def threshold(self) -> float:
        """Smallest absolute value that is drawn; all measured ones from it on are."""
        return float(np.abs(self.shown).min())


def gather(group: WrittenGroup) -> dict[Group, GlassBrain] | None:
    """Choose the first flavor of FC and of SC whose mean and centres are known."""
    means = group.once(read_means)
    found: dict[Group, GlassBrain] = {}
    for flavor in sort_flavors(means):
        if flavor.group not in found and (brain := find_strongest(flavor, means[flavor.name])):
            found[flavor.group] = brain
    return found or None


def find_strongest(flavor: Flavor, means: Means, *, at_most: int = MAX_EDGES) -> GlassBrain | None:
    """Find the strongest connections of a connectome.

    Parameters
    ----------
    means : tuple
        Edges first, such as the mean measured ones of the group.
    at_most : int
        Connections to find; twice as many where some are equally strong.

    Returns
    -------
    GlassBrain or None
        None without a mean, for parcellations whose centres are not known, and where no connection
        is stronger than others. Connections of equal strength are shown, or left out, together.
    """
    edges, centres = means[0], load_centres(flavor.parcellation)
    if edges is None or not edges.size or edges.size != len(centres) * (len(centres) - 1) // 2:
        return None
    size = np.abs(np.nan_to_num(edges, posinf=0, neginf=0))
    threshold = np.sort(size)[-min(at_most, size.size)]
    is_strong = (size >= threshold) & (size > 0)
    if is_strong.sum() > 2 * at_most:
        is_strong = size > threshold
    if not is_strong.any():
        return None
    measured = np.isfinite(edges_to_square(edges, diagonal=np.nan)).any(axis=1)
    square = edges_to_square(np.where(is_strong, edges, 0), diagonal=0)
    table = load_parcellation(flavor.parcellation)
    return GlassBrain(
        flavor=flavor.name,
        group=flavor.group,
        square=square[np.ix_(measured, measured)],
        centres=centres[measured],
        n_edges=int(np.isfinite(edges).sum()),
        names=tuple(np.array(table.region_names, object)[measured]),
        networks=tuple(np.array(table.groups, object)[measured]),
    )


def draw_glass_brain(brain: GlassBrain, *, unit: str | None = None) -> bytes:
    """PNG of the connections, seen from the left, above, the right and behind.

    Parameters
    ----------
    unit : str, optional
        Words beside the colours; by default those of the flavor's connectomes.
    """
    theme.prepare_matplotlib()
    figure = theme.new_figure(*SIZE, scale=1.5)
    norm, colours = brain.scale
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a change of matplotlib's backend, which is not used
        from nilearn.plotting import plot_connectome

        plot_connectome(
            brain.square,
            brain.centres,
            figure=figure,
            axes=(0, 0.02, 0.91, 0.96),
            display_mode="lzry",
            node_color=[brain.colours[name] for name in brain.networks],
            node_size=9,
            edge_cmap=colours,
            edge_vmin=norm.vmin,
            edge_vmax=norm.vmax,
            edge_kwargs={"linewidth": 1.1},
            colorbar=False,
        )
    width, height = SIZE
    axes = theme.add_box(
        figure, (0.93 if unit is None else 0.92) * width, 0.12 * height, 10, 0.76 * height
    )
    fill_colour_bar(axes, norm, colours, unit or explain_unit(brain.flavor))
    return theme.draw_png(figure)


def draw(brains: Mapping[Group, GlassBrain]) -> dict[str, bytes]:
    """Draw the brain of each modality."""
    return {f"brain_{group}": draw_glass_brain(brain) for group, brain in brains.items()}


SECTION = Section(
    "brain",
    "Brain",
    "brain.html",
    gather,
    heading="Strongest connections in the brain",
    draw=draw,
    figures=("brain_",),
    words={"explain_unit": explain_unit},
)
