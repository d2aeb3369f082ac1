"""Structured synthetic series, and runs of them."""

from collections.abc import Callable, Iterator

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from kraken_bids.models.series.objectives import Runs

Values = NDArray[np.float32]


def make_runs(n_runs: int, n_volumes: int, n_regions: int, seed: int = 0) -> list[Values]:
    """Standardised series of a few sources that turn in circles, seen by all regions, and noise.

    A source is where it was two steps ago with the other sign, nearly: the last volume says
    nothing of the next one that its predecessor does not say better.
    """
    n_sources = 3
    seen = np.random.default_rng(9).standard_normal((2 * n_sources, n_regions))
    rng = np.random.default_rng(seed)
    speeds = np.array([0.5, 0.37, 0.61]) * np.pi
    runs = []
    for _ in range(n_runs):
        phases = rng.random(n_sources) * 2 * np.pi + np.arange(n_volumes)[:, None] * speeds
        values = np.c_[np.cos(phases), np.sin(phases)] @ seen
        values += 0.3 * rng.standard_normal(values.shape)
        runs.append(((values - values.mean(0)) / values.std(0)).astype(np.float32))
    return runs


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """Tiny networks on several threads wait for each other most of the time."""
    n_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(n_threads)


@pytest.fixture(scope="session")
def draw_runs() -> Callable[..., Runs]:
    def draw(n_runs: int = 6, n_volumes: int = 60, n_regions: int = 10, seed: int = 0) -> Runs:
        values = make_runs(n_runs, n_volumes, n_regions, seed)
        return Runs(np.full(n_runs, n_volumes), [2.0] * n_runs, values.__getitem__)

    return draw
