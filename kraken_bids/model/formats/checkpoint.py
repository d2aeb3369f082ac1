"""Old address of :mod:`kraken_bids.models.krakencoder.checkpoint`, for scripts that import it."""

from kraken_bids.models.krakencoder.checkpoint import read_model, write_model

__all__ = ["read_model", "write_model"]
