"""How well a new flavor's encoder meets the latents of people who did not train."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kraken_bids.io.facts import Facts
from kraken_bids.models.krakencoder.architecture import Weights
from kraken_bids.models.krakencoder.reduced_predictions import ReducedPredictor
from kraken_bids.scores.metrics import average_rank, chance_rank, row_correlations, top_n_accuracy

Scores = NDArray[np.floating]
VALUES = ("LatentAverageRank", "LatentTop1", "SelfAverageRankInTransformSpace")
"""Keys in JSON."""


@dataclass(frozen=True)
class LatentMatch:
    """What is known of one new flavor, from people held out."""

    flavor: str
    n_subjects: int
    average_rank: float
    """Of the own latent among those of the others, by correlation less the mean."""
    top1: float
    """Share of people whose own latent is the most alike."""
    self_rank: float
    """Average rank of the own connectome among the others' in transform space: the self path."""

    def to_json(self) -> dict[str, Any]:
        """Plain values for provenance, rounded."""
        return {
            "Flavor": self.flavor,
            "NumberOfSubjects": self.n_subjects,
            **{
                key: round(value, 4)
                for key, value in zip(
                    VALUES, (self.average_rank, self.top1, self.self_rank), strict=True
                )
            },
        }

    @classmethod
    def from_json(cls, facts: Facts) -> "LatentMatch":
        """Read what :meth:`to_json` gave; NaN for what is not there."""
        values = (facts.number(key) for key in VALUES)
        return cls(
            facts.text("Flavor"),
            facts.count("NumberOfSubjects") or 0,
            *(float("nan") if value is None else value for value in values),
        )

    def describe(self) -> str:
        """Give one line for people."""
        if not self.n_subjects:
            return f"{self.flavor}: nobody was held out to judge it by"
        n = self.n_subjects
        return (
            f"{self.flavor}: {n} people held out, latent's average rank {self.average_rank:.3f} "
            f"(chance {chance_rank(n):.3f}), top-1 {self.top1:.3f} (chance {1 / n:.3f}); self "
            f"path's average rank {self.self_rank:.3f} (transform space)"
        )


def judge_latents(
    weights: Weights, scores: Mapping[str, Scores], targets: Scores
) -> tuple[LatentMatch, ...]:
    """Compare encoded with target latents, and decoded with observed scores.

    Parameters
    ----------
    scores : mapping of str to ndarray of shape (n_subjects, n_components)
        Of people held out, by flavor id; NaN rows where somebody lacks it.
    targets : ndarray of shape (n_subjects, n_latent)
    """
    return tuple(_judge(weights, name, rows, targets) for name, rows in scores.items())


def _judge(weights: Weights, name: str, rows: Scores, targets: Scores) -> LatentMatch:
    present = np.isfinite(rows).all(axis=1) & np.isfinite(targets).all(axis=1)
    n = int(present.sum())
    if n < 2:
        return LatentMatch(name, n if n > 1 else 0, *(float("nan"),) * 3)
    predictor = ReducedPredictor(weights, {name: rows[present]})
    wanted = targets[present].astype(np.float64)
    found = predictor.latents[name].astype(np.float64)
    center = wanted.mean(axis=0)
    likeness = row_correlations(wanted - center, found - center)
    decoded = predictor.predict(name, name)
    own = row_correlations(rows[present], decoded)
    return LatentMatch(
        name, n, average_rank(likeness), top_n_accuracy(likeness, 1), average_rank(own)
    )
