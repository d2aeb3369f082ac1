"""The commands of ``kraken-tools``: options, and one call."""
