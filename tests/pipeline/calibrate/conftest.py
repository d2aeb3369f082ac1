"""A cohort of 24 people who were measured twice over: function, and structure that predicts it."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from numpy.typing import NDArray

from kraken_bids.bids.outputs import relmat_path
from kraken_bids.connectome.matrices import edges_to_square
from kraken_bids.flavors import Flavor, parse_flavor
from kraken_bids.io.writing import write_relmat
from kraken_bids.models.krakencoder.checkpoint import write_model
from kraken_bids.models.krakencoder.latent_space import LATENT_SPACE, OWN
from kraken_bids.models.krakencoder.model import Model
from kraken_bids.models.krakencoder.pls import fit_pls
from kraken_bids.models.krakencoder.reduction import fit_reduction
from kraken_bids.pipeline import levels
from kraken_bids.pipeline.group import run_group
from kraken_bids.run_settings import RunSettings
from kraken_bids.settings import DataSettings, PredictionSettings, Settings
from kraken_bids.worth_settings import WorthSettings

FC, SC = parse_flavor("FCcorr_fs86_hpf"), parse_flavor("SCifod2act_fs86_volnorm")
N_PEOPLE, N_TRAINED = 24, 30
Edges = dict[Flavor, NDArray[np.float64]]


def draw_people(n_people: int, seed: int) -> Edges:
    """People of one population, whose function and structure share what sets them apart."""
    common = np.random.default_rng(3)
    patterns = {f: common.standard_normal((5, 3655)) for f in (FC, SC)}
    means = {f: common.uniform(0.1, 0.6, 3655) for f in (FC, SC)}
    rng = np.random.default_rng(seed)
    shared = rng.standard_normal((n_people, 5))
    return {
        f: means[f] + 0.05 * shared @ patterns[f] / np.sqrt(5)
        + 0.07 * rng.standard_normal((n_people, 3655))
        for f in (FC, SC)
    }  # fmt: skip


@pytest.fixture(scope="session")
def predicting_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a model that was fitted on other people of the population, in other units."""
    trained = {flavor: 2 * rows + 0.1 for flavor, rows in draw_people(N_TRAINED, 1).items()}
    reductions = {f: fit_reduction(rows, "pca6") for f, rows in trained.items()}
    scores = {f.name: reductions[f].forward(rows) for f, rows in trained.items()}
    weights, _ = fit_pls(scores)
    size = weights.architecture.latent_size
    stated = {LATENT_SPACE: OWN, "Method": "pls"}
    model = Model("peer", "", tuple(trained), size, weights, reductions, stated)
    return write_model(model, tmp_path_factory.mktemp("predicting"))


def write_people(output: Path, people: Edges, lacks: dict[int, Flavor], first: int = 1) -> None:
    """Write measured connectomes; some people lack one flavor."""
    for flavor, rows in people.items():
        for k, row in enumerate(rows):
            if lacks.get(k) != flavor:
                path = relmat_path(output, {"sub": f"{k + first:02d}"}, flavor, source=None)
                write_relmat(path, edges_to_square(row, diagonal=flavor.diagonal))


@pytest.fixture
def population() -> SimpleNamespace:
    """Give what draws people of the population, and what writes them."""
    return SimpleNamespace(draw=draw_people, write=write_people, n_people=N_PEOPLE)


@pytest.fixture
def settings_of(predicting_model: Path) -> Callable[..., Settings]:
    """Make settings of a run on a folder."""

    def make(output: Path, worth: WorthSettings | None = None, **words: object) -> Settings:
        run = {key: words.pop(key) for key in ("force", "matrix_header") if key in words}
        return Settings(
            DataSettings(output / "raw", output, atlases=("fs86",)),
            prediction=PredictionSettings(**({"model": str(predicting_model)} | words)),
            worth=worth or WorthSettings(),
            run=RunSettings(**run),
        )

    return make


@pytest.fixture(scope="session")
def calibrated_once(tmp_path_factory: pytest.TempPathFactory, predicting_model: Path) -> Path:
    """Run the group level on the cohort, of whom the last two lack function."""
    output = tmp_path_factory.mktemp("calibrated")
    write_people(output, draw_people(N_PEOPLE, 2), {22: FC, 23: FC})
    settings = Settings(
        DataSettings(output / "raw", output, atlases=("fs86",)),
        prediction=PredictionSettings(model=str(predicting_model)),
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(levels, "draw_subjects", lambda *_: [])
        patch.setattr(levels, "draw_cohort", lambda *_: None)
        assert run_group(settings) == 0
    return output
