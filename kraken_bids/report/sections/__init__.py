"""Sections of the pages: each is one file here and one template."""
