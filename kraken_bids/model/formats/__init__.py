"""Old address of :mod:`kraken_bids.models.krakencoder`, for scripts written before it moved."""
