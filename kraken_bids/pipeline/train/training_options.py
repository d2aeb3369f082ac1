"""What a training was asked to do, beside the recipe of the network."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from kraken_bids.exceptions import SettingsError
from kraken_bids.models.krakencoder.recipe import TrainingSettings

EVALUATIONS = 50
"""Times that a training is judged where nothing else is asked for."""


@dataclass(frozen=True)
class TrainingOptions:
    """What a training was asked to do, beside the recipe of the network."""

    settings: TrainingSettings = field(default_factory=TrainingSettings)
    """Recipe."""
    method: str = "krakencoder"
    """A name of :data:`~kraken_bids.pipeline.train.methods.METHODS`."""
    splits: Path | None = None
    """File that says who trains; drawn by chance else."""
    families: str | None = None
    """Table of families, or a column of the participants' table."""
    participants: Path | None = None
    """Table of participants."""
    test_share: float = 0.2
    """Share of all subjects that is held out where the split is drawn."""
    validation_share: float = 0.1
    """Share of the others that training is watched with."""
    atlases: Mapping[str, Path] = field(default_factory=dict)
    """Tables of regions of atlases that the package does not know."""
    validate_every: int | None = None
    """Epochs between two evaluations; None: fifty evaluations in all."""
    patience: int = 0
    """Epochs without a better validation after which training ends; 0: it never does."""
    resume: bool = False
    """Go on with an interrupted training."""

    def __post_init__(self) -> None:
        """Check the ranges."""
        if not (0 <= self.test_share < 1 and 0 <= self.validation_share < 1):
            raise SettingsError(
                "expected --test-share and --validation-share from 0 up to 1; found "
                f"{self.test_share:g} and {self.validation_share:g}."
            )
        if self.patience < 0 or (self.validate_every is not None and self.validate_every < 1):
            raise SettingsError(
                "expected --patience of 0 or more epochs and --validate-every of 1 or more; found "
                f"{self.patience} and {self.validate_every}."
            )

        if self.settings.n_epochs < 1 or not self.settings.rate > 0:
            raise SettingsError(
                "expected --epochs of 1 or more and a --learning-rate above 0, without which "
                f"nothing is learned; found {self.settings.n_epochs} and {self.settings.rate:g}."
            )

    @property
    def evaluation_interval(self) -> int:
        """Epochs between two evaluations."""
        return self.validate_every or max(1, self.settings.n_epochs // EVALUATIONS)

    def is_due(self, epoch: int) -> bool:
        """Whether the network is judged after an epoch."""
        return epoch % self.evaluation_interval == 0 or epoch == self.settings.n_epochs
