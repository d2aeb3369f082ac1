"""How well a new flavor's encoder meets the latents of subjects who did not train."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from kraken_bids.models.krakencoder.architecture import Weights
from kraken_bids.models.krakencoder.reduced_predictions import ReducedPredictor
from kraken_bids.pipeline.train.latent_matches import LatentMatch
from kraken_bids.scores.component_metrics import PairCorrelations
from kraken_bids.scores.metrics import find_ranked, row_correlations

Scores = NDArray[np.floating]


def judge_latents(
    weights: Weights, scores: Mapping[str, Scores], targets: Scores, people: Sequence[str]
) -> tuple[LatentMatch, ...]:
    """Compare encoded with target latents, and decoded with observed scores.

    Those of a subject's other sessions are not ranked.

    Parameters
    ----------
    scores : mapping of str to ndarray of shape (n_subjects, n_components)
        Of subjects held out, by flavor id; NaN rows where somebody lacks it.
    targets : ndarray of shape (n_subjects, n_latent)
    people : sequence of length n_subjects
        Whose session each row is.
    """
    whose = np.array(people)
    return tuple(_judge(weights, name, rows, (targets, whose)) for name, rows in scores.items())


def _judge(
    weights: Weights, name: str, rows: Scores, known: tuple[Scores, NDArray[np.str_]]
) -> LatentMatch:
    targets, people = known
    present = np.isfinite(rows).all(axis=1) & np.isfinite(targets).all(axis=1)
    n, ranked = len(np.unique(people[present])), find_ranked(people[present].tolist())
    if n < 2:
        return LatentMatch(name, 0, *(float("nan"),) * 4)
    predictor = ReducedPredictor(weights, {name: rows[present]})
    wanted = targets[present].astype(np.float64)
    found = predictor.latents[name].astype(np.float64)
    center = wanted.mean(axis=0)
    likeness = row_correlations(wanted - center, found - center)
    decoded = predictor.predict(name, name)
    own = row_correlations(rows[present], decoded)
    latents, itself = (PairCorrelations(pairs, pairs, ranked) for pairs in (likeness, own))
    figures, guessed = latents.summarise(), latents.summarise_shuffled()["top1acc"]
    own_rank = itself.summarise()["avgrank"]
    values = (figures["avgrank"], figures["top1acc"], own_rank, guessed)
    return LatentMatch(name, n, *map(float, values))
