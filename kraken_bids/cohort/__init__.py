"""Connectomes and latents of many subjects, from and to datasets and files."""
