"""Training on series: a recipe and runs in, a network out."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import torch
from numpy.typing import NDArray

from kraken_bids.exceptions import ConnectomeError, SettingsError
from kraken_bids.models.devices import full_precision
from kraken_bids.models.new_heads import start_network
from kraken_bids.models.series.network import SeriesNetwork
from kraken_bids.models.series.objectives import (
    Objective,
    Runs,
    add_order_loss,
    compute_error,
    compute_loss,
)
from kraken_bids.models.series.recipe import SeriesRecipe
from kraken_bids.models.series.sequences import group_times
from kraken_bids.models.series.tokens import Tokens
from kraken_bids.models.step_training import StepResult, StepState, StepTraining, train_steps

Watch = Callable[[StepTraining[SeriesNetwork, Tokens], StepResult], bool]
N_SPECIAL = 3
"""Special tokens of a sequence, at most."""


def make_network(recipe: SeriesRecipe, n_regions: int, n_classes: int = 0) -> SeriesNetwork:
    """Make a network with initial weights that follow from the seed of the recipe."""
    design = recipe.design(n_regions, n_classes)
    return start_network(lambda: SeriesNetwork(design), seed=recipe.steps.seed)


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
    SettingsError
        If sequences may be longer than the network has positions.
    ConnectomeError
        If runs are too short, steps not finite, or pairs are asked for and no two runs have the
        same repetition time.
    """
    times = group_times(runs.repetition_times)
    if recipe.is_paired and len({*times.tolist()}) == len(times):
        raise ConnectomeError(
            "expected at least two training runs of one repetition time, to make pairs of; found "
            f"{len(runs.repetition_times)} in all. Give more, or the framework csm or autoencoder."
        )
    n_positions = network.architecture.n_positions
    if recipe.longest + N_SPECIAL > n_positions:
        raise SettingsError(
            f"expected sequences of at most {n_positions - N_SPECIAL} volumes, for which the "
            f"network has positions; found {recipe.longest}. Give --longest."
        )
    objective = Objective(runs, recipe)

    def draw(rng: np.random.Generator, _: int) -> Tokens:
        return objective.draw(rng)

    return train_steps(network, draw, compute_loss, recipe.steps, state=state, watch=watch)


def judge_batch(network: SeriesNetwork, tokens: Tokens) -> dict[str, float]:
    """Judge a network without dropout: ``loss``, ``error`` and, of pairs, ``order``.

    ``error`` is the mean absolute error of what was hidden, ``order`` the share of pairs of which
    it is told right whether they follow each other.
    """
    with evaluating(network):
        volumes, logits = network.reconstruct(tokens)
        error = compute_error(volumes, tokens)
        loss = add_order_loss(error, logits, tokens)
    found = {"loss": float(loss), "error": float(error)}
    if logits is not None and tokens.is_next is not None:
        found["order"] = float(((logits.cpu().numpy() > 0) == (tokens.is_next > 0)).mean())
    return found


def fill_in(network: SeriesNetwork, tokens: Tokens) -> NDArray[np.float32]:
    """Volumes as a network fills them in, [n_volumes, n_regions]; 0 where nothing was hidden."""
    found = np.zeros_like(tokens.values)
    with evaluating(network):
        found[tokens.scored_rows] = network.reconstruct(tokens)[0].float().cpu().numpy()
    return found


@contextmanager
def evaluating(network: SeriesNetwork) -> Iterator[None]:
    """Compute without dropout and gradients, and in full precision, inside."""
    was_training = network.training
    network.eval()
    with torch.inference_mode(), full_precision():
        yield
    network.train(was_training)
