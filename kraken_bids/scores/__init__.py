"""Judgement of connectomes, latents and predictions: arrays in, numbers and words out."""
