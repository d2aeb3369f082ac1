"""Streamlines and labels to structural connectomes."""
