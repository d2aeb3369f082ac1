"""A small cohort of an atlas that nobody knows, in files."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kraken_bids.flavors import Flavor, parse_flavor
from kraken_bids.models.krakencoder.recipe import TrainingSettings
from kraken_bids.pipeline.train.training_options import TrainingOptions

FLAVORS = tuple(
    map(parse_flavor, ("FCcorr_mini12_hpf", "FCpcorr_mini12_hpf", "SCcount_mini12_raw"))
)
N_PEOPLE = 30
N_EDGES = 66

SMALL: dict[str, Any] = {
    "transform": "pca6", "latent_size": 4, "batch_size": 7, "n_epochs": 12, "dropout": 0.1,
    "learning_rate": 1e-2, "device": "cpu",
}  # fmt: skip


@pytest.fixture(scope="session")
def people() -> dict[Flavor, np.ndarray]:
    """Edges [n_people, n_edges] that share five factors of each person across flavors."""
    rng = np.random.default_rng(3)
    person = rng.standard_normal((N_PEOPLE, 5))
    return {
        flavor: (
            0.5 * rng.standard_normal(N_EDGES)
            + 0.1 * person @ rng.standard_normal((5, N_EDGES))
            + 0.03 * rng.standard_normal((N_PEOPLE, N_EDGES))
        )
        for flavor in FLAVORS
    }


@pytest.fixture(scope="session")
def save() -> Callable[[Path, Mapping[Flavor, np.ndarray]], Path]:
    """Write connectomes and labels as one file."""

    def write(path: Path, edges: Mapping[Flavor, np.ndarray]) -> Path:
        subjects = np.array([f"{row + 1:03d}" for row in range(len(next(iter(edges.values()))))])
        np.savez(path, subjects=subjects, **{f.name: rows for f, rows in edges.items()})
        return path

    return write


@pytest.fixture
def cohort(tmp_path: Path, people: dict[Flavor, np.ndarray], save: Callable[..., Path]) -> Path:
    """File of everyone's connectomes."""
    return save(tmp_path / "cohort.npz", people)


@pytest.fixture(scope="session")
def ask() -> Callable[..., TrainingOptions]:
    """Make options of a small training; recipe and others by their names."""

    def make(**changes: Any) -> TrainingOptions:
        recipe = {key: value for key, value in changes.items() if hasattr(TrainingSettings, key)}
        others = {key: value for key, value in changes.items() if key not in recipe}
        return TrainingOptions(settings=TrainingSettings(**{**SMALL, **recipe}), **others)

    return make
