"""Sequences of held-out subjects that a pretraining is judged on, and its peers beside it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kraken_bids.cohort.series_store import SeriesStore
from kraken_bids.models.series.network import SeriesNetwork
from kraken_bids.models.series.objectives import Objective, Runs
from kraken_bids.models.series.peers import (
    ALL_SUBJECTS,
    NETWORK,
    MaskedSeries,
    PeerLoss,
    Peers,
    choose_lags,
    hide,
    join_batches,
    tabulate_losses,
)
from kraken_bids.models.series.recipe import SeriesRecipe
from kraken_bids.models.series.tokens import Tokens
from kraken_bids.models.series.training import fill_in, judge_batch

N_SEQUENCES = 400
"""Sequences, the same in every evaluation; of pairs, pairs."""
SPLIT = "validation"
STREAM = 7
"""Of the random numbers that they are drawn from."""
Indices = NDArray[np.intp]


def list_runs(store: SeriesStore, runs: Indices) -> Runs:
    """Give some runs of a store to learn from."""
    chosen = [store.runs[run] for run in runs.tolist()]
    return Runs(
        np.array([run.n_volumes for run in chosen], np.intp),
        [run.repetition_time for run in chosen],
        lambda run: store.values(int(runs[run])),
        lambda run: store.kept(int(runs[run])),
    )


@dataclass(frozen=True)
class HeldOutSequences:
    """Sequences of held-out subjects, drawn once."""

    batches: tuple[Tokens, ...]
    subjects: tuple[str, ...]
    """Whose each volume is."""
    peers: Peers

    @classmethod
    def draw(
        cls, store: SeriesStore, training: Indices, validation: Indices, recipe: SeriesRecipe
    ) -> "HeldOutSequences":
        """Draw sequences of the validation runs, and fit peers on the training runs."""
        objective = Objective(list_runs(store, validation), recipe)
        n_batches = -(-N_SEQUENCES // recipe.batch_size)
        seeds = ([recipe.steps.seed, k, STREAM] for k in range(n_batches))
        batches = tuple(objective.draw(np.random.default_rng(seed)) for seed in seeds)
        volumes = [validation[tokens.runs] for tokens in batches if tokens.runs is not None]
        subjects = [store.runs[run].subject for run in np.concatenate(volumes).tolist()]
        peers = Peers(store.data.n_regions, choose_lags(recipe.framework, store.data.n_regions))
        for run in training.tolist():
            peers.add_run(store.values(run), store.kept(run))
        found = cls(batches, tuple(subjects), peers)
        peers.choose_penalty(found.join())
        return found

    def join(self) -> MaskedSeries:
        """Give what is hidden and shown in all of them."""
        return join_batches([hide(tokens) for tokens in self.batches])

    def judge(self, network: SeriesNetwork) -> dict[str, float]:
        """Mean loss, mean absolute error and, of pairs, the share told right, by name.

        The error is over all entries at once, as those of the peers are. Where all pairs follow
        each other, as of a single run, nothing can be told right.
        """
        each = [judge_batch(network, tokens) for tokens in self.batches]
        found = {name: float(np.mean([one[name] for one in each])) for name in each[0]}
        n_values = [tokens.n_values for tokens in self.batches]
        error = float(np.average([one["error"] for one in each], weights=n_values))
        found |= {"error": error, "loss": found["loss"] - found["error"] + error}
        if all(one.is_next is not None and one.is_next.all() for one in self.batches):
            del found["order"]
        return found

    def tabulate(self, network: SeriesNetwork | None = None) -> list[PeerLoss]:
        """Tabulate the losses of the peers, and of the network if it is given."""
        hidden = self.join()
        predictions: dict[str, Any] = {}
        if network is not None:
            predictions[NETWORK] = np.concatenate([fill_in(network, one) for one in self.batches])
        return tabulate_losses(
            SPLIT, hidden, self.subjects, {**predictions, **self.peers.predict(hidden)}
        )


def pick_overall(losses: list[PeerLoss]) -> Mapping[str, float]:
    """Loss of each predictor over all subjects."""
    return {one.predictor: one.loss for one in losses if one.subject == ALL_SUBJECTS}
