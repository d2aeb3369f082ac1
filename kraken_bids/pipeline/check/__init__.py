"""Checking: what is unusual about inputs, and what predictions are worth."""
