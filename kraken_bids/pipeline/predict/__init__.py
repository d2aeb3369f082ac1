"""Predicting: adaptation, latents, predicted connectomes, in files."""
