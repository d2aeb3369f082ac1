"""Old address of :mod:`kraken_bids.models.krakencoder.training`, for scripts that import it."""

from kraken_bids.models.krakencoder.training import TrainingSettings, train_model

__all__ = ["TrainingSettings", "train_model"]
