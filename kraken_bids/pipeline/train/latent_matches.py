"""How well the latents of a new flavor match those of the others: figures, and their words."""

from dataclasses import dataclass
from typing import Any

from kraken_bids.io.facts import Facts

VALUES = ("LatentAverageRank", "LatentTop1", "SelfAverageRankInTransformSpace", "ChanceTop1")
"""Keys in JSON."""


@dataclass(frozen=True)
class LatentMatch:
    """What is known of one new flavor, from subjects held out."""

    flavor: str
    n_subjects: int
    """Subjects, sessions together."""
    average_rank: float
    """Of the own latent among those of the others, by correlation less the mean."""
    top1: float
    """Share of subjects whose own latent is the most alike."""
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
