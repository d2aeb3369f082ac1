"""How well a new flavor's encoder meets the latents of people who did not train."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kraken_bids.io.facts import Facts
from kraken_bids.models.krakencoder.architecture import Weights
from kraken_bids.models.krakencoder.reduced_predictions import ReducedPredictor
from kraken_bids.scores.component_metrics import PairCorrelations
from kraken_bids.scores.metrics import find_ranked, row_correlations

Scores = NDArray[np.floating]
VALUES = ("LatentAverageRank", "LatentTop1", "SelfAverageRankInTransformSpace", "ChanceTop1")
"""Keys in JSON."""


@dataclass(frozen=True)
class LatentMatch:
    """What is known of one new flavor, from people held out."""

    flavor: str
    n_subjects: int
    """People, sessions together."""
    average_rank: float
    """Of the own latent among those of the others, by correlation less the mean."""
    top1: float
    """Share of people whose own latent is the most alike."""
    self_rank: float
    """Average rank of the own connectome among the others' in transform space: the self path."""
    chance: float
    """Top-1 that guessing reaches."""

    def to_json(self) -> dict[str, Any]:
        """Plain values for provenance, rounded."""
        return {
            "Flavor": self.flavor,
            "NumberOfSubjects": self.n_subjects,
            **{
                key: round(value, 4)
                for key, value in zip(
                    VALUES,
                    (self.average_rank, self.top1, self.self_rank, self.chance),
                    strict=True,
                )
            },
        }

    @classmethod
    def from_json(cls, facts: Facts) -> "LatentMatch":
        """Read what :meth:`to_json` gave; NaN for what is not there."""
        values = [facts.number(key) for key in VALUES]
        n = facts.count("NumberOfSubjects") or 0
        values[-1] = 1 / n if n and values[-1] is None else values[-1]  # of earlier versions
        return cls(
            facts.text("Flavor"),
            n,
            *(float("nan") if value is None else value for value in values),
        )

    def describe(self) -> str:
        """Give one line for people."""
        if not self.n_subjects:
            return f"{self.flavor}: nobody was held out to judge it by"
        return (
            f"{self.flavor}: {self.n_subjects} people held out, latent's average rank "
            f"{self.average_rank:.3f} (chance {(1 + self.chance) / 2:.3f}), top-1 "
            f"{self.top1:.3f} (chance {self.chance:.3f}); self "
            f"path's average rank {self.self_rank:.3f} (transform space)"
        )


def judge_latents(
    weights: Weights, scores: Mapping[str, Scores], targets: Scores, people: Sequence[str]
) -> tuple[LatentMatch, ...]:
    """Compare encoded with target latents, and decoded with observed scores.

    Those of a person's other sessions are not ranked.

    Parameters
    ----------
    scores : mapping of str to ndarray of shape (n_subjects, n_components)
        Of people held out, by flavor id; NaN rows where somebody lacks it.
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
