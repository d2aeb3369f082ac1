"""Synthetic subjects: their connectomes at once, or a BIDS data set whose images carry them."""

from kraken_bids.demo.cohort import simulate_cohort
from kraken_bids.demo.dataset import write_demo_dataset

__all__ = ["simulate_cohort", "write_demo_dataset"]
