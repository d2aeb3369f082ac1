"""Scans whose communities and their presence are known."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
from numpy.typing import NDArray


@dataclass(frozen=True)
class Planted:
    """Series and what is planted in them."""

    series: list[NDArray[np.float64]]
    labels: NDArray[np.intp]
    presence: list[NDArray[np.float64]]


@pytest.fixture(scope="session")
def plant() -> Callable[..., Planted]:
    def make(
        n_communities: int = 4,
        n_regions: int = 40,
        *,
        lengths: tuple[int, ...] = (240, 300, 260),
        strength: float = 0.6,
        is_dynamic: bool = True,
        seed: int = 0,
    ) -> Planted:
        rng = np.random.default_rng(seed)
        labels = rng.permutation(np.arange(n_regions) % n_communities)
        series, presences = [], []
        for n_volumes in lengths:
            presence = np.ones((n_volumes, n_communities))
            for k in range(n_communities if is_dynamic else 0):
                start, is_on = 0, rng.random() < 0.5
                while start < n_volumes:
                    stop = start + int(rng.integers(25, 60))
                    presence[start:stop, k] = is_on
                    start, is_on = stop, not is_on
            signal = rng.standard_normal((n_volumes, n_communities)) * presence
            noise = rng.standard_normal((n_volumes, n_regions))
            series.append(noise + (strength / (1 - strength)) ** 0.5 * signal[:, labels])
            presences.append(presence)
        return Planted(series, labels, presences)

    return make
