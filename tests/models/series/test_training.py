"""Training on structured synthetic series: what is learned, the same bytes, resumed."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch

from kraken_bids.models.series.architecture import FRAMEWORKS
from kraken_bids.models.series.classification import make_classifier
from kraken_bids.models.series.network import SeriesNetwork
from kraken_bids.models.series.objectives import Objective, Runs
from kraken_bids.models.series.peers import (
    ALL_SUBJECTS,
    LAST,
    MEAN,
    NETWORK,
    Peers,
    choose_lags,
    hide,
    join_batches,
    tabulate_losses,
)
from kraken_bids.models.series.recipe import SeriesRecipe, choose_recipe
from kraken_bids.models.series.relevance import randomise_weights
from kraken_bids.models.series.training import fill_in, make_network, pretrain_network
from kraken_bids.models.step_training import StepSettings

DrawRuns = Callable[..., Runs]


N_STEPS = {"csm": 80, "bert": 240, "netbert": 60, "autoencoder": 60}
PRESET_STEPS = {"csm": 240, "bert": 480, "netbert": 240, "autoencoder": 600}


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


def test_initial_weights_leave_random_numbers_of_a_gpu_as_they_were(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seeded: list[int] = []
    monkeypatch.setattr(torch.cuda, "manual_seed_all", seeded.append)
    network = make_network(tiny("csm", 1), 10, 2)
    make_classifier(network.architecture, seed=1, pretrained=network)
    randomise_weights(network, seed=1, whole=True)
    assert not seeded


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_what_is_learned_is_better_than_the_mean_and_the_last_volume(
    framework: str, draw_runs: DrawRuns
) -> None:
    recipe = tiny(framework, N_STEPS[framework])
    network, train = make_network(recipe, 10), draw_runs(n_runs=20)
    pretrain_network(network, train, recipe)
    errors = judge(network, train, draw_runs(seed=1), recipe)
    assert errors[NETWORK] < min(errors[MEAN], errors[LAST])


@pytest.mark.slow
@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_the_small_preset_learns_more_regions_far_better_than_the_mean_and_the_last_volume(
    framework: str, draw_runs: DrawRuns
) -> None:
    """A part of the preset's steps; with ten times its rate ``bert`` stays at the mean."""
    recipe = choose_recipe("small", framework)
    steps = replace(recipe.steps, n_steps=PRESET_STEPS[framework], device="cpu")
    recipe = replace(recipe, steps=steps)
    network = make_network(recipe, 24)
    train = draw_runs(n_runs=40, n_volumes=200, n_regions=24)
    pretrain_network(network, train, recipe)
    errors = judge(network, train, draw_runs(n_volumes=200, n_regions=24, seed=1), recipe)
    assert errors[NETWORK] < 0.9 * min(errors[MEAN], errors[LAST])


def judge(
    network: SeriesNetwork, train: Runs, runs: Runs, recipe: SeriesRecipe
) -> dict[str, float]:
    """Errors of the network and of its peers on the same hidden values."""
    objective, rng = Objective(runs, recipe), np.random.default_rng(7)
    batches = [objective.draw(rng) for _ in range(4)]
    hidden = join_batches([hide(tokens) for tokens in batches])
    n_regions = hidden.values.shape[1]
    peers = Peers(n_regions, choose_lags(recipe.framework, n_regions))
    for run in range(len(train.n_volumes)):
        peers.add_run(train.read(run))
    filled = np.concatenate([fill_in(network, tokens) for tokens in batches])
    rows = tabulate_losses(
        "test", hidden, ["nobody"] * len(hidden.values),
        {NETWORK: filled, **peers.predict(hidden)},
    )  # fmt: skip
    return {row.predictor: row.loss for row in rows if row.subject == ALL_SUBJECTS}
