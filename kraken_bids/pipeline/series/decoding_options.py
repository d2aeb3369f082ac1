"""What a decoding of trials was asked to do."""

from dataclasses import dataclass, field
from pathlib import Path

from kraken_bids.cohort.trial_windows import TrialWindow
from kraken_bids.exceptions import SettingsError
from kraken_bids.models.series.recipe import SeriesRecipe
from kraken_bids.models.step_training import StepSettings
from kraken_bids.pipeline.decoding.trial_folds import check_folds


@dataclass(frozen=True)
class DecodingOptions:
    """What a decoding was asked to do."""

    events: Path | None = None
    """Raw dataset with the events.tsv of the runs."""
    labels: str = ""
    """In place of events, each run is one trial: a table with the columns run and label, or the
    name of a label in tars."""
    window: TrialWindow = field(default_factory=TrialWindow)
    column: str = "trial_type"
    classes: tuple[str, ...] = ()
    model: Path | None = None
    """Pretrained model; None: from scratch."""
    recipe: SeriesRecipe = field(default_factory=SeriesRecipe)
    """Of a network from scratch; of both, the batch."""
    steps: StepSettings = field(default_factory=StepSettings)
    n_folds: int = 5
    n_repeats: int = 2
    families: str | None = None
    participants: Path | None = None
    resume: bool = False

    def __post_init__(self) -> None:
        """Check what belongs together.

        Raises
        ------
        SettingsError
        """
        if (self.events is None) == (not self.labels):
            raise SettingsError(
                "expected the raw dataset whose events.tsv label the trials (--events BIDS_DIR), "
                "or labels of whole runs (--labels); found "
                f"{'both' if self.labels else 'neither'}. Give one of them."
            )
        check_folds(self.n_folds, self.n_repeats)
