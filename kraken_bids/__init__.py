"""The Krakencoder as a BIDS App: connectomes translated between structure and function.

The public names are listed in ``__init__.pyi`` and imported when they are first used, so that
``import kraken_bids`` is quick.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

try:
    from kraken_bids._version import __version__
except ModuleNotFoundError:  # a checkout that was never installed
    __version__ = "0+unknown"
