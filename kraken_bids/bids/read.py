"""Everything that reads a file's content, under one name."""

from kraken_bids.bids.bold import Bold, open_bold
from kraken_bids.bids.columns import read_columns
from kraken_bids.bids.images import read_image, read_labels
from kraken_bids.bids.tables import read_relmat, read_weights
from kraken_bids.texts import read_json, read_text

__all__ = [
    "Bold",
    "open_bold",
    "read_columns",
    "read_image",
    "read_json",
    "read_labels",
    "read_relmat",
    "read_text",
    "read_weights",
]
