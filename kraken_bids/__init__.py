"""The Krakencoder as a BIDS App: connectomes translated between structure and function.

``load_model``, ``Model``, ``Flavor``, ``parse_flavor``, ``fuse``, ``fit_adaptation`` and
``read_adaptation`` are imported when they are first used, so that ``import kraken_bids`` is quick.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kraken_bids.flavors import Flavor, parse_flavor
    from kraken_bids.model.adaptation import fit_adaptation, read_adaptation
    from kraken_bids.model.fusion import fuse
    from kraken_bids.model.load import load_model
    from kraken_bids.model.predict import Model

__version__ = "0.1.0"

__all__ = [
    "Flavor",
    "Model",
    "fit_adaptation",
    "fuse",
    "load_model",
    "parse_flavor",
    "read_adaptation",
]

_HOMES = {
    "Flavor": "flavors",
    "Model": "model.predict",
    "fit_adaptation": "model.adaptation",
    "fuse": "model.fusion",
    "load_model": "model.load",
    "parse_flavor": "flavors",
    "read_adaptation": "model.adaptation",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'kraken_bids' has no attribute {name!r}")
    return getattr(import_module(f"kraken_bids.{_HOMES[name]}"), name)
