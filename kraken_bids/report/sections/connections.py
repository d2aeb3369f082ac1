"""The strongest connections of one person in the brain: measured, predicted, and changed."""

from collections.abc import Mapping

from kraken_bids.connectome.matrices import square_to_edges
from kraken_bids.flavors import Flavor
from kraken_bids.report.edge_views import draw_connections
from kraken_bids.report.section import Group, Section
from kraken_bids.report.sections.brain import GlassBrain, find_strongest
from kraken_bids.report.written import Written, sort_flavors
from kraken_bids.scores.quality_control import CROSS_MODAL

MAX_SHOWN = 60
OTHERS = {"FC": "structure", "SC": "function"}
"""What each modality is predicted from."""
Brains = dict[str, GlassBrain]


def gather(written: Written) -> dict[Group, Brains] | None:
    """Choose the first measured flavor of FC and of SC, rather one that was predicted too."""
    found: dict[Group, Brains] = {}
    targets = written.list_targets()
    flavors = sort_flavors(one.name for one in written.measured)
    for flavor in sorted(flavors, key=lambda one: one not in targets):
        if flavor.group not in found and (brains := _find_brains(written, flavor)):
            found[flavor.group] = brains
    return found or None


def _find_brains(written: Written, flavor: Flavor) -> Brains:
    n_regions = written.read_regions(flavor.parcellation).n_regions
    measured = written.read_measured(flavor, n_regions)
    if measured is None:
        return {}
    edges = square_to_edges(measured)
    predicted = written.read_prediction(flavor, CROSS_MODAL[flavor.group], n_regions)
    mean, _ = written.means.get(flavor.name, (None, None))
    wanted = {
        "strongest connections, as measured": edges,
        f"strongest connections, as predicted from {OTHERS[flavor.group]} alone": (
            None if predicted is None else square_to_edges(predicted)
        ),
        "changed most: measured connections less the mean of the group": (
            edges - mean if mean is not None and mean.shape == edges.shape else None
        ),
    }
    found = {
        title: find_strongest(flavor, (values, None), at_most=MAX_SHOWN)
        for title, values in wanted.items()
    }
    return {title: brain for title, brain in found.items() if brain is not None}


def draw(found: Mapping[Group, Brains]) -> dict[str, bytes]:
    """Draw the brains of each modality."""
    return {f"connections_{group}": draw_connections(brains) for group, brains in found.items()}


SECTION = Section(
    "connections",
    "Brain",
    "connections.html",
    gather,
    heading="Connections in the brain",
    draw=draw,
    figures=("connections_",),
)
