"""What a training of a decoder of volumes was asked to do."""

from dataclasses import dataclass, field
from pathlib import Path

from kraken_bids.cohort.trial_windows import WINDOWS, TrialWindow
from kraken_bids.exceptions import SettingsError
from kraken_bids.models.step_training import StepSettings
from kraken_bids.models.volumes.architecture import GRID, Kind
from kraken_bids.pipeline.decoding.trial_folds import check_folds

RATES: dict[Kind, float] = {"2d": 1e-4, "3d": 1e-3}
"""Learning rates, as in the release."""


@dataclass(frozen=True)
class VolumeTrainingOptions:
    """What a training was asked to do."""

    events: Path
    """Raw dataset with the events.tsv of the runs."""
    window: TrialWindow = WINDOWS["deeplight"]
    column: str = "trial_type"
    classes: tuple[str, ...] = ()
    architecture: Kind | None = None
    """Of a network from scratch, 3d by default; a decoder has its own."""
    decoder: Path | None = None
    """A model, or weights of the release, that is trained further with a new head."""
    cleaning: str | None = None
    """How runs are cleaned; None: as the decoder that is trained further, else as the release."""
    atlas: str = ""
    labels: Path | None = None
    """Label image in whose regions the linear model sees volumes; cubes of 12 mm without."""
    steps: StepSettings = field(default_factory=lambda: StepSettings(weight_decay=0.0))
    """Of every training, but for the learning rate."""
    learning_rate: float | None = None
    """None: that of the release for the architecture."""
    batch_size: int = 32
    n_folds: int = 5
    n_repeats: int = 1
    families: str | None = None
    participants: Path | None = None
    n_threads: int = 1
    """On a CPU, volumes that are decoded at a time."""
    resume: bool = False
    grid: tuple[int, int, int] = GRID
    """Of a network from scratch."""
    channels: tuple[int, ...] = ()
    strides: tuple[int, ...] = ()
    """Of its convolutions; by default as published."""

    def __post_init__(self) -> None:
        """Check ranges.

        Raises
        ------
        SettingsError
        """
        check_folds(self.n_folds, self.n_repeats)
        if self.batch_size < 1 or self.n_threads < 1:
            raise SettingsError(
                "expected --batch-size and --n-threads of 1 or more; found "
                f"{self.batch_size} and {self.n_threads}."
            )
