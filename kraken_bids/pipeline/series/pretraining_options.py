"""What a pretraining was asked to do."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kraken_bids.exceptions import SettingsError
from kraken_bids.models.series.recipe import SeriesRecipe

EVALUATIONS = 50
"""Times that a training is judged."""
LEAST_INTERVAL = 10
"""Steps between two evaluations, at least."""


@dataclass(frozen=True)
class PretrainingOptions:
    """What a pretraining was asked to do."""

    recipe: SeriesRecipe = field(default_factory=SeriesRecipe)
    reading: Mapping[str, Any] = field(default_factory=dict)
    """Words of :func:`~kraken_bids.cohort.series_store.gather_series`."""
    weights: Path | None = None
    """To begin with: a folder of a pretraining, or a released state dict."""
    splits: Path | None = None
    """File that says who trains; drawn by chance else."""
    validation_share: float = 0.1
    """Share of the subjects that training is watched with, where they are drawn."""
    families: str | None = None
    participants: Path | None = None
    parity: bool = False
    """Write intermediates of the first batch."""
    resume: bool = False

    def __post_init__(self) -> None:
        """Check the ranges.

        Raises
        ------
        SettingsError
        """
        if not 0 <= self.validation_share < 1:
            raise SettingsError(
                f"expected --validation-share from 0 up to 1; found {self.validation_share:g}."
            )
        if self.parity and self.recipe.framework != "csm":
            raise SettingsError(
                f"--parity: expected the framework csm; found {self.recipe.framework}."
            )

    @property
    def interval(self) -> int:
        """Steps between two evaluations."""
        return max(LEAST_INTERVAL, self.recipe.steps.n_steps // EVALUATIONS)

    def to_json(self) -> dict[str, Any]:
        """Give what the result depends on, in plain values."""
        recipe = self.recipe.to_json()
        del recipe["steps"]["device"]  # the last bits apart
        return {
            **recipe,
            **self.reading,
            "weights": self.weights,
            "validation_share": self.validation_share,
        }
