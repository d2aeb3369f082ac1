"""Training a Krakencoder: splits, losses and the loop."""
