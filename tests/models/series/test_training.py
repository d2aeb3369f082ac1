"""Training on structured synthetic series: what is learned, the same bytes, resumed."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch

from kraken_bids.models.series.architecture import FRAMEWORKS
from kraken_bids.models.series.network import SeriesNetwork
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
    error, mean, last = judge(network, draw_runs(seed=1), recipe)
    assert error < min(mean, last)


@pytest.mark.slow
@pytest.mark.parametrize("framework", ["csm", "netbert"])
def test_more_runs_of_more_regions_are_learned_far_better_than_the_mean(
    framework: str, draw_runs: DrawRuns
) -> None:
    """Sequences of the preset's length, and 24 regions; the others are not as far by then."""
    recipe = replace(
        tiny(framework, 2 * N_STEPS[framework]), embedding=64,
        longest=choose_recipe("small", framework).longest,
    )  # fmt: skip
    network = make_network(recipe, 24)
    pretrain_network(network, draw_runs(n_runs=40, n_volumes=200, n_regions=24), recipe)
    error, mean, last = judge(network, draw_runs(n_volumes=200, n_regions=24, seed=1), recipe)
    assert error < 0.9 * min(mean, last)


def judge(network: SeriesNetwork, runs: Runs, recipe: SeriesRecipe) -> tuple[float, float, float]:
    """Errors of the network, of the mean, and of the last volume on the same hidden values."""
    tokens = Objective(runs, recipe).draw(np.random.default_rng(7))
    truth = torch.from_numpy(tokens.values)
    with torch.no_grad():
        filled = network.reconstruct(tokens)[0]
    means = torch.zeros(len(tokens.scored_rows), truth.shape[1])
    found = filled, means, truth[tokens.scored_rows - 1]
    error, mean, last = (float(compute_error(one, tokens)) for one in found)
    return error, mean, last
