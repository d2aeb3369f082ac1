"""Connectomes of OUTPUT_DIR as files of other tools."""
