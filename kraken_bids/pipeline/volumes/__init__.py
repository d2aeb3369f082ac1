"""Decode whole volumes of BOLD runs into states, and explain each decision."""
