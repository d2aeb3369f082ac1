"""Damaged files for every reader of foreign bytes: see ``benchmarks/bench_fuzz.py``."""
