"""Regions of the atlases that a model was trained on and this package has no table of."""

from collections.abc import Iterable

from kraken_bids.connectome.matrices import n_regions_of
from kraken_bids.io.facts import Facts
from kraken_bids.models.krakencoder.model import Model
from kraken_bids.models.training_record import TRAINING
from kraken_bids.parcellations import Parcellation, make_parcellation, number_regions


def list_own_regions(model: Model) -> dict[str, list[str]]:
    """Names of regions, in their order, by atlas; of those that training was told."""
    told = Facts(dict(model.provenance)).part(TRAINING.regions)
    return {name: names for name in told if (names := told.texts(name))}


def describe_regions(model: Model, names: Iterable[str]) -> list[Parcellation]:
    """Regions of atlases as a model knows them; numbered where it has no names of them."""
    found = []
    for name in names:
        n_regions = count_regions(model, name)
        if n_regions is None:
            continue
        named = list_own_regions(model).get(name, [])
        regions = named if len(named) == n_regions else number_regions(name, n_regions)
        found.append(make_parcellation(name, regions, description=f"regions of {model.name}"))
    return found


def count_regions(model: Model, name: str) -> int | None:
    """Count the regions of an atlas that a model knows; None where it does not know the atlas."""
    edges = (model.n_edges(flavor) for flavor in model.flavors if flavor.parcellation == name)
    n_edges = next(edges, None)
    return None if n_edges is None else n_regions_of(n_edges)
