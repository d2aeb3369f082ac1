"""The Krakencoder as a BIDS App: connectomes translated between structure and function."""

__version__ = "0.1.0"
