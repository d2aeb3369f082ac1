"""Training on series: a recipe and runs in, a network out."""

from collections.abc import Callable

import numpy as np
import torch

from kraken_bids.models.series.network import SeriesNetwork
from kraken_bids.models.series.objectives import Objective, Runs, compute_loss
from kraken_bids.models.series.recipe import SeriesRecipe
from kraken_bids.models.series.tokens import Tokens
from kraken_bids.models.step_training import StepResult, StepState, StepTraining, train_steps

Watch = Callable[[StepTraining[SeriesNetwork, Tokens], StepResult], bool]


def make_network(recipe: SeriesRecipe, n_regions: int, n_classes: int = 0) -> SeriesNetwork:
    """Make a network with initial weights that follow from the seed of the recipe."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.steps.seed)
        return SeriesNetwork(recipe.design(n_regions, n_classes))


def pretrain_network(
    network: SeriesNetwork,
    runs: Runs,
    recipe: SeriesRecipe,
    *,
    state: StepState | None = None,
    watch: Watch | None = None,
) -> StepState:
    """Train a network to fill in what is hidden of runs; it is trained in place.

    Parameters
    ----------
    state : StepState, optional
        What to go on from.
    watch : callable, optional
        Called after every step; True ends the training.

    Returns
    -------
    StepState
        After the last step.

    Raises
    ------
    ConnectomeError
        If runs are too short, or steps not finite.
    """
    objective = Objective(runs, recipe)

    def draw(rng: np.random.Generator, _: int) -> Tokens:
        return objective.draw(rng)

    return train_steps(network, draw, compute_loss, recipe.steps, state=state, watch=watch)
