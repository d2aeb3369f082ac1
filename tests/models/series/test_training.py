"""Training on structured synthetic series: what is learned, the same bytes, resumed."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch

from kraken_bids.models.series.architecture import FRAMEWORKS
from kraken_bids.models.series.objectives import Objective, Runs, compute_error
from kraken_bids.models.series.recipe import SeriesRecipe, choose_recipe
from kraken_bids.models.series.training import make_network, pretrain_network
from kraken_bids.models.step_training import StepSettings

DrawRuns = Callable[..., Runs]


N_STEPS = {"csm": 80, "bert": 240, "netbert": 60, "autoencoder": 60}


def tiny(framework: str, n_steps: int) -> SeriesRecipe:
    return replace(
        choose_recipe("small", framework), embedding=32, dropout=0.0, shortest=8,
        longest=12 if framework == "autoencoder" else 20, batch_size=16,
        steps=StepSettings(n_steps=n_steps, learning_rate=1e-2, device="cpu"),
    )  # fmt: skip


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_an_interrupted_pretraining_ends_with_the_same_bytes(
    framework: str, draw_runs: DrawRuns
) -> None:
    recipe, runs = replace(tiny(framework, 6), dropout=0.1), draw_runs()
    whole = pretrain_network(make_network(recipe, 10), runs, recipe)
    kept = pretrain_network(
        make_network(recipe, 10), runs, recipe, watch=lambda _, result: result.step == 2
    )
    resumed = pretrain_network(make_network(recipe, 10), runs, recipe, state=kept)
    assert whole.arrays.keys() == resumed.arrays.keys()
    for name, values in whole.arrays.items():
        assert values.tobytes() == resumed.arrays[name].tobytes(), name


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_what_is_learned_is_better_than_the_mean_and_the_last_volume(
    framework: str, draw_runs: DrawRuns
) -> None:
    recipe = tiny(framework, N_STEPS[framework])
    network = make_network(recipe, 10)
    pretrain_network(network, draw_runs(n_runs=20), recipe)
    tokens = Objective(draw_runs(seed=1), recipe).draw(np.random.default_rng(7))
    truth = torch.from_numpy(tokens.values)
    with torch.no_grad():
        error = float(compute_error(network.reconstruct(tokens)[0], tokens))
    mean = float(compute_error(torch.zeros(len(tokens.scored_rows), 10), tokens))
    last = float(compute_error(truth[tokens.scored_rows - 1], tokens))
    assert error < min(mean, last)
