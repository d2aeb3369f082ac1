"""A small model and a small cohort on disk, for the stages."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from kraken_bids.bids.outputs import relmat_path
from kraken_bids.bids.write import write_relmat
from kraken_bids.connectome.matrices import edges_to_square
from kraken_bids.flavors import Flavor, parse_flavor
from kraken_bids.model.formats.checkpoint import write_model
from kraken_bids.model.formats.load import load_model
from kraken_bids.model.predict import Model
from kraken_bids.training.fit import TrainingSettings, train_model

FLAVORS = tuple(
    map(parse_flavor, ("FCcorr_fs86_hpf", "FCpcorr_fs86_hpf", "SCifod2act_fs86_volnorm"))
)
N_PEOPLE = 12
N_EDGES = 86 * 85 // 2


@pytest.fixture(scope="session")
def cohort_edges() -> dict[Flavor, NDArray[np.float64]]:
    """Edges [n_people, n_edges] that share six factors of each person across flavors."""
    rng = np.random.default_rng(5)
    person = rng.standard_normal((N_PEOPLE, 6))
    edges = {}
    for flavor in FLAVORS:
        common = rng.standard_normal(N_EDGES)
        own = person @ rng.standard_normal((6, N_EDGES))
        noise = rng.standard_normal((N_PEOPLE, N_EDGES))
        edges[flavor] = 0.3 * common + 0.1 * own + 0.02 * noise
    return edges


@pytest.fixture(scope="session")
def model_folder(
    tmp_path_factory: pytest.TempPathFactory, cohort_edges: dict[Flavor, NDArray[np.float64]]
) -> Path:
    """Write an untrained model whose transforms were fitted on shifted copies of the cohort."""
    shifted = {flavor: 2 * rows + 0.1 for flavor, rows in cohort_edges.items()}
    settings = TrainingSettings(
        transform="pca6", latent_size=4, n_epochs=0, batch_size=4, device="cpu"
    )
    folder = tmp_path_factory.mktemp("model")
    return write_model(train_model(shifted, settings=settings), folder)


@pytest.fixture(scope="session")
def model(model_folder: Path) -> Model:
    """Read the model back."""
    return load_model(model_folder, device="cpu")


@pytest.fixture(scope="session")
def brains() -> dict[Flavor, NDArray[np.float64]]:
    """Edges [n_people, n_edges] that flavors can have: no negative structure, no r beyond 1."""
    rng = np.random.default_rng(11)
    return {
        flavor: np.clip(
            0.9 * rng.beta(1, 5, N_EDGES) + 0.03 * rng.standard_normal((N_PEOPLE, N_EDGES)), 0, 1
        )
        for flavor in (FLAVORS[0], FLAVORS[2])
    }


@pytest.fixture(scope="session")
def brain_model(
    tmp_path_factory: pytest.TempPathFactory, brains: dict[Flavor, NDArray[np.float64]]
) -> Path:
    """Write an untrained model whose transforms were fitted on these people, a little changed."""
    settings = TrainingSettings(
        transform="pca4", latent_size=4, n_epochs=0, batch_size=4, device="cpu"
    )
    changed = {flavor: 0.9 * rows + 0.01 for flavor, rows in brains.items()}
    return write_model(
        train_model(changed, settings=settings), tmp_path_factory.mktemp("brain_model")
    )


@pytest.fixture
def output_dir(tmp_path: Path, cohort_edges: dict[Flavor, NDArray[np.float64]]) -> Path:
    """Write the cohort's connectomes as measured files of an output dataset."""
    for flavor, rows in cohort_edges.items():
        for k, row in enumerate(rows):
            square = edges_to_square(row, diagonal=flavor.diagonal)
            path = relmat_path(tmp_path, {"sub": f"{k + 1:02d}"}, flavor, source=None)
            write_relmat(path, square)
    return tmp_path
