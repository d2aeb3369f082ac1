"""How good predictions are, and how far to trust what they start from."""
