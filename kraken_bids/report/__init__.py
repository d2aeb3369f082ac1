"""Figures and self-contained HTML pages; matplotlib and jinja2 live here."""
