"""The Krakencoder in memory (``predict.py``), what it computes with, its files, its judges."""
