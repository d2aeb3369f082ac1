"""How well a new flavor's encoder meets the latents of people who did not train."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kraken_bids.models.krakencoder.architecture import Weights
from kraken_bids.models.krakencoder.reduced_predictions import ReducedPredictor
from kraken_bids.scores.metrics import average_rank, row_correlations, top_n_accuracy

Scores = NDArray[np.floating]


@dataclass(frozen=True)
class LatentMatch:
    """What is known of one new flavor, from people held out."""

    flavor: str
    n_subjects: int
    average_rank: float
    """Of the own latent among those of the others, by correlation less the mean: 0.5 is chance."""
    top1: float
    """Share of people whose own latent is the most alike."""
    self_rank: float
    """Average rank of the own connectome among the others' in transform space: the self path."""

    def to_json(self) -> dict[str, Any]:
        """Plain values for provenance, rounded."""
        return {
            "Flavor": self.flavor,
            "NumberOfSubjects": self.n_subjects,
            "LatentAverageRank": round(self.average_rank, 4),
            "LatentTop1": round(self.top1, 4),
            "SelfAverageRankInTransformSpace": round(self.self_rank, 4),
        }

    def describe(self) -> str:
        """Give one line for people."""
        if not self.n_subjects:
            return f"{self.flavor}: nobody was held out to judge it by"
        return (
            f"{self.flavor}: {self.n_subjects} people held out, latent's average rank "
            f"{self.average_rank:.3f} (chance 0.5), top-1 {self.top1:.3f}; self path's average "
            f"rank {self.self_rank:.3f} (transform space)"
        )


def judge_latents(
    weights: Weights, scores: Mapping[str, Scores], targets: Scores
) -> tuple[LatentMatch, ...]:
    """Compare encoded with target latents, and decoded with observed scores.

    Parameters
    ----------
    weights : Weights
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
