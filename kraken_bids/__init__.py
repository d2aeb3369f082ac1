"""The Krakencoder as a BIDS App: connectomes translated between structure and function.

The names of ``__all__`` are imported when they are first used, so that ``import kraken_bids`` is
quick.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kraken_bids.estimator import KrakenEncoder
    from kraken_bids.flavors import Flavor, parse_flavor
    from kraken_bids.labelled import region_names, to_edges, to_frame, to_square, to_table
    from kraken_bids.model.adaptation import fit_adaptation, read_adaptation
    from kraken_bids.model.formats.load import load_model
    from kraken_bids.model.fusion import fuse
    from kraken_bids.model.predict import Model
    from kraken_bids.pipeline.named_matrices import read_matrix
    from kraken_bids.pipeline.tools.connectome_files import read_connectomes
    from kraken_bids.region_orders import reorder_regions

__version__ = "0.1.0"

__all__ = [
    "Flavor",
    "KrakenEncoder",
    "Model",
    "fit_adaptation",
    "fuse",
    "load_model",
    "parse_flavor",
    "read_adaptation",
    "read_connectomes",
    "read_matrix",
    "region_names",
    "reorder_regions",
    "to_edges",
    "to_frame",
    "to_square",
    "to_table",
]

_HOMES = {
    "Flavor": "flavors",
    "KrakenEncoder": "estimator",
    "Model": "model.predict",
    "fit_adaptation": "model.adaptation",
    "fuse": "model.fusion",
    "load_model": "model.formats.load",
    "parse_flavor": "flavors",
    "read_adaptation": "model.adaptation",
    "read_connectomes": "pipeline.tools.connectome_files",
    "read_matrix": "pipeline.named_matrices",
    "region_names": "labelled",
    "reorder_regions": "region_orders",
    "to_edges": "labelled",
    "to_frame": "labelled",
    "to_square": "labelled",
    "to_table": "labelled",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'kraken_bids' has no attribute {name!r}")
    return getattr(import_module(f"kraken_bids.{_HOMES[name]}"), name)
